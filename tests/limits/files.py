"""Boundary rows of files, of the store, and of what a program remembers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from proxy import config_file, config_secrets, stop_files
from proxy.config_file import ConfigErrors
from proxy.config_secrets import SecretUnreadable
from proxy.recent import Recent
from proxy.store import tables
from tests.limits.rows import Row, loads


def _in_a_file(data: bytes, read: Callable[[Path], object], error: type[Exception]) -> bool:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "file"
        file.write_bytes(data)
        return loads(lambda: read(file), error)


def _config(size: int) -> bool:
    home = Path("/nowhere")
    return _in_a_file(
        b"version: v1\n" + b"#" * (size - 12),
        lambda file: config_file.read(file, home=home, default_keys_dir=home / "keys"),
        ConfigErrors,
    )


def _secret(size: int) -> bool:
    return _in_a_file(
        b"x" * size, lambda file: config_secrets._secret_of_file(file, "where", Path.read_bytes), SecretUnreadable
    )


def _recent(count: int) -> bool:
    recent = Recent(keys_max=9)
    recent.load((f"key {number}", f"call {number}") for number in range(count))
    return recent.is_complete


def _value(size: int) -> bool:
    return loads(lambda: tables.to_json("x" * (size - 2)), ValueError)


ROWS = (
    Row("proxy.config_file.FILE_BYTES_MAX", _config, at=200),
    Row("proxy.config_secrets.SECRET_BYTES_MAX", _secret),
    Row("proxy.stop_files.FILE_BYTES_MAX", lambda n: _in_a_file(b"x" * n, stop_files._bytes, ValueError)),
    Row("proxy.recent.Recent.keys_max", _recent, at=9),
    Row("proxy.store.tables.VALUE_BYTES_MAX", _value, at=99),
)

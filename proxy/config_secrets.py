"""Secrets that the configuration refers to, read at start: from the environment or a file.

Rules of this module:
* What is not there, is empty or cannot be text stops the start; no secret is ever guessed or left out.
* No value stands in an error, in a log line or in `repr`: errors name the key and the source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from proxy.config import ConfigError, FromEnv, FromFile, SecretValue

SECRET_BYTES_MAX = 64 * 1024


class SecretUnreadable(ConfigError):
    """A secret which the configuration refers to is not there; the text names key and source, never a value."""


def resolve_secret(
    value: SecretValue,
    *,
    where: str,
    environ: Mapping[str, str],
    read_bytes: Callable[[Path], bytes] = Path.read_bytes,
) -> str:
    """The text that `value` stands for. `where` is its key, for the error. Raises: SecretUnreadable."""
    match value:
        case FromEnv(env=name):
            if not environ.get(name):
                raise SecretUnreadable(f"{where}: the environment variable {name} is not set, or empty")
            return environ[name]
        case FromFile(file=path):
            return _secret_of_file(path, where, read_bytes)
        case str():
            return value


def _secret_of_file(path: Path, where: str, read_bytes: Callable[[Path], bytes]) -> str:
    try:
        content = read_bytes(path)
    except OSError as error:
        raise SecretUnreadable(f"{where}: {path} cannot be read: {error.strerror}") from error
    if len(content) > SECRET_BYTES_MAX:
        raise SecretUnreadable(f"{where}: {path} is larger than {SECRET_BYTES_MAX} bytes, so it is no secret")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SecretUnreadable(f"{where}: {path} is not UTF-8 text") from error
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise SecretUnreadable(f"{where}: {path} is empty")
    return text

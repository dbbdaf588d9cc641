"""Secrets of the configuration: where they are read, and that no error shows one."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import ConfigError, FromEnv, FromFile
from proxy.config_secrets import SECRET_BYTES_MAX, SecretUnreadable, resolve_secret

WHERE = "servers.payments.headers.Authorization"


def test_a_text_stands_for_itself() -> None:
    assert resolve_secret("v1", where=WHERE, environ={}) == "v1"


def test_a_variable_is_read_from_the_environment_that_was_given() -> None:
    assert resolve_secret(FromEnv(env="TOKEN"), where=WHERE, environ={"TOKEN": "s3cret"}) == "s3cret"


@pytest.mark.parametrize("environ", [{}, {"TOKEN": ""}])
def test_a_variable_that_is_not_set_stops_the_start(environ: dict[str, str]) -> None:
    with pytest.raises(SecretUnreadable, match=rf"{WHERE}: the environment variable TOKEN is not set, or empty"):
        resolve_secret(FromEnv(env="TOKEN"), where=WHERE, environ=environ)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"s3cret", "s3cret"),
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b"two\nlines\n", "two\nlines"),
        (b" s ", " s "),
    ],
)
def test_a_file_is_read_without_the_line_break_at_its_end(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    assert resolve_secret(FromFile(file=file), where=WHERE, environ={}) == expected


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * (SECRET_BYTES_MAX + 1), f"is larger than {SECRET_BYTES_MAX} bytes"),
    ],
)
def test_a_file_that_holds_no_secret_stops_the_start(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(SecretUnreadable, match=why) as refused:
        resolve_secret(FromFile(file=file), where=WHERE, environ={})
    assert str(refused.value).startswith(f"{WHERE}: {file} ")


def test_a_file_that_is_not_there_stops_the_start_as_the_operators_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        resolve_secret(FromFile(file=tmp_path / "gone"), where=WHERE, environ={})

"""`proxy.keys`: made once, kept for us alone, apart from the data, and never guessed at when damaged (traps T12)."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proxy import keys as keys_file
from proxy.keys import FILE_NAME, Keys, KeysRefused, refuse_inside
from tests.proxy.store.builders import counted_bytes

NAMES = ("seal", "mac", "commit", "repeat", "ticket", "session")


def values(keys: Keys) -> list[bytes]:
    return [getattr(keys, name) for name in NAMES]


def made(directory: Path) -> Keys:
    return Keys.load_or_create(directory, random_bytes=counted_bytes())


def test_six_different_keys_of_32_bytes_are_made_once(tmp_path: Path) -> None:
    keys = Keys.load_or_create(tmp_path / "keys")
    assert [len(value) for value in values(keys)] == [32] * 6
    assert len(set(values(keys))) == 6
    assert values(Keys.load_or_create(tmp_path / "keys")) == values(keys)
    assert values(Keys.load_or_create(tmp_path / "others")) != values(keys)
    assert keys.directory == tmp_path / "keys"


def test_d7_the_directory_and_the_file_are_ours_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made(tmp_path / "new" / "keys")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new/keys", tmp_path / "new/keys" / FILE_NAME)]
    assert modes == [0o700, 0o600]
    assert [path.name for path in (tmp_path / "new/keys").iterdir()] == [FILE_NAME]


def test_no_key_is_in_the_repr(tmp_path: Path) -> None:
    keys = made(tmp_path / "keys")
    assert repr(keys) == f"Keys(directory={tmp_path / 'keys'!r})"


@pytest.mark.parametrize("inside", ["data", "data/keys", "data/a/b"])
def test_t12_keys_inside_the_data_directory_are_refused(tmp_path: Path, inside: str) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(KeysRefused, match=r"whoever can write the database could forge approvals; set `keys_dir`"):
        Keys.load_or_create(tmp_path / inside, data_dir=tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_t12_a_link_does_not_hide_that_keys_are_inside_the_data_directory(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with pytest.raises(KeysRefused):
        Keys.load_or_create(tmp_path / "link" / "keys", data_dir=tmp_path / "data")
    with pytest.raises(KeysRefused):
        refuse_inside(tmp_path / "data" / "keys", tmp_path / "link")


def test_keys_beside_the_data_directory_are_fine(tmp_path: Path) -> None:
    Keys.load_or_create(tmp_path / "data-keys", data_dir=tmp_path / "data")


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o777])
def test_d7_a_directory_open_to_others_is_refused_with_what_mends_it(tmp_path: Path, mode: int) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys").chmod(mode)
    with pytest.raises(KeysRefused, match=rf"open to others \(mode {mode:04o}\): chmod 700 {tmp_path / 'keys'}"):
        made(tmp_path / "keys")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_d7_a_file_open_to_others_is_refused_with_what_mends_it(tmp_path: Path, mode: int) -> None:
    made(tmp_path / "keys")
    file = tmp_path / "keys" / FILE_NAME
    file.chmod(mode)
    with pytest.raises(KeysRefused, match=rf"open to others \(mode {mode:04o}\): chmod 600 {file}"):
        made(tmp_path / "keys")
    file.chmod(0o400)  # narrower is fine
    made(tmp_path / "keys")


def test_d7_a_link_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "elsewhere")
    (tmp_path / "keys").mkdir(mode=0o700)
    (tmp_path / "keys" / FILE_NAME).symlink_to(tmp_path / "elsewhere" / FILE_NAME)
    with pytest.raises(KeysRefused, match="cannot be used"):
        made(tmp_path / "keys")
    (tmp_path / "keys" / FILE_NAME).unlink()
    (tmp_path / "keys" / FILE_NAME).symlink_to(tmp_path / "nowhere")
    with pytest.raises(KeysRefused, match="cannot be used"):
        made(tmp_path / "keys")
    assert not (tmp_path / "nowhere").exists()


def test_a_directory_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys" / FILE_NAME).mkdir(parents=True)
    (tmp_path / "keys").chmod(0o700)
    with pytest.raises(KeysRefused):
        made(tmp_path / "keys")


def test_a_pipe_in_the_place_of_the_file_is_refused_without_waiting(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "keys" / FILE_NAME, 0o600)
    with pytest.raises(KeysRefused, match="not a file of this user's"):
        made(tmp_path / "keys")


def test_d7_what_belongs_to_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "keys")
    us = os.geteuid()
    answers = iter([us, us + 1])
    monkeypatch.setattr(os, "geteuid", lambda: next(answers))
    with pytest.raises(KeysRefused, match="not a file of this user's"):
        made(tmp_path / "keys")
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    with pytest.raises(KeysRefused, match=f"belongs to another user .uid {us}."):
        made(tmp_path / "keys")


def damaged(text: bytes) -> list[bytes]:
    lines = text.splitlines(keepends=True)
    return [
        b"",
        text[:-1],
        text[: len(text) // 2],
        text + b"\n",
        text * 20,
        b"".join(lines[1:]),
        b"".join([lines[0], lines[2], lines[1], *lines[3:]]),
        text.replace(b"seal ", b"seal"),
        text.replace(lines[1], b"seal " + b"zz" * 32 + b"\n"),
        text.replace(lines[1], b"seal " + lines[2].split()[1] + b"\n"),
        text.replace(lines[1][5:9], b"0000", 1),
        text.replace(lines[1][:-3], lines[1][:-5]),
        text.replace(b"v1", b"v2"),
        text.replace(b"\n", b"\r\n"),
        b"\xff" + text[1:],
    ]


@pytest.mark.parametrize("number", range(15))
def test_a_partial_or_altered_file_is_refused_and_left_as_it_is(tmp_path: Path, number: int) -> None:
    made(tmp_path / "keys")
    file = tmp_path / "keys" / FILE_NAME
    bad = damaged(file.read_bytes())[number]
    file.write_bytes(bad)
    with pytest.raises(KeysRefused, match="is damaged; put back your copy of it"):
        made(tmp_path / "keys")
    assert file.read_bytes() == bad


def test_a_failure_while_making_them_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(keys_file.os, "fsync", fail)
        with pytest.raises(KeysRefused, match="cannot be used: no space left on device"):
            made(tmp_path / "keys")
    assert list((tmp_path / "keys").iterdir()) == []
    made(tmp_path / "keys")


def test_a_place_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeysRefused, match="cannot be used"):
        made(tmp_path / "file" / "keys")


def test_of_two_that_make_keys_at_once_both_use_the_first_ones(tmp_path: Path) -> None:
    """The second finds the name taken at the moment it would give it."""
    first: list[Keys] = []
    others = iter(range(100))

    def random_bytes(number: int) -> bytes:
        if next(others) == 3:  # in the middle of making them
            first.append(made(tmp_path / "keys"))
        return os.urandom(number)

    second = Keys.load_or_create(tmp_path / "keys", random_bytes=random_bytes)
    assert values(second) == values(first[0])
    assert [path.name for path in (tmp_path / "keys").iterdir()] == [FILE_NAME]


def test_many_processes_at_once_agree_on_the_keys(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from proxy.keys import Keys; "
        "print(Keys.load_or_create(pathlib.Path(sys.argv[1])).mac.hex())"
    )
    running: list[Any] = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "keys")], stdout=subprocess.PIPE) for _ in range(6)
    ]
    assert len({one.communicate()[0] for one in running}) == 1
    assert [one.returncode for one in running] == [0] * 6

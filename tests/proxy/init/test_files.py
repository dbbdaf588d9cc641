"""Showing before writing, and writing exactly that."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from proxy.init.files import ChangedMeanwhile, diff, planned, write


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_diff_shows_new_and_changed_files_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("one\ntwo\n")
    files = [
        planned(tmp_path / "a", "new\n"),
        planned(tmp_path / "b", "one\n2\n"),
        planned(tmp_path / "c", "hunter2\n", is_private=True, is_secret=True),
    ]
    shown = list(diff(files, tmp_path))
    assert shown[:4] == ["--- /dev/null", "+++ a", "@@ -0,0 +1 @@", "+new"]
    assert shown[4:6] == ["--- b", "+++ b"]
    assert shown[-3:] == ["-two", "+2", "new secret c (0600; what is in it is not shown)"]
    assert "hunter2" not in "".join(shown)
    assert not (tmp_path / "a").exists()


def test_new_files_get_their_modes_and_old_ones_keep_theirs(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("x")
    (tmp_path / "old").chmod(0o640)
    write(
        [
            planned(tmp_path / "old", "y"),
            planned(tmp_path / "sub" / "private", "p", is_private=True),
            planned(tmp_path / "sub" / "open", "o"),
        ]
    )
    assert [(tmp_path / "old").read_text(), (tmp_path / "sub" / "private").read_text()] == ["y", "p"]
    assert [mode(tmp_path / one) for one in ("old", "sub/private", "sub/open")] == [0o640, 0o600, 0o644]
    assert not list(tmp_path.rglob("*.new"))


def test_a_file_that_changed_after_it_was_shown_is_left_alone_and_so_are_the_others(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("shown")
    files = [planned(tmp_path / "a", "new"), planned(tmp_path / "b", "mine")]
    (tmp_path / "b").write_text("theirs")
    with pytest.raises(ChangedMeanwhile, match="b has changed"):
        write(files)
    assert [one.name for one in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_text() == "theirs"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        planned(tmp_path / "link", "x")

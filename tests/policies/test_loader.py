"""Policy files from disk: never silently fewer rules, the last good set kept, watching without half-written files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from policies.loader import FILE_BYTES_MAX, PolicyLoader, Reloaded, find_files, read_files, read_named
from policies.schema import PolicyErrors

DENY = "rules: [{id: a, decision: deny}]\n"
ASK = "rules: [{id: a, decision: require_approval}]\n"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "one.yaml").write_text(DENY)
    (folder / "two.yaml").write_text(ASK)
    (folder / "notes.txt").write_text("not a policy")
    return tmp_path


def loader(base: Path, *patterns: str) -> PolicyLoader:
    return PolicyLoader(patterns or ("policies/*.yaml",), base)


def error_of(base: Path, *patterns: str) -> str:
    with pytest.raises(PolicyErrors) as raised:
        loader(base, *patterns).load()
    return str(raised.value)


def test_all_files_of_the_patterns_are_one_snapshot(base: Path) -> None:
    one = loader(base)
    assert sorted(one.load().files) == ["policies/one.yaml", "policies/two.yaml"]
    assert one.current is one.load() or one.current.id == one.load().id


def test_a_file_outside_the_base_has_its_whole_path_as_name(
    base: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other") / "x.yaml"
    other.write_text(DENY)
    assert sorted(loader(base, str(other), "policies/one.yaml").load().files) == sorted(
        [str(other), "policies/one.yaml"]
    )


def test_before_the_first_load_there_is_no_policy(base: Path) -> None:
    with pytest.raises(LookupError, match="no policies have been loaded yet"):
        _ = loader(base).current


def test_a_file_named_twice_is_read_once_and_hidden_files_are_not(base: Path) -> None:
    (base / "policies" / ".one.yaml.swp").write_text("x")
    (base / "policies" / ".hidden.yaml").write_text("x")
    found = find_files(["policies/*.yaml", "policies/one.yaml"], base)
    assert [path.name for path in found] == ["one.yaml", "two.yaml"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (
            "policies/*.yml",
            "policies/*.yml:1:1: no file fits this pattern (a set with fewer rules than meant is refused)",
        ),
        ("policies/gone.yaml", "policies/gone.yaml:1:1: there is no such file"),
        ("nowhere/*.yaml", "nowhere/*.yaml:1:1: its folder cannot be read: No such file or directory (make "),
        ("*/one.yaml", "*/one.yaml:1:1: wildcards are for the file's name only (list each folder)"),
        ("**/*.yaml", "wildcards are for the file's name only"),
    ],
)
def test_p01_a_pattern_that_finds_nothing_is_an_error(base: Path, pattern: str, message: str) -> None:
    assert message in error_of(base, "policies/one.yaml", pattern)


def test_p01_every_file_that_cannot_be_read_is_an_error(base: Path) -> None:
    folder = base / "policies"
    (folder / "a.yaml").symlink_to(folder / "one.yaml")
    (folder / "b.yaml").mkdir()
    (folder / "c.yaml").write_bytes(b"rules: []\n\xff\n")
    (folder / "d.yaml").write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    os.mkfifo(folder / "e.yaml")
    assert error_of(base).splitlines() == [
        "policies/a.yaml:1:1: a symbolic link (name the file it leads to)",
        "policies/b.yaml:1:1: not a file",
        "policies/c.yaml:2:1: not UTF-8 text",
        f"policies/d.yaml:1:1: more than {FILE_BYTES_MAX} bytes",
        "policies/e.yaml:1:1: not a file",
    ]


def test_a_file_that_goes_between_finding_and_reading_is_an_error(base: Path) -> None:
    with pytest.raises(PolicyErrors, match="cannot be read: No such file or directory"):
        read_files([base / "policies" / "gone.yaml"], base)


def test_a_file_that_changes_while_it_is_read_is_an_error(base: Path) -> None:
    """The kernel's files say that they are empty and then are not; a process's memory cannot be read from its start."""
    with pytest.raises(PolicyErrors, match="it changed while it was read"):
        read_named([Path("/proc/self/status")])
    with pytest.raises(PolicyErrors, match="cannot be read: Input/output error"):
        read_named([Path("/proc/self/mem")])


def test_a_file_whose_name_is_not_text_is_an_error(base: Path) -> None:
    bad = os.fsdecode(os.fsencode(base / "policies") + b"/a\xff.yaml")
    Path(bad).write_text(DENY)
    message = r"policies/a\udcff.yaml:1:1: the file's name is not UTF-8 text (rename the file)"
    assert error_of(base) == message
    with pytest.raises(PolicyErrors, match="not UTF-8 text"):
        read_named([Path(bad)])


def test_a_base_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "[team] *"
    folder.mkdir()
    (folder / "one.yaml").write_text(DENY)
    assert list(loader(folder, "*.yaml").load().files) == ["one.yaml"]


def test_a_byte_order_mark_is_no_part_of_the_text(base: Path) -> None:
    (base / "policies" / "one.yaml").write_bytes(b"\xef\xbb\xbf" + DENY.encode())
    assert loader(base).load().files["policies/one.yaml"] == DENY


def test_a_reload_swaps_what_has_changed(base: Path) -> None:
    one = loader(base)
    first = one.load()
    assert one.reload() == Reloaded(one.current, changed=False)
    (base / "policies" / "one.yaml").write_text(ASK)
    reloaded = one.reload()
    assert (reloaded.changed, reloaded.errors) == (True, ())
    assert one.current is reloaded.snapshot
    assert one.current.id != first.id


def test_the_first_reload_counts_as_a_change(base: Path) -> None:
    assert loader(base).reload().changed


def test_a_bad_reload_keeps_the_last_good_snapshot(base: Path) -> None:
    one = loader(base)
    good = one.load()
    (base / "policies" / "one.yaml").write_text("rules: [{decision: alow}]")
    reloaded = one.reload()
    assert (reloaded.snapshot, reloaded.changed) == (None, False)
    assert [str(error) for error in reloaded.errors] == [
        "policies/one.yaml:1:20: decision cannot be 'alow' (did you mean 'allow'?)"
    ]
    assert one.current is good


def test_p01_a_vanished_file_is_an_error_and_not_fewer_rules(base: Path) -> None:
    one = loader(base)
    good = one.load()
    (base / "policies" / "two.yaml").unlink()
    assert [str(error) for error in one.reload().errors] == [
        "policies/two.yaml:1:1: this policy file has gone (put it back; to drop it, restart without it)"
    ]
    assert one.current is good
    assert sorted(loader(base).load().files) == ["policies/one.yaml"]


def test_kinds_of_findings_are_checked_where_they_are_known(base: Path) -> None:
    (base / "policies" / "one.yaml").write_text("output: [{detect: {US_SNN: redact}}]")
    with pytest.raises(PolicyErrors, match="did you mean 'US_SSN'"):
        PolicyLoader(["policies/*.yaml"], base, detector_kinds={"US_SSN"}).load()


def test_named_files_have_the_names_given(base: Path) -> None:
    path = base / "policies" / "one.yaml"
    assert read_named([path]) == {str(path): DENY}
    with pytest.raises(PolicyErrors, match="a folder without"):
        read_named([path, base])


class Watched:
    """A loader that is watched, look by look: before each look one step of a script is taken."""

    def __init__(self, base: Path, *steps: Callable[[], object]) -> None:
        self.loader = loader(base)
        self.loader.load()
        self.steps = [*steps, lambda: None, lambda: None]  # a change is loaded once it has stood still for a look
        self.told: list[tuple[int, Reloaded]] = []
        self.looks = 0

    async def sleep(self, interval_sec: float) -> None:
        assert interval_sec == 7
        if self.looks == len(self.steps):
            raise asyncio.CancelledError
        self.steps[self.looks]()
        self.looks += 1

    async def on_reload(self, reloaded: Reloaded) -> None:
        self.told.append((self.looks, reloaded))

    async def run(self) -> list[tuple[int, Reloaded]]:
        with suppress(asyncio.CancelledError):
            await self.loader.watch(self.on_reload, 7, sleep=self.sleep)
        return self.told


def nothing() -> None:
    """A look at which nothing has happened."""


async def test_watching_tells_of_changes_and_of_mistakes_and_goes_on(base: Path) -> None:
    path = base / "policies" / "one.yaml"
    bad, worse = "rules: [{decision: alow}]", "rules: [{decision: denny}]"
    watched = Watched(
        base,
        lambda: path.write_text(ASK),
        nothing,
        lambda: path.write_text(bad),
        nothing,
        lambda: path.write_text(bad + "\n"),
        nothing,
        lambda: path.write_text(worse),
        nothing,
        lambda: path.write_text(DENY + "# good again\n"),
    )
    told = [
        (look, reloaded.changed, [error.message for error in reloaded.errors]) for look, reloaded in await watched.run()
    ]
    assert told == [
        (2, True, []),
        (4, False, ["decision cannot be 'alow'"]),
        (8, False, ["decision cannot be 'denny'"]),
        (10, True, []),
    ]
    assert watched.loader.current is watched.told[-1][1].snapshot


async def test_watching_sees_what_changed_between_loading_and_watching(base: Path) -> None:
    watched = Watched(base)
    (base / "policies" / "one.yaml").write_text(ASK)
    assert [reloaded.changed for _, reloaded in await watched.run()] == [True]


async def test_watching_says_nothing_where_nothing_changes(base: Path) -> None:
    assert await Watched(base, nothing, nothing).run() == []


async def test_watching_tells_of_a_folder_that_went_and_came_back(base: Path) -> None:
    away, here = base / "away", base / "policies"

    def come_back() -> None:
        away.rename(here)
        (here / "one.yaml").write_text(ASK)

    told = await Watched(base, lambda: here.rename(away), nothing, come_back).run()
    assert "its folder cannot be read" in str(told[0][1].errors[0])
    assert told[1][1].changed


async def test_watching_loads_nothing_that_is_still_being_written(base: Path) -> None:
    path = base / "policies" / "one.yaml"
    parts = [
        "",
        "rules:\n",
        "rules:\n  - {id: a,",
        "rules:\n  - {id: a, decision: deny}\n",
        DENY + ASK.replace("rules", "#"),
    ]
    writing = [lambda text=text: path.write_text(text) for text in parts]  # type: ignore[misc]  # its default binds the text
    told = await Watched(base, *writing).run()
    assert [(look, reloaded.changed, reloaded.errors) for look, reloaded in told] == [(6, True, ())]


def test_a_pack_is_one_policy_of_the_set_and_judges_under_its_own_name(base: Path) -> None:
    snapshot = loader(base, "pack:git=code", "policies/*.yaml").load()
    assert sorted(snapshot.files) == ["pack:git", "policies/one.yaml", "policies/two.yaml"]
    assert '"code/git_status"' in snapshot.files["pack:git"]
    assert read_named([Path("pack:git=code")]) == {"pack:git": snapshot.files["pack:git"]}


def test_p01_a_pack_that_does_not_exist_stops_the_whole_set(base: Path) -> None:
    assert "there is no pack 'gti' (did you mean 'git'?)" in error_of(base, "pack:gti", "policies/*.yaml")


def test_no_file_on_disk_passes_for_a_pack(base: Path) -> None:
    (base / "pack:git").write_text(DENY)
    assert "only a pack is called 'pack:…'" in error_of(base, "*")

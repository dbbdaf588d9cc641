"""What is said of the machine."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from proxy.doctor import machine
from proxy.doctor.finding import Standing
from tests.proxy.doctor.builders import standings, subject


def test_here_versions_and_package_names_are_right() -> None:
    assert standings(machine.versions()) == {Standing.OK}
    assert standings(machine.package_names()) == {Standing.OK}


def test_a_package_that_is_missing_and_one_of_a_stranger_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    needs = ["no-such-package>=1,<2", "mcp (>=2)", 'another-one; extra == "dev"']
    monkeypatch.setattr(machine, "requires", lambda _: needs)
    assert machine.libraries() == ["mcp", "no-such-package"]
    missing, rest = machine.versions()
    assert (missing.standing, "no-such-package is not installed" in missing.says) == (Standing.PROBLEM, True)
    assert "mcp" in rest.details
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(machine, "PACKAGES", ("proxy", "strange"))
    (found,) = machine.package_names()
    assert (found.standing, str(tmp_path / "strange") in found.says) == (Standing.PROBLEM, True)


def test_a_clock_behind_the_record_is_a_problem() -> None:
    now = time.time()
    for last, standing in ((None, Standing.OK), (now - 5, Standing.OK), (now + 60, Standing.PROBLEM)):
        assert standings(machine.clock(now, last)) == {standing}
    assert standings(machine.clock(0, None)) == {Standing.PROBLEM}


def test_more_connections_than_files_may_be_open_is_a_warning(tmp_path: Path) -> None:
    assert standings(machine.open_files(subject(tmp_path, limits={"connections_max": 10}))) == {Standing.OK}
    (found,) = machine.open_files(subject(tmp_path, limits={"connections_max": 1_000_000}))
    assert (found.standing, "LimitNOFILE=" in found.mend) == (Standing.WARNING, True)


def test_the_disk_is_measured_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    at = subject(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    (speed,) = machine.fsync_speed(at)
    assert 0 < speed.details["p50_us"] <= speed.details["p99_us"]
    (space,) = machine.disk(at)
    assert space.details["place"] == str(tmp_path)  # the data directory is not there yet
    assert sorted(tmp_path.rglob("*")) == before


def test_a_store_in_memory_or_over_a_network_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("tmpfs", "nfs4"):
        monkeypatch.setattr(machine, "file_system", lambda _, kind=kind: kind)
        assert standings(machine.fsync_speed(subject(tmp_path))) == {Standing.PROBLEM}


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/a / ext4 rw 0 0\nx /srv/my\\040data tmpfs rw 0 0\nnas:/ /srv nfs4 rw 0 0\n")
    found = [machine.file_system(Path(place), mounts) for place in ("/home", "/srv/x", "/srv/my data/y")]
    assert found == ["ext4", "nfs4", "tmpfs"]
    assert machine.file_system(tmp_path, tmp_path / "none") == "unknown"

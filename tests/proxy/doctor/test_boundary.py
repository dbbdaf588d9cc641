"""Which boundary one has: said weaker than it may be, never stronger."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.doctor import boundary
from proxy.doctor.finding import Standing
from tests.proxy.doctor.builders import subject


@pytest.mark.parametrize(
    ("gate", "this", "sudo", "word", "standing"),
    [
        (1000, 1000, "", "who is also you", Standing.WARNING),
        (1000, 0, "1000", "who is also you", Standing.WARNING),
        (1001, 1000, "", "same user, perhaps", Standing.WARNING),
        (0, 0, "", "runs as root", Standing.WARNING),
        (0, 1000, "", "runs as root", Standing.WARNING),
        (990, 990, "", "who is also you", Standing.WARNING),
        (990, 0, "1000", "another system user", Standing.OK),
        (990, 990, "1000", "another system user", Standing.OK),
    ],
)
def test_the_boundary_is_told_by_whose_user_the_gate_is_and_who_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: int, this: int, sudo: str, word: str, standing: Standing
) -> None:
    monkeypatch.setattr(boundary, "gate_user", lambda _: gate)
    (found,) = boundary.boundary(subject(tmp_path, user=this, environ={"SUDO_UID": sudo} if sudo else {}))
    assert (found.standing, word in found.says) == (standing, True), found.says
    assert ("advisory" in found.says) == (standing is Standing.WARNING)


def test_agents_without_keys_are_warned_of_and_agents_from_afar_are_mentioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boundary, "gate_user", lambda _: 990)
    at = subject(
        tmp_path, user=1000, anonymous={"enabled": True}, agents_listener={"port": 1, "public_url": "https://g.example"}
    )
    whole, anonymous = boundary.boundary(at)
    assert "from other hosts" in whole.says
    assert (anonymous.standing, "without a key" in anonymous.says) == (Standing.WARNING, True)


def test_the_gates_user_is_that_of_its_process_or_of_its_data(tmp_path: Path) -> None:
    mine = tmp_path.stat().st_uid
    assert boundary.gate_user(subject(tmp_path, gate=1)) == Path("/proc/1").stat().st_uid
    assert boundary.gate_user(subject(tmp_path, gate=2**22 + 1, user=4_711)) == 4_711
    at = subject(tmp_path, user=4_711)
    at.data_dir.mkdir()
    assert boundary.gate_user(at) == mine

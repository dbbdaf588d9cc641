"""File modes: each that is too wide is named with the command that mends it, and mended it is not named again."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from proxy.doctor.finding import Standing
from proxy.doctor.modes import file_modes
from tests.proxy.doctor.builders import standings, subject, write


async def test_a_gate_of_ours_is_in_order_and_what_is_widened_is_named_until_it_is_mended(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    servers = {"shop": {"url": "https://shop.example.com/mcp", "headers": {"Authorization": {"file": str(secret)}}}}
    at = subject(tmp_path, servers=servers)
    await write(at)
    assert standings(file_modes(at)) == {Standing.OK}, list(file_modes(at))
    widened = [
        (at.data_dir, 0o755),
        (at.store, 0o644),
        (at.keys_dir, 0o750),
        (at.keys_dir / "interlock.keys", 0o640),
        (secret, 0o604),
        (at.loaded.file, 0o620),
        (tmp_path / "policies" / "shop.yaml", 0o666),
        (tmp_path / "policies", 0o777),
    ]
    for path, mode in widened:
        path.chmod(mode)
    found = list(file_modes(at))
    assert standings(found) == {Standing.PROBLEM}
    for path, _ in widened:
        assert any(f" {path} " in one.says for one in found), path
    for one in found:
        subprocess.run(shlex.split(one.mend), check=True)
    assert standings(file_modes(at)) == {Standing.OK}


def test_a_header_in_clear_in_a_file_that_others_read_is_a_warning_and_is_not_repeated(tmp_path: Path) -> None:
    servers = {"shop": {"url": "https://shop.example.com/mcp", "headers": {"Authorization": "Bearer hunter2"}}}
    at = subject(tmp_path, servers=servers)
    assert standings(file_modes(at)) == {Standing.OK}
    at.loaded.file.chmod(0o644)
    (found,) = file_modes(at)
    assert (found.standing, "servers.shop.headers.Authorization" in found.says) == (Standing.WARNING, True)
    assert "hunter2" not in str(found)


def test_a_link_in_place_of_the_store_is_a_problem(tmp_path: Path) -> None:
    at = subject(tmp_path)
    at.data_dir.mkdir(mode=0o700)
    at.store.symlink_to(tmp_path / "elsewhere")
    assert any("symbolic link" in one.says for one in file_modes(at))

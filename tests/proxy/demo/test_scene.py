"""The demo's stage: configuration, policies and repository."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.config import HttpServer, StdioServer
from proxy.demo import scene
from proxy.demo.scene import AGENT, SceneFailed, demo_config, make_repository


def test_the_configuration_stays_in_its_folder_and_on_this_machine(tmp_path: Path) -> None:
    config = demo_config(tmp_path, 9001, agents_port=0, reviewers_port=0, hold_sec=3)
    assert (config.data_dir, config.keys_dir) == (tmp_path / "data", tmp_path / "keys")
    assert (config.agents_listener.host, config.reviewers_listener.host) == ("127.0.0.1", "127.0.0.1")
    assert (config.agents_listener.port, config.reviewers_listener.port) == (0, 0)
    assert (config.anonymous.enabled, config.anonymous.name) == (True, AGENT)
    assert config.parking.hold_sec == 3
    assert list(Path("/").glob(config.policies[0].lstrip("/"))) == list(scene.POLICIES.glob("*.yaml"))


def test_the_servers_are_ours_over_http_and_the_third_parties_over_stdio(tmp_path: Path) -> None:
    make_repository(tmp_path / "repository")
    servers = demo_config(tmp_path, 9001).servers
    assert list(servers) == ["payments", "time", "git"]
    payments, git = servers["payments"], servers["git"]
    assert isinstance(payments, HttpServer)
    assert payments.url == "http://127.0.0.1:9001/mcp"
    assert isinstance(git, StdioServer)
    assert git.args == ["-m", "mcp_server_git", "--repository", str(tmp_path / "repository")]


def test_without_a_repository_there_is_no_git_server(tmp_path: Path) -> None:
    assert list(demo_config(tmp_path, 9001).servers) == ["payments", "time"]


def test_a_third_party_that_is_not_installed_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene, "find_spec", lambda name: None)
    make_repository(tmp_path / "repository")
    assert list(demo_config(tmp_path, 9001).servers) == ["payments"]
    assert list(scene.left_out()) == ["time", "git"]


def test_without_git_the_scene_is_without_the_git_server_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "repository").mkdir()
    assert scene.left_out() == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert scene.left_out() == {"git": "git is not installed"}
    assert list(demo_config(tmp_path, 9001).servers) == ["payments", "time"]


def test_the_repository_is_the_same_every_time_whatever_the_users_git_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def log(directory: Path) -> str:
        command = ["git", "-C", str(directory), "log", "--format=%H %an %s"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    first = log(make_repository(tmp_path / "one"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody else")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    make_repository(tmp_path / "two")
    monkeypatch.undo()
    assert log(tmp_path / "two") == first
    assert [line.split(" ", 2)[1:] for line in first.splitlines()] == [
        ["Demo", message] for message, _ in reversed(scene.COMMITS)
    ]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (FileNotFoundError(), "git is not installed"),
        (subprocess.TimeoutExpired("git", 30), "git init did not end within 30 s"),
        (subprocess.CalledProcessError(128, "git", stderr="fatal: no space\n"), "git init failed: fatal: no space"),
    ],
)
def test_what_git_lacks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, said: str) -> None:
    def run(*_: Any, **__: Any) -> Callable[..., None]:
        raise failure

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SceneFailed, match=said):
        make_repository(tmp_path / "repository")

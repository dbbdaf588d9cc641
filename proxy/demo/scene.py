"""Where the demo plays: its configuration, its policies and a git repository, all made afresh in one folder.

Rules of this module:
* Everything it writes lies under the folder it is given; nothing of the user's settings is read or changed.
* Third-party servers are taken from the environment that the gate runs in; where one is not installed, the scene is
  without it, and `left_out` says why.
* git is run with no configuration but ours, and with a fixed author and date.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from proxy.config import Anonymous, Config, HttpServer, Listener, StdioServer

POLICIES: Final = Path(__file__).with_name("policies")
AGENT: Final = "demo-agent"
APPROVERS: Final = "finance-approvers"
GIT_SEC_MAX: Final = 30

COMMITS: Final = (
    ("Start the shop", {"README.md": "# Shop\n\nSells what it has.\n"}),
    ("Say what a refund is", {"docs/refunds.md": "A refund pays back what was paid, once.\n"}),
    ("Open on Sundays", {"README.md": "# Shop\n\nSells what it has, on Sundays too.\n"}),
)


class SceneFailed(Exception):
    """The demo's stage could not be set; the text says what is missing."""


def demo_config(
    directory: Path,
    payments_port: int,
    *,
    agents_port: int = 8610,
    reviewers_port: int = 8611,
    hold_sec: float = 50,
    has_undo: bool = True,
) -> Config:
    """The demo's gate: data and keys under `directory`, agents without keys, and what servers there are.

    `has_undo` False: an approved call goes at once, as a script wants it.

    The git server is there where its repository is: see `make_repository`.
    """
    servers: dict[str, HttpServer | StdioServer] = {
        "payments": HttpServer(url=f"http://127.0.0.1:{payments_port}/mcp"),
    }
    absent = left_out()
    if "time" not in absent:
        servers["time"] = StdioServer(command=sys.executable, args=["-m", "mcp_server_time", "--local-timezone", "UTC"])
    repository = directory / "repository"
    if "git" not in absent and repository.is_dir():
        servers["git"] = StdioServer(
            command=sys.executable, args=["-m", "mcp_server_git", "--repository", str(repository)], cwd=repository
        )
    return Config.model_validate(
        {
            "data_dir": directory / "data",
            "keys_dir": directory / "keys",
            "agents_listener": Listener(port=agents_port),
            "reviewers_listener": Listener(port=reviewers_port),
            "policies": [str(POLICIES / "*.yaml")],
            "servers": servers,
            "anonymous": Anonymous(enabled=True, name=AGENT),
            "parking": {"hold_sec": hold_sec},
            "reviewing": {} if has_undo else {"undo_sec": {}},
        }
    )


def left_out() -> dict[str, str]:
    """Third-party servers that cannot be shown here, and why."""
    missing = {
        server: f"the package {package} is not installed"
        for server, package in (("time", "mcp-server-time"), ("git", "mcp-server-git"))
        if find_spec(package.replace("-", "_")) is None
    }
    if shutil.which("git") is None:
        missing.setdefault("git", "git is not installed")
    return missing


def make_repository(directory: Path) -> Path:
    """A small git repository with three commits, the same ones every time. Raises: SceneFailed."""
    directory.mkdir(parents=True)
    _git(directory, "init", "--quiet", "--initial-branch=main")
    for number, (message, files) in enumerate(COMMITS):
        for name, text in files.items():
            file = directory / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        _git(directory, "add", "--all")
        _git(directory, "commit", "--quiet", "--message", message, at=f"2026-01-0{number + 1}T09:00:00+00:00")
    return directory


def _git(directory: Path, *arguments: str, at: str = "2026-01-01T09:00:00+00:00") -> None:
    """Raises: SceneFailed."""
    who = {"NAME": "Demo", "EMAIL": "demo@example.com", "DATE": at}
    identity = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
    path = os.environ.get("PATH", os.defpath)
    isolated = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PATH": path, "HOME": str(directory)}
    try:
        subprocess.run(  # noqa: S603 - our own arguments, no shell
            ["git", *arguments],  # noqa: S607 - found where the user's own shell finds it
            cwd=directory,
            env=isolated | identity,
            capture_output=True,
            text=True,
            timeout=GIT_SEC_MAX,
            check=True,
        )
    except FileNotFoundError as error:
        raise SceneFailed("git is not installed, and the demo shows a git server") from error
    except subprocess.TimeoutExpired as error:
        raise SceneFailed(f"git {arguments[0]} did not end within {GIT_SEC_MAX} s") from error
    except subprocess.CalledProcessError as error:
        raise SceneFailed(f"git {arguments[0]} failed: {error.stderr.strip()}") from error

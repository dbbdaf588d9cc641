"""What else stands in front of a tool server: each peer, how it is installed and started, and where its tool is called.

Rules of this module:
* Peers are installed from the public indexes into `.bench/peers`, each in an environment of its own; none is imported.
* Each is configured as its own documentation says, with its rate limits out of the way, and with nothing else off.
* A peer that cannot be installed or started is reported as not compared, with the reason; it is not a result.
* What each does is told beside its figures: most do less than a gate does.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load import Client, Target, Unanswered, lookup_arguments
from bench.processes import DidNotStart, free_port, listens, started

HOME = Path(__file__).parents[1] / ".bench" / "peers"
INSTALL_SEC_MAX = 600
REGISTER_TRIES_MAX = 40


class NotCompared(Exception):
    """This peer could not be run here; the text says why."""


@dataclass(frozen=True, slots=True)
class Running:
    """A peer that serves: its process, and where its tool is called."""

    pid: int
    target: Target


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer. `run(upstream_url, folder)` starts it in front of that MCP server, with its files in `folder`."""

    name: str
    does: str
    run: Callable[[str, Path], Any]  # a context manager of Running


def _environment(package: str, program: str) -> Path:
    """The program of a Python package, installed if it is not. Raises: NotCompared."""
    place = HOME / package
    if not (place / "bin" / program).exists():
        for command in (
            ["uv", "venv", "--quiet", "--clear", "--python", "3.13", str(place)],
            ["uv", "pip", "install", "--quiet", "--python", str(place / "bin" / "python"), package],
        ):
            _install(package, command)
    return place / "bin" / program


def _install(package: str, command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SEC_MAX)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise NotCompared(f"{package} could not be installed: {said.strip()[-300:]}") from error


@contextmanager
def _serving(command: list[str], folder: Path, port: int, env: dict[str, str] | None = None) -> Iterator[int]:
    """The process id, once it accepts connections. Raises: NotCompared."""
    log = folder / "peer.log"
    with started(command, log=log, cwd=folder, env=env) as child:
        try:
            listens(child, log, port)
        except DidNotStart as problem:
            raise NotCompared(f"it did not start: {problem}") from problem
        yield child.pid


@contextmanager
def context_forge(upstream: str, folder: Path) -> Iterator[Running]:
    program = _environment("mcp-contextforge-gateway", "mcpgateway")
    port, secret, admin = free_port(), "of-this-benchmark-alone-0123456789abcdef", "admin@example.com"
    env = {
        "AUTH_REQUIRED": "true",
        "MCP_CLIENT_AUTH_ENABLED": "true",
        "RATE_LIMITING_ENABLED": "false",
        "SSRF_ALLOW_LOCALHOST": "true",
        "SSRF_ALLOW_PRIVATE_NETWORKS": "true",
        "CACHE_TYPE": "memory",
        "PASSWORD_CHANGE_ENFORCEMENT_ENABLED": "false",
        "JWT_SECRET_KEY": secret,
        "AUTH_ENCRYPTION_SECRET": secret,
        "PLATFORM_ADMIN_EMAIL": admin,
        "PLATFORM_ADMIN_PASSWORD": "Of-this-benchmark-1!",
        "DEFAULT_USER_PASSWORD": "Of-this-benchmark-2!",
        "DATABASE_URL": f"sqlite:///{folder}/forge.db",
    }
    with _serving([str(program), "--host", "127.0.0.1", "--port", str(port)], folder, port, env) as pid:
        make_token = ["-m", "mcpgateway.utils.create_jwt_token", "--username", admin, "--exp", "10080", "--admin"]
        made = subprocess.run(
            [str(program.with_name("python")), *make_token, "--secret", secret],
            env={**os.environ, **env},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        token = made.stdout.strip().splitlines()[-1] if made.stdout.strip() else ""
        headers = {"authorization": f"Bearer {token}"}
        name = asyncio.run(_register(f"http://127.0.0.1:{port}", headers, upstream))
        yield Running(pid, Target(f"http://127.0.0.1:{port}/mcp/", headers, tool=name))


async def _register(base: str, headers: dict[str, str], upstream: str) -> str:
    """Make the tool server known to ContextForge; the name its tool has there. Raises: NotCompared."""
    gateway = {"name": "up", "url": upstream, "transport": "STREAMABLEHTTP", "visibility": "public"}
    last = ""
    for _ in range(REGISTER_TRIES_MAX):  # it accepts connections before it is ready
        client = Client(Target(f"{base}/gateways", headers))
        try:
            status, _, body = await client.post(gateway)
        except (Unanswered, OSError) as problem:
            last = str(problem)
        else:
            if status in (200, 201, 409):
                return await _listed(Target(f"{base}/mcp/", headers), "lookup")
            last = f"{status}: {body[:300]!r}"
        finally:
            client.close()
        await asyncio.sleep(0.5)
    raise NotCompared(f"the tool server could not be registered: {last}")


async def _listed(target: Target, ends_with: str) -> str:
    """The name under which a gateway lists the tool. Raises: NotCompared."""
    last = ""
    for _ in range(REGISTER_TRIES_MAX):
        client = Client(target)
        try:
            await client.open()
            _, _, body = await client.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        except (Unanswered, OSError) as problem:
            last = str(problem)
        else:
            names = re.findall(rb'"name"\s*:\s*"([\w-]+)"', body)
            if found := [name.decode() for name in names if name.decode().endswith(ends_with)]:
                return found[0]
            last = body[:300].decode(errors="replace")
        finally:
            client.close()
        await asyncio.sleep(0.5)
    raise NotCompared(f"its list of tools has no {ends_with}: {last}")


@contextmanager
def hangar(upstream: str, folder: Path) -> Iterator[Running]:
    program, port = _environment("mcp-hangar", "mcp-hangar"), free_port()
    config = {
        "mcp_servers": {"up": {"mode": "remote", "endpoint": upstream, "tools": {"approval_list": ["delete_*"]}}},
        "tool_access": {"mode": "egress"},
        "rate_limit": {"rps": 100000, "burst": 100000},
    }
    file = folder / "hangar.yaml"
    file.write_text(json.dumps(config))
    command = [str(program), "--config", str(file), "serve", "--http", "--host", "127.0.0.1", "--port", str(port)]

    def arguments(number: int) -> dict[str, Any]:
        return {"calls": [{"mcp_server": "up", "tool": "lookup", "arguments": lookup_arguments(number)}]}

    with _serving(command, folder, port, {"MCP_RATE_LIMIT_RPS": "100000", "MCP_RATE_LIMIT_BURST": "100000"}) as pid:
        yield Running(pid, Target(f"http://127.0.0.1:{port}/mcp", tool="hangar_call", arguments=arguments))


@contextmanager
def python_mcp_proxy(upstream: str, folder: Path) -> Iterator[Running]:
    program, port = _environment("mcp-proxy", "mcp-proxy"), free_port()
    command = [str(program), "--host", "127.0.0.1", "--port", str(port), "--", *_bridge(program, upstream)]
    with _serving(command, folder, port) as pid:
        yield Running(pid, Target(f"http://127.0.0.1:{port}/mcp"))


def _bridge(program: Path, upstream: str) -> list[str]:
    """stdio on one side, the MCP server over HTTP on the other: PyPI's mcp-proxy as a client."""
    return [str(program), "--transport", "streamablehttp", upstream]


@contextmanager
def npm_mcp_proxy(upstream: str, folder: Path) -> Iterator[Running]:
    program, port, place = _environment("mcp-proxy", "mcp-proxy"), free_port(), HOME / "npm"
    node_program = place / "node_modules" / ".bin" / "mcp-proxy"
    if not node_program.exists():
        place.mkdir(parents=True, exist_ok=True)
        _install("mcp-proxy (npm)", ["npm", "install", "--silent", "--prefix", str(place), "mcp-proxy@6"])
    options = ["--host", "127.0.0.1", "--port", str(port), "--server", "stream"]
    with _serving([str(node_program), *options, "--", *_bridge(program, upstream)], folder, port) as pid:
        yield Running(pid, Target(f"http://127.0.0.1:{port}/mcp"))


@contextmanager
def mitmdump(upstream: str, folder: Path) -> Iterator[Running]:
    port, (base, path) = free_port(), upstream.rsplit("/", 1)
    program = Path(sys.executable).with_name("mitmdump")
    options = ["--quiet", "--mode", f"reverse:{base}", "--listen-host", "127.0.0.1", "--listen-port", str(port)]
    with _serving([str(program), *options, "--set", f"confdir={folder}"], folder, port) as pid:
        yield Running(pid, Target(f"http://127.0.0.1:{port}/{path}"))


PEERS = (
    Peer("ContextForge", "auth, registry, SQLite; no approval, no inspection switched on", context_forge),
    Peer("MCP Hangar", "policy by tool name, approvals, audit events; no inspection", hangar),
    Peer("mcp-proxy (PyPI)", "carries only", python_mcp_proxy),
    Peer("mcp-proxy (npm)", "carries only, over a stdio bridge", npm_mcp_proxy),
    Peer("mitmdump", "carries only, reverse mode", mitmdump),
)

"""Packs before the servers they were written for, as installed: a real repository, real folders, a whole gate."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client

from audit.entry import EntryDraft, EntryKind
from policies.packs import pack_tools
from proxy.app import App
from review.desk import Seen
from review.model import Account, CallState, Reviewer
from tests.blackbox.whole_gate import endpoint, whole_gate

MARIA = Reviewer("maria", frozenset({"reviewer"}), frozenset())
FILESYSTEM = "@modelcontextprotocol/server-filesystem@2026.8.31"


@asynccontextmanager
async def gate(base: Path, pack: str, command: str, *args: str) -> AsyncIterator[App]:
    servers = {"mine": {"command": command, "args": list(args)}}
    async with whole_gate(base, "rules: [{decision: deny}]", servers, policies=[f"pack:{pack}=mine"]) as app:
        account = Account("maria", None, roles=("reviewer",), teams=())
        await app.store.put_account(account, EntryDraft(EntryKind.ACCOUNT_CHANGED, app.clock(), "gate"))
        yield app


async def waiting(app: App, tool: str) -> str:
    """The id of the call of this tool, once it waits for a person."""
    async with asyncio.timeout(20):
        while True:
            calls = [one for one in await app.store.calls_in([CallState.WAITING], limit=50) if one.tool == tool]
            if calls:
                return calls[0].id
            await asyncio.sleep(0.01)


async def approve(app: App, call_id: str) -> None:
    """A reviewer looks at the call and approves it, with the comment that packs may ask for."""
    shown = await app.inbox.show(call_id, MARIA)
    assert shown.review is not None
    assert shown.digest is not None
    seen = Seen(version=shown.review.version, shown=shown.digest, looked_ms=5_000)
    await app.inbox.approve(shown.review.id, MARIA, seen, "as agreed")


async def known_tools(client: Client) -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools} - {"interlock_collect"}


def said(result: Any) -> str:
    return str(result.content[0].text)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "a.txt").write_text("one\n")
    for command in (
        ("init", "-q", "-b", "main"),
        ("config", "user.email", "a@example.com"),
        ("config", "user.name", "A"),
        ("add", "a.txt"),
        ("commit", "-q", "-m", "first"),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def messages(repository: Path) -> list[str]:
    done = subprocess.run(["git", "log", "--format=%s"], cwd=repository, check=True, capture_output=True, text=True)
    return done.stdout.split()


async def test_the_git_pack_knows_every_tool_of_its_server_reads_freely_and_asks_before_a_commit(
    repository: Path, tmp_path: Path
) -> None:
    program = shutil.which("mcp-server-git")
    assert program is not None, "it comes with the development group"
    where = {"repo_path": str(repository)}
    async with gate(tmp_path, "git", program) as app, Client(endpoint(app, "mine")) as agent:
        assert await known_tools(agent) == pack_tools()["git"]
        assert "first" in said(await agent.call_tool("git_log", where))
        stopped = await agent.call_tool("git_diff", where | {"target": "--output=b.txt"})
        assert (stopped.is_error, "cannot begin with a dash" in said(stopped)) == (True, True)
        (repository / "a.txt").write_text("two\n")
        for tool, more in (("git_add", {"files": ["a.txt"]}), ("git_commit", {"message": "second"})):
            asking = asyncio.ensure_future(agent.call_tool(tool, where | more))
            call = await waiting(app, tool)
            assert messages(repository) == ["first"]
            await approve(app, call)
            assert not (await asking).is_error
    assert messages(repository) == ["second", "first"]
    assert not (repository / "b.txt").exists()


@pytest.mark.conformance
async def test_the_filesystem_pack_knows_every_tool_of_its_server_and_keeps_secrets_for_people(tmp_path: Path) -> None:
    npx = shutil.which("npx")
    if npx is None:
        pytest.skip("npx is not installed")
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "plan.md").write_text("the plan")
    (folder / ".env").write_text("TOKEN=none")
    async with gate(tmp_path, "filesystem", npx, "-y", FILESYSTEM, str(folder)) as app:
        async with Client(endpoint(app, "mine")) as agent:
            assert await known_tools(agent) == pack_tools()["filesystem"]
            assert said(await agent.call_tool("read_text_file", {"path": str(folder / "plan.md")})) == "the plan"
            for tool, arguments in (
                ("read_text_file", {"path": str(folder / ".env")}),
                ("write_file", {"path": str(folder / "new.md"), "content": "new"}),
            ):
                asking = asyncio.ensure_future(agent.call_tool(tool, arguments))
                call = await waiting(app, tool)
                assert not (folder / "new.md").exists()
                await approve(app, call)
                assert not (await asking).is_error
    assert (folder / "new.md").read_text() == "new"


@pytest.mark.conformance
@pytest.mark.parametrize(
    ("pack", "package", "arguments", "denied"),
    [
        ("stripe", "@stripe/mcp@0.2.4", ("--tools=all", "--api-key=sk_test_none"), None),
        ("playwright", "@playwright/mcp@0.0.83", (), ("browser_evaluate", {"function": "() => 1"})),
    ],
)
async def test_other_packs_know_every_tool_of_their_servers_too(
    pack: str, package: str, arguments: tuple[str, ...], denied: tuple[str, dict[str, Any]] | None, tmp_path: Path
) -> None:
    npx = shutil.which("npx")
    if npx is None:
        pytest.skip("npx is not installed")
    async with gate(tmp_path, pack, npx, "-y", package, *arguments) as app, Client(endpoint(app, "mine")) as agent:
        assert await known_tools(agent) == pack_tools()[pack]
        if denied is not None:
            assert "Scripts do not run" in said(await agent.call_tool(*denied))

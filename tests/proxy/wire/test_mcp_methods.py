"""The method table: one row per message, compared with the SDK's maps, and closed for everything else."""

from __future__ import annotations

import pytest
from mcp.types import methods as sdk
from mcp.types.version import KNOWN_PROTOCOL_VERSIONS

from policies.model import Direction
from proxy.wire.mcp_methods import METHODS, REQUEST_METHODS, Era, Handling, Kind, Method, Revision, method
from redaction.model import Surface

TO_TOOL, TO_AGENT = Direction.AGENT_TO_TOOL, Direction.TOOL_TO_AGENT
TASKS_2025 = {"tasks/get", "tasks/result", "tasks/list", "tasks/cancel"}
TASKS_2026 = {"tasks/get", "tasks/update", "tasks/cancel"}
SWALLOWED = {"notifications/initialized", "notifications/progress", "notifications/roots/list_changed"}


def names(revision: Revision, direction: Direction, kind: Kind) -> set[str]:
    return {row.name for row in METHODS if revision in row.revisions and (row.direction, row.kind) == (direction, kind)}


def known_to_sdk(table: object, revision: Revision) -> set[str]:
    return {name for name, version in table if version == revision.value}  # type: ignore[attr-defined] # a mapping


def tasks(revision: Revision, direction: Direction) -> set[str]:
    if revision is Revision.R2025_11_25:
        return TASKS_2025
    return TASKS_2026 if revision is Revision.R2026_07_28 and direction is TO_TOOL else set()


def test_the_revisions_are_the_five_released_ones() -> None:
    assert [revision.value for revision in Revision] == list(KNOWN_PROTOCOL_VERSIONS)[:5]
    assert [revision.era for revision in Revision] == [Era.HANDSHAKE] * 4 + [Era.MODERN]


@pytest.mark.parametrize("revision", Revision)
def test_j15_the_requests_of_agents_are_the_sdks_and_the_tasks(revision: Revision) -> None:
    expected = known_to_sdk(sdk.CLIENT_REQUESTS, revision) | tasks(revision, TO_TOOL)
    assert names(revision, TO_TOOL, Kind.REQUEST) == expected | {"server/discover"}


@pytest.mark.parametrize("revision", Revision)
def test_j15_the_requests_of_tools_are_the_sdks_and_the_tasks(revision: Revision) -> None:
    expected = known_to_sdk(sdk.SERVER_REQUESTS, revision) | tasks(revision, TO_AGENT)
    assert names(revision, TO_AGENT, Kind.REQUEST) == expected


@pytest.mark.parametrize("revision", Revision)
def test_j15_the_notifications_are_the_sdks_and_the_tasks(revision: Revision) -> None:
    status = {"notifications/tasks/status"} if revision is Revision.R2025_11_25 else set()
    modern = revision is Revision.R2026_07_28
    expected = known_to_sdk(sdk.CLIENT_NOTIFICATIONS, revision) | status | (SWALLOWED if modern else set())
    assert names(revision, TO_TOOL, Kind.NOTIFICATION) == expected
    expected = (
        known_to_sdk(sdk.SERVER_NOTIFICATIONS, revision) | status | ({"notifications/tasks"} if modern else set())
    )
    assert names(revision, TO_AGENT, Kind.NOTIFICATION) == expected


# What the gate does with each request of an agent, and the same of a tool: written out again, on purpose.
JUDGED = {
    *("tools/call", "resources/read", "prompts/get", "completion/complete"),
    *("tasks/get", "tasks/result", "tasks/list", "tasks/cancel", "tasks/update"),
    *("sampling/createMessage", "elicitation/create", "roots/list"),
}
LISTINGS = {
    *("initialize", "server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list"),
}
PLAIN = {"ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "subscriptions/listen"}


@pytest.mark.parametrize("row", [row for row in METHODS if row.kind is Kind.REQUEST], ids=lambda row: row.name)
def test_j15_whatever_reads_or_acts_is_judged(row: Method) -> None:
    assert row.handling is (Handling.JUDGED if row.name in JUDGED else Handling.NOTED)
    assert row.name in JUDGED | LISTINGS | PLAIN
    if row.direction is TO_TOOL:
        assert row.surface is (Surface.LISTING if row.name in LISTINGS else Surface.RESULT)
    else:
        assert row.surface is Surface.ARGUMENTS  # what comes back of it goes to the tool


@pytest.mark.parametrize("row", [row for row in METHODS if row.kind is Kind.NOTIFICATION], ids=lambda row: row.name)
def test_notifications_are_noted_and_inspected_on_their_way_to_the_agent(row: Method) -> None:
    is_swallowed = row.direction is TO_TOOL and row.revisions == {Revision.R2026_07_28}
    assert row.handling is (Handling.SWALLOWED if is_swallowed else Handling.NOTED)
    assert row.surface is (Surface.NOTIFICATION if row.direction is TO_AGENT else Surface.ARGUMENTS)


@pytest.mark.parametrize("revision", Revision)
@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("direction", [TO_TOOL, TO_AGENT, Direction.AGENT_ANSWER])
@pytest.mark.parametrize(
    "name", ["", "tools/Call", "tools/call ", "tools/delete", "unknown/method", "notifications/x", "*"]
)
def test_j15_what_is_not_in_the_table_is_refused(
    revision: Revision, kind: Kind, direction: Direction, name: str
) -> None:
    assert method(revision, direction, kind, name) is None


@pytest.mark.parametrize("revision", Revision)
def test_a_row_holds_for_its_direction_and_kind_alone(revision: Revision) -> None:
    call = method(revision, TO_TOOL, Kind.REQUEST, "tools/call")
    assert call is not None
    assert (call.name, call.handling, call.surface, call.subject) == (
        "tools/call",
        Handling.JUDGED,
        Surface.RESULT,
        "name",
    )
    assert method(revision, TO_AGENT, Kind.REQUEST, "tools/call") is None
    assert method(revision, TO_TOOL, Kind.NOTIFICATION, "tools/call") is None


def test_no_message_has_two_rows() -> None:
    cells = [(revision, row.direction, row.kind, row.name) for row in METHODS for revision in row.revisions]
    assert len(cells) == len(set(cells))


def test_no_name_is_a_request_in_one_revision_and_a_notification_in_another() -> None:
    assert {row.name for row in METHODS if row.kind is Kind.NOTIFICATION} & REQUEST_METHODS == set()

"""The table of the protocol's members: roles, zones, and data wherever it is silent."""

from __future__ import annotations

import pytest

from redaction.shape import ANYTHING, ENVELOPE, OBJECTS, PLAIN, Member, Role, Zone, key_role, member_of, start


def at(*path: str) -> Member:
    member = ENVELOPE
    for key in path:
        member = member_of(member, key) or ANYTHING
    return member


@pytest.mark.parametrize(
    ("path", "role"),
    [
        (("id",), Role.OPAQUE),
        (("result", "content", "text"), Role.DATA),
        (("result", "content", "type"), Role.IDENTIFIER),
        (("result", "content", "data"), Role.BLOB),
        (("result", "content", "uri"), Role.IDENTIFIER),
        (("result", "nextCursor"), Role.OPAQUE),
        (("result", "requestState"), Role.OPAQUE),
        (("result", "structuredContent", "id"), Role.DATA),
        (("result", "structuredContent", "nextCursor"), Role.DATA),
        (("result", "anything", "uri"), Role.DATA),
        (("result", "_meta", "progressToken"), Role.OPAQUE),
        (("result", "_meta", "vendor/key"), Role.DATA),
        (("result", "tools", "name"), Role.IDENTIFIER),
        (("result", "tools", "inputSchema", "properties", "a", "enum"), Role.IDENTIFIER),
        (("result", "tools", "inputSchema", "properties", "a", "description"), Role.DATA),
        (("result", "capabilities", "tools", "listChanged"), Role.DATA),
        (("error", "code"), Role.MEASURE),
        (("error", "message"), Role.DATA),
        (("error", "data", "id"), Role.DATA),
        (("params", "progress"), Role.MEASURE),
        (("params", "message"), Role.DATA),
        (("params", "requestedSchema", "title"), Role.DATA),
        (("result", "inputRequests", "q1", "params", "message"), Role.DATA),
        (("result", "inputRequests", "q1", "method"), Role.IDENTIFIER),
    ],
)
def test_what_may_be_done_at_a_place(path: tuple[str, ...], role: Role) -> None:
    assert at(*path).role is role


def test_every_object_the_table_names_is_in_it() -> None:
    named = {member.object for members in OBJECTS.values() for member in members.values() if member.object}
    assert named <= set(OBJECTS)


def test_an_id_is_opaque_only_in_envelopes_and_blocks_of_sampling() -> None:
    assert {name for name, members in OBJECTS.items() if "id" in members} == {"envelope", "block"}


def test_roots_of_field_rules() -> None:
    roots = {(name, key) for name, members in OBJECTS.items() for key, member in members.items() if member.is_root}
    assert roots == {
        ("envelope", "result"),
        ("envelope", "params"),
        ("error", "data"),
        ("result", "structuredContent"),
        ("result", "result"),
        ("params", "data"),
        ("params", "result"),
        ("block", "structuredContent"),
        ("request", "params"),
    }


def test_keys_of_schemas_and_request_maps_are_identifiers_and_the_protocols_own_are_not_looked_at() -> None:
    schema = at("result", "tools", "inputSchema")
    assert (schema.zone, key_role(schema, member_of(schema, "x"))) == (Zone.SCHEMA, Role.IDENTIFIER)
    requests = at("result", "inputRequests")
    assert key_role(requests, member_of(requests, "q1")) is Role.IDENTIFIER
    result = at("result")
    assert key_role(result, member_of(result, "content")) is None
    assert key_role(result, member_of(result, "novel")) is Role.DATA


@pytest.mark.parametrize(
    ("message", "is_arguments", "member"),
    [
        ({"jsonrpc": "2.0"}, False, ENVELOPE),
        ({"jsonrpc": "2.0"}, True, PLAIN),
        ({"jsonrpc": "1.0"}, False, PLAIN),
        ({"result": {}}, False, PLAIN),
        ([], False, PLAIN),
        ("text", False, PLAIN),
    ],
)
def test_where_a_walk_starts(message: object, is_arguments: bool, member: Member) -> None:
    assert start(message, is_arguments=is_arguments) is member

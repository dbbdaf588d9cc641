"""Ids and progress tokens of one child: unique going in, put back coming out (traps T21, T22)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstreams.correlation import SUBSCRIPTION_ID, Correlation, To


def correlation(**flags: bool) -> Correlation:
    return Correlation(is_shared=flags.get("shared", False), is_modern=flags.get("modern", False))


def request(request_id: Any, method: str = "tools/call", **meta: Any) -> dict[str, Any]:
    params: dict[str, Any] = {"name": "echo"} | ({"_meta": meta} if meta else {})
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def notification(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def test_t21_two_senders_with_one_id_are_never_confused() -> None:
    ids = correlation()
    ada, ada_inward = ids.ask(request("x"), "ada")
    bob, bob_inward = ids.ask(request("x"), "bob")
    assert (ada_inward["id"], bob_inward["id"]) == (1, 2)
    routed = ids.route({"jsonrpc": "2.0", "id": 2, "result": {}}, push_is_open=False)
    assert (routed.to, routed.asked, routed.message["id"]) == (To.ASKER_LAST, bob, "x")
    assert ids.in_flight == (ada, bob)


def test_the_progress_token_is_unique_inside_and_the_senders_own_outside() -> None:
    ids = correlation()
    ids.ask(request(1, progressToken="p", other="kept"), "ada")
    asked, inward = ids.ask(request(2, progressToken="p", other="kept"), "bob")
    assert inward["params"]["_meta"] == {"progressToken": 2, "other": "kept"}
    routed = ids.route(notification("notifications/progress", progressToken=2, progress=5), push_is_open=False)
    assert (routed.to, routed.asked) == (To.ASKER, asked)
    assert routed.message["params"] == {"progressToken": "p", "progress": 5}


def test_the_message_given_is_not_changed() -> None:
    given_message = request("x", progressToken=5)
    correlation().ask(given_message, "ada")
    assert given_message == request("x", progressToken=5)


@pytest.mark.parametrize("token", [None, True, 1.5, [1], {"a": 1}])
def test_what_is_no_token_is_left_alone(token: Any) -> None:
    ids = correlation()
    asked, inward = ids.ask(request(1, progressToken=token), "ada")
    assert asked.progress_token is None
    assert inward["params"]["_meta"] == {"progressToken": token}


@pytest.mark.parametrize("token", [True, 1.0, "1", None, 99])
def test_progress_for_nothing_in_flight_reaches_nobody(token: Any) -> None:
    ids = correlation()
    ids.ask(request(1, progressToken="p"), "ada")
    routed = ids.route(notification("notifications/progress", progressToken=token), push_is_open=True)
    assert routed.to is To.NOBODY


def test_progress_nobody_asked_for_reaches_nobody() -> None:
    ids = correlation()
    ids.ask(request(1), "ada")
    assert ids.route(notification("notifications/progress", progressToken=1), push_is_open=True).to is To.NOBODY


@pytest.mark.parametrize("answered", [7, "1", 1.0, True, None])
def test_an_answer_to_nothing_in_flight_reaches_nobody(answered: Any) -> None:
    ids = correlation()
    ids.ask(request("1"), "ada")
    routed = ids.route({"jsonrpc": "2.0", "id": answered, "error": {"code": 1, "message": ""}}, push_is_open=True)
    assert routed.to is To.NOBODY


def test_a_late_answer_reaches_nobody() -> None:
    ids = correlation()
    asked, _ = ids.ask(request("x"), "ada")
    assert ids.forget(asked)
    assert not ids.forget(asked)
    assert ids.route({"jsonrpc": "2.0", "id": 1, "result": {}}, push_is_open=False).to is To.NOBODY


def test_t22_cancelling_is_mapped_to_the_senders_own_latest_request() -> None:
    ids = correlation()
    ids.ask(request("x"), "ada")
    ids.ask(request("x"), "bob")
    ids.ask(request("x"), "ada")
    cancel = notification("notifications/cancelled", requestId="x", reason="bored")
    assert ids.cancel(cancel, "ada") == notification("notifications/cancelled", requestId=3, reason="bored")
    assert ids.cancel(cancel, "eve") is None


def test_cancelling_tells_the_types_of_ids_apart() -> None:
    ids = correlation()
    ids.ask(request(1), "ada")
    for wanted in ("1", 1.0, True):
        assert ids.cancel(notification("notifications/cancelled", requestId=wanted), "ada") is None


def test_t22_what_a_tool_asks_goes_with_the_only_request() -> None:
    ids = correlation()
    asked, _ = ids.ask(request("x"), "ada")
    sampling = request("theirs", "sampling/createMessage")
    for push_is_open in (False, True):
        routed = ids.route(sampling, push_is_open=push_is_open)
        assert (routed.to, routed.asked, routed.message) == (To.ASKER, asked, sampling)


def test_of_several_requests_the_latest_gets_it_unless_the_push_stream_is_read() -> None:
    ids = correlation()
    ids.ask(request("x"), "ada")
    latest, _ = ids.ask(request("y"), "ada")
    log = notification("notifications/message", data="hello")
    assert ids.route(log, push_is_open=False).asked == latest
    assert ids.route(log, push_is_open=True).to is To.PUSH


def test_with_nothing_in_flight_the_push_stream_gets_it() -> None:
    assert correlation().route(notification("notifications/message"), push_is_open=False).to is To.PUSH


def test_a_ping_is_answered_by_us() -> None:
    for flags in ({}, {"shared": True}, {"modern": True}):
        assert correlation(**flags).route(request(1, "ping"), push_is_open=True).to is To.PONG


@pytest.mark.parametrize("flags", [{"shared": True}, {"modern": True}])
def test_t22_a_request_of_the_tool_is_refused_where_nobody_can_be_asked(flags: dict[str, bool]) -> None:
    ids = correlation(**flags)
    ids.ask(request("x"), "ada")
    routed = ids.route(request("theirs", "elicitation/create"), push_is_open=True)
    assert routed.to is To.REFUSED
    assert routed.why


def test_t21_on_a_shared_child_nothing_is_guessed() -> None:
    ids = correlation(shared=True)
    ids.ask(request("x"), "ada")
    assert ids.route(notification("notifications/message", data="ada's secret"), push_is_open=True).to is To.NOBODY
    changed = ids.route(notification("notifications/tools/list_changed"), push_is_open=True)
    assert changed.to is To.EVERY_PUSH


def test_what_a_subscription_tells_goes_to_it_under_its_own_id() -> None:
    ids = correlation(modern=True)
    asked, _ = ids.ask(request("sub", "subscriptions/listen"), "ada")
    ids.ask(request("x"), "ada")
    told = notification("notifications/tools/list_changed", _meta={SUBSCRIPTION_ID: 1, "more": True})
    routed = ids.route(told, push_is_open=False)
    assert (routed.to, routed.asked) == (To.ASKER, asked)
    assert routed.message["params"]["_meta"] == {SUBSCRIPTION_ID: "sub", "more": True}
    ended = {"jsonrpc": "2.0", "id": 1, "result": {"_meta": {SUBSCRIPTION_ID: 1}}}
    routed = ids.route(ended, push_is_open=False)
    assert routed.message == {"jsonrpc": "2.0", "id": "sub", "result": {"_meta": {SUBSCRIPTION_ID: "sub"}}}


@pytest.mark.parametrize("params", [{}, {"_meta": None}, {"_meta": []}, {"_meta": {"progressToken": 1}}])
def test_odd_params_are_carried_not_stumbled_over(params: Any) -> None:
    ids = correlation()
    _, inward = ids.ask({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": params}, "ada")
    assert inward["id"] == 1
    assert ids.route({"jsonrpc": "2.0", "method": "notifications/x", "params": params}, push_is_open=False).asked


@given(st.lists(st.tuples(st.sampled_from("ab"), st.one_of(st.integers(), st.text())), min_size=1, max_size=20))
def test_every_answer_finds_its_own_sender_and_id(asked: list[tuple[str, Any]]) -> None:
    ids = correlation()
    inward = [ids.ask(request(request_id), owner)[1] for owner, request_id in asked]
    for (owner, request_id), message in reversed(list(zip(asked, inward, strict=True))):
        routed = ids.route({"jsonrpc": "2.0", "id": message["id"], "result": {}}, push_is_open=False)
        assert routed.asked is not None
        assert (routed.asked.owner, routed.message["id"]) == (owner, request_id)
        assert ids.forget(routed.asked)
    assert ids.in_flight == ()

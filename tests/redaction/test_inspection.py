"""The inspector as a whole: every surface, twins, outcomes, and that no value leaks by its own words."""

from __future__ import annotations

import base64
from copy import deepcopy
from dataclasses import astuple
from typing import Any

import pytest

from policies.model import Do, FieldRule, OutputRules, SameRule
from redaction import inspection as inspection_module
from redaction.detectors.base import Hit, Texts
from redaction.fields import FieldRuleInvalid
from redaction.inspection import ReadyRules, inspect
from redaction.model import Finding, Inspection, Outcome, Redaction, Surface
from redaction.scan import Detectors
from tests.redaction.builders import (
    AWS_KEY,
    CARD,
    CODEC,
    EMAIL,
    SSN,
    fields,
    json_text,
    on_every_surface,
    remove,
    replace,
    result,
    twin,
)
from tests.redaction.conftest import Look

PLACES = on_every_surface(f"it is {SSN}.")


@pytest.mark.parametrize(("place", "surface", "message"), PLACES, ids=[place for place, _, _ in PLACES])
def test_p08_a_value_is_taken_out_of_every_surface(look: Look, place: str, surface: Surface, message: Any) -> None:
    before = deepcopy(message)
    inspection = look(message, surface=surface)
    assert inspection.outcome is Outcome.REDACT
    assert SSN not in repr(inspection)
    assert "[REDACTED]" in repr(inspection.message)
    assert {finding.kind for finding in inspection.findings} == {"US_SSN"}
    assert message == before, "the message that came is not changed"


@pytest.mark.parametrize(("place", "surface", "message"), PLACES, ids=[place for place, _, _ in PLACES])
def test_redacting_twice_is_redacting_once(look: Look, place: str, surface: Surface, message: Any) -> None:
    once = look(message, surface=surface)
    again = look(once.message, surface=surface)
    assert (again.outcome, again.message, again.findings, again.redactions) == (Outcome.ALLOW, once.message, (), ())


CLEAN = on_every_surface("order 1042 shipped on 2026-11-20")


@pytest.mark.parametrize(("place", "surface", "message"), CLEAN, ids=[place for place, _, _ in CLEAN])
def test_a_clean_message_comes_back_as_the_very_one(look: Look, place: str, surface: Surface, message: Any) -> None:
    inspection = look(message, surface=surface)
    assert inspection == Inspection(Outcome.ALLOW, message)
    assert inspection.message is message


def test_the_seeds_example_is_told_in_the_seeds_words(look: Look) -> None:
    rules = OutputRules(
        fields=(
            FieldRule("$..ssn", Do.REPLACE, "PII detected"),
            FieldRule("$.internal_notes", Do.REMOVE, "Internal-only data in customer-facing output"),
            FieldRule("$.debug_trace", Do.REMOVE, "System internals exposed"),
        )
    )
    response = {
        "customer_data": {"name": "Ann", "ssn": SSN},
        "internal_notes": "chargeback twice, do not extend credit",
        "debug_trace": {"at": "refund.py:40"},
    }
    inspection = look(twin(response), rules)
    assert inspection.redactions == (
        Redaction("response.customer_data.ssn", "field", "replaced with [REDACTED]", "PII detected"),
        Redaction("response.internal_notes", "field", "field removed", "Internal-only data in customer-facing output"),
        Redaction("response.debug_trace", "field", "field removed", "System internals exposed"),
    )
    assert inspection.message == twin({"customer_data": {"name": "Ann", "ssn": "[REDACTED]"}})


def test_findings_tell_where_and_never_what(look: Look) -> None:
    inspection = look(result(f"write to {EMAIL}"))
    assert inspection.findings == (Finding("$.result.content[0].text", "EMAIL_ADDRESS", "presidio", 1.0, 9, 31),)
    assert inspection.redactions == (
        Redaction("response.content[0].text", "EMAIL_ADDRESS", "replaced with [REDACTED]", "PII detected"),
    )


# ---- content and structuredContent are one output -----------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        result(json_text({"name": "Ann Lee", "salary_note": "grade seven"}), structured={"name": "Ann Lee"}),
        result("Ann Lee was here", structured={"name": "Ann Lee"}),
        result(structured={"name": "Ann Lee", "other": {"deep": ["met Ann Lee twice"]}}),
        result({"type": "resource", "resource": {"uri": "a:b", "text": "Ann Lee"}}, structured={"name": "Ann Lee"}),
        result(json_text({"x": json_text({"y": "Ann Lee"})}), structured={"name": "Ann Lee"}),
        result("ok", structured={"name": "Ann Lee"}, _meta={"who": "Ann Lee"}),
    ],
)
def test_a_value_a_field_rule_takes_out_stands_nowhere_else(look: Look, message: Any) -> None:
    inspection = look(message, fields(replace("$..name")))
    assert inspection.outcome is Outcome.REDACT
    assert "Ann Lee" not in repr(inspection)


def test_a_value_found_under_a_telling_key_is_taken_out_of_prose_too(look: Look) -> None:
    inspection = look(result("the number is 536904399, as agreed", structured={"ssn": "536904399"}))
    assert "536904399" not in repr(inspection)


def test_a_value_taken_out_that_stands_in_a_uri_quarantines(look: Look) -> None:
    link = {"type": "resource_link", "uri": "crm://people/ann-lee-1970", "name": "card"}
    inspection = look(result(link, structured={"name": "ann-lee-1970"}), fields(replace("$..name")))
    assert (inspection.outcome, inspection.message) == (Outcome.QUARANTINE, None)
    assert "cannot be rewritten" in inspection.why
    assert "ann-lee" not in repr(inspection)


def test_a_value_taken_out_that_stands_in_a_cursor_quarantines(look: Look) -> None:
    inspection = look(
        result(structured={"name": "ann-lee-1970"}, nextCursor="ann-lee-1970"), fields(replace("$..name"))
    )
    assert inspection.outcome is Outcome.QUARANTINE


def test_short_common_words_are_looked_for_in_words_but_not_in_keys_and_types(look: Look) -> None:
    inspection = look(result("as text", structured={"format": "text", "text": 1}), fields(replace("$.format")))
    assert inspection.message == result("as [REDACTED]", structured={"format": "[REDACTED]", "text": 1})


def test_a_wrapped_result_and_its_text_are_twins(look: Look) -> None:
    rows = [{"internal_notes": "vip", "id": 1}]
    inspection = look(result(json_text(rows), structured={"result": rows}), fields(remove("$[*].internal_notes")))
    assert inspection.message == result(json_text([{"id": 1}]), structured={"result": [{"id": 1}]})
    assert [redaction.path for redaction in inspection.redactions] == ["response[0].internal_notes"]


# ---- outcomes -----------------------------------------------------------------------------------------------------


def test_a_kind_that_quarantines_holds_the_whole_output(look: Look) -> None:
    inspection = look(twin({"key": AWS_KEY, "ok": 1}), OutputRules(detect={"aws_access_key": Do.QUARANTINE}))
    assert (inspection.outcome, inspection.message, inspection.why) == (
        Outcome.QUARANTINE,
        None,
        "aws_access_key found",
    )
    assert AWS_KEY not in repr(inspection)
    assert {finding.kind for finding in inspection.findings} == {"aws_access_key"}


def test_a_kind_that_is_allowed_stays_and_is_still_told(look: Look) -> None:
    inspection = look(result(f"{EMAIL} {SSN}"), OutputRules(detect={"EMAIL_ADDRESS": Do.ALLOW}))
    assert inspection.message == result(f"{EMAIL} [REDACTED]")
    assert [finding.kind for finding in inspection.findings] == ["EMAIL_ADDRESS", "US_SSN"]


def test_kinds_no_rule_names_get_the_default(look: Look) -> None:
    inspection = look(result(f"card {CARD}"), OutputRules(default_do=Do.QUARANTINE))
    assert inspection.outcome is Outcome.QUARANTINE


def test_kinds_are_named_whatever_their_case(look: Look) -> None:
    assert look(result(SSN), OutputRules(detect={"us_ssn": Do.ALLOW})).outcome is Outcome.ALLOW


def test_a_masked_kind_keeps_its_last_characters(look: Look) -> None:
    inspection = look(result(f"card {CARD}"), OutputRules(detect={"CREDIT_CARD": Do.MASK}, keep_last=4))
    assert inspection.message == result("card " + "*" * 15 + "1111")


def test_a_kind_that_is_removed_takes_its_field_and_a_required_text_is_replaced(look: Look) -> None:
    inspection = look(result(SSN, structured={"a": SSN, "b": 1, "c": [SSN]}), OutputRules(detect={"US_SSN": Do.REMOVE}))
    assert inspection.message == result("[REDACTED]", structured={"b": 1, "c": ["[REDACTED]"]})


def test_always_review_quarantines_even_a_clean_output(look: Look) -> None:
    inspection = look(result("hello"), OutputRules(always_review=True))
    assert inspection.outcome is Outcome.QUARANTINE
    assert "person" in inspection.why


@pytest.mark.parametrize(
    ("value", "outcome"),
    [("north", Outcome.ALLOW), ("south", Outcome.QUARANTINE), (None, Outcome.QUARANTINE), (1, Outcome.QUARANTINE)],
)
def test_every_value_at_a_same_path_must_be_the_calls_own(look: Look, value: Any, outcome: Outcome) -> None:
    rules = OutputRules(same=(SameRule("$..tenant_id", "north"),))
    inspection = look(twin({"rows": [{"tenant_id": "north"}, {"tenant_id": value}]}), rules)
    assert inspection.outcome is outcome


def test_a_same_rule_may_replace_instead(look: Look) -> None:
    rules = OutputRules(same=(SameRule("$..tenant_id", "north", Do.REPLACE),))
    inspection = look(result(structured=[{"tenant_id": "north"}, {"tenant_id": "south"}]), rules)
    assert inspection.message == result(structured=[{"tenant_id": "north"}, {"tenant_id": "[REDACTED]"}])


def test_arguments_are_only_looked_at(look: Look) -> None:
    arguments = {"to": EMAIL, "body": json_text({"key": AWS_KEY})}
    rules = OutputRules(default_do=Do.QUARANTINE, always_review=True, fields=(remove("$.to"),))
    inspection = look(arguments, rules, Surface.ARGUMENTS)
    assert (inspection.outcome, inspection.message is arguments) == (Outcome.ALLOW, True)
    assert [(f.path, f.kind) for f in inspection.findings] == [
        ("$.to", "EMAIL_ADDRESS"),
        ("$.body|$.key", "aws_access_key"),
    ]


def test_arguments_that_look_like_an_envelope_are_arguments(look: Look) -> None:
    inspection = look({"jsonrpc": "2.0", "id": SSN}, surface=Surface.ARGUMENTS)
    assert [finding.path for finding in inspection.findings] == ["$.id"]


# ---- numbers and schemas ------------------------------------------------------------------------------------------


def test_a_number_is_read_as_it_is_spelled_and_redacted_whole(look: Look) -> None:
    inspection = look(twin({"card": 4111111111111111, "ssn": 536904399, "order_id": 4155550132, "n": 3}))
    assert inspection.message == twin({"card": "[REDACTED]", "ssn": "[REDACTED]", "order_id": 4155550132, "n": 3})


def test_a_phone_as_a_number_needs_a_telling_key(look: Look) -> None:
    assert look(result(structured={"mobile": 2125550123})).outcome is Outcome.REDACT


def test_what_no_longer_fits_the_output_schema_is_quarantined(look: Look) -> None:
    inspection = look(twin({"card": 4111111111111111}), still_valid=lambda value: isinstance(value["card"], int))
    assert (inspection.outcome, inspection.why) == (
        Outcome.QUARANTINE,
        "the redacted structuredContent does not fit the tool's outputSchema",
    )


def test_what_still_fits_or_was_not_changed_passes(look: Look) -> None:
    assert look(twin({"card": CARD}), still_valid=lambda value: True).outcome is Outcome.REDACT
    assert look(result(SSN, structured={"a": 1}), still_valid=lambda value: False).outcome is Outcome.REDACT


def test_a_structured_content_taken_out_whole_does_not_fit(look: Look) -> None:
    inspection = look(twin({"a": "b"}), fields(remove("$.structuredContent")), still_valid=lambda value: True)
    assert inspection.outcome is Outcome.QUARANTINE


# ---- what may not be changed --------------------------------------------------------------------------------------


def test_opaque_values_and_numbers_of_the_protocol_are_passed_as_they_are(look: Look) -> None:
    message = {
        "jsonrpc": "2.0",
        "id": f"req {SSN}",
        "result": {
            "content": [],
            "nextCursor": SSN,
            "requestState": SSN,
            "_meta": {"progressToken": 4111111111111111},
            "ttl": 4111111111111111,
        },
    }
    assert look(message).message is message


def test_an_opaque_value_longer_than_the_limit_quarantines(look: Look) -> None:
    assert look(result(nextCursor="c" * 4096)).outcome is Outcome.ALLOW
    assert look(result(nextCursor="c" * 4097)).outcome is Outcome.QUARANTINE


def test_an_id_is_an_id_only_where_the_protocol_says_so(look: Look) -> None:
    inspection = look(result({"type": "text", "text": "x", "cursor": SSN}, structured={"id": SSN, "nextCursor": SSN}))
    assert SSN not in repr(inspection.message)


@pytest.mark.parametrize(
    "member",
    [
        {"type": SSN},
        {"type": "text", "text": "x", "mimeType": SSN},
        {"type": "resource_link", "uri": f"crm://{EMAIL}", "name": "n"},
        {"type": "resource_link", "uri": "a:b", "name": AWS_KEY},
        {"type": "text", "text": "x", "size": SSN},
    ],
)
def test_what_may_not_pass_in_a_name_or_uri_quarantines(look: Look, member: Any) -> None:
    inspection = look(result(member))
    assert (inspection.outcome, inspection.message) == (Outcome.QUARANTINE, None)
    assert not any(value in repr(inspection) for value in (SSN, EMAIL, AWS_KEY))


def test_an_ip_address_in_a_uri_passes(look: Look) -> None:
    message = result({"type": "resource_link", "uri": "http://10.0.0.5:8080/a", "name": "n"})
    assert look(message).outcome is Outcome.ALLOW


def test_listings_keep_names_and_schemas_and_lose_only_words(look: Look) -> None:
    schema = {"type": "object", "properties": {"to": {"type": "string", "enum": [EMAIL], "description": f"or {EMAIL}"}}}
    tool = {"name": EMAIL, "description": f"ask {EMAIL}", "inputSchema": schema}
    message = {"jsonrpc": "2.0", "id": 1, "result": {"tools": [tool], "resources": [{"uri": f"mailto:{EMAIL}"}]}}
    inspection = look(message, surface=Surface.LISTING)
    listed = inspection.message["result"]
    assert listed["tools"][0]["name"] == EMAIL
    assert listed["tools"][0]["description"] == "ask [REDACTED]"
    assert listed["tools"][0]["inputSchema"]["properties"]["to"] == {
        "type": "string",
        "enum": [EMAIL],
        "description": "or [REDACTED]",
    }
    assert listed["resources"] == [{"uri": f"mailto:{EMAIL}"}]


@pytest.mark.parametrize(
    "tool",
    [
        {"name": AWS_KEY, "inputSchema": {}},
        {"name": "t", "inputSchema": {"properties": {AWS_KEY: {}}}},
        {"name": "t", "inputSchema": {"enum": [AWS_KEY]}},
    ],
)
def test_a_secret_in_a_name_of_a_listing_quarantines_it(look: Look, tool: Any) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "result": {"tools": [tool]}}
    assert look(message, surface=Surface.LISTING).outcome is Outcome.QUARANTINE


# ---- hostile input ------------------------------------------------------------------------------------------------


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (result(structured=nested(300)), "nested deeper"),
        (result(structured=list(range(250_001))), "more than 250000 values"),
        (result('{"a": 1, "a": 2}'), "cannot be read safely"),
        (result('{"a": NaN}'), "cannot be read safely"),
        (result('{"a": "\\ud800"}'), "cannot be read safely"),
        (result("[" * 9000 + "]" * 9000), "cannot be read safely"),
        (result("broken \ud83d"), "surrogate"),
        (result(structured={"\udc00 key": 1}), "surrogate"),
        (result(json_text([json_text([json_text([json_text([1])])])])), "3 deep"),
        (result({"type": "image", "data": "not base64!", "mimeType": "image/png"}), "not base64"),
        (result({"type": "image", "data": "AAAA", "mimeType": "application/pdf"}), "binary of a type"),
        (result({"type": "resource", "resource": {"uri": "a:b", "blob": "AAAA"}}), "binary of a type"),
        (result(structured={"a": object()}), "not JSON"),
    ],
)
def test_what_cannot_be_inspected_in_full_is_quarantined(look: Look, message: Any, why: str) -> None:
    inspection = look(message)
    assert (inspection.outcome, inspection.message, why in inspection.why) == (Outcome.QUARANTINE, None, True)


def test_images_and_audio_pass_and_text_in_base64_is_read(look: Look) -> None:
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0").decode()
    assert look(result({"type": "image", "data": png, "mimeType": "image/png"})).outcome is Outcome.ALLOW
    hidden = base64.b64encode(json_text({"ssn": SSN}).encode()).decode()
    inspection = look(result({"type": "image", "data": hidden, "mimeType": "image/png"}))
    assert base64.b64decode(inspection.message["result"]["content"][0]["data"]) == b'{"ssn":"[REDACTED]"}'
    assert inspection.findings[0].path == "$.result.content[0].data|text|$.ssn"


def test_a_rule_that_cannot_be_read_quarantines(look: Look) -> None:
    inspection = look(result("x"), fields(replace("$..[")))
    assert (inspection.outcome, "cannot be read" in inspection.why) == (Outcome.QUARANTINE, True)
    with pytest.raises(FieldRuleInvalid):
        ReadyRules.of(fields(replace("$..[")))


def test_findings_are_bounded_and_a_bulk_of_redactions_is_quarantined(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection_module, "REDACTIONS_MAX", 20)
    monkeypatch.setattr(inspection_module, "FINDINGS_MAX", 5)
    at_the_limit = look(result(structured=[f"a{number}@example.com" for number in range(20)]))
    past_it = look(result(structured=[f"a{number}@example.com" for number in range(21)]))
    assert (at_the_limit.outcome, len(at_the_limit.redactions), len(at_the_limit.findings)) == (Outcome.REDACT, 20, 5)
    assert (past_it.outcome, past_it.redactions, len(past_it.findings)) == (Outcome.QUARANTINE, (), 5)
    assert past_it.why == "more than 20 fields would have to be redacted"


def test_a_key_that_holds_a_value_is_masked_in_every_path(look: Look) -> None:
    inspection = look(result(structured={SSN: {"mail": EMAIL}}))
    assert inspection.message == result(structured={"[REDACTED]": {"mail": "[REDACTED]"}})
    assert [astuple(redaction)[0] for redaction in inspection.redactions] == [
        'response["[REDACTED]"]',
        'response["[REDACTED]"].mail',
    ]
    assert SSN not in repr(inspection)


class Restless:
    """Finds something in every text of the tool's, also in what was redacted."""

    name, kinds = "restless", frozenset({"X"})

    def select(self, texts: Texts) -> range:
        return range(len(texts.texts))

    def detect(self, text: str, context: str, *, is_number: bool) -> list[Hit]:
        return [Hit("X", "restless", 1.0, 0, 1)] if context == "text" else []


def test_redaction_that_does_not_come_to_an_end_is_quarantined() -> None:
    detectors = Detectors((Restless(),), memory_key=b"k")
    inspection = inspect(result("hello"), rules=OutputRules(), surface=Surface.RESULT, detectors=detectors, codec=CODEC)
    assert (inspection.outcome, inspection.why) == (Outcome.QUARANTINE, "redaction did not come to an end")


@pytest.mark.parametrize("message", [{"jsonrpc": "2.0", "id": 1, "result": f"is {SSN}"}, [f"is {SSN}"], f"is {SSN}"])
def test_a_message_of_an_odd_shape_is_inspected_all_the_same(look: Look, message: Any) -> None:
    inspection = look(message, still_valid=lambda value: False)
    assert (inspection.outcome, SSN in repr(inspection)) == (Outcome.REDACT, False)


@pytest.mark.parametrize(
    "message",
    [
        result(nextCursor=[f"SSN {SSN}"]),
        {"jsonrpc": "2.0", "id": [SSN], "result": {}},
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": [[SSN]], "progress": 1}},
    ],
)
def test_p08_a_list_where_the_protocol_has_an_opaque_value_is_inspected(look: Look, message: Any) -> None:
    inspection = look(message)
    assert inspection.outcome is Outcome.REDACT
    assert SSN not in json_text(inspection.message)


@pytest.mark.parametrize("path", ["$.rows[-1]", "$..rows[-1]", "$.rows[1]"])
@pytest.mark.parametrize("value", ["abc", True, 42])
def test_p08_what_is_said_to_be_redacted_is_redacted_also_counted_from_the_end(
    look: Look, path: str, value: Any
) -> None:
    inspection = look(twin({"rows": ["x", value]}), fields(replace(path)))
    assert inspection.message["result"]["structuredContent"] == {"rows": ["x", "[REDACTED]"]}
    assert [one.path for one in inspection.redactions] == ["response.rows[1]"]


def test_a_number_a_field_rule_takes_out_stands_nowhere_in_words(look: Look) -> None:
    message = result("Ann earns 120000 a year, since 2019.", structured={"salary": 120000})
    inspection = look(message, fields(replace("$..salary")))
    assert inspection.message["result"]["content"][0]["text"] == "Ann earns [REDACTED] a year, since 2019."


def test_a_field_inside_one_that_is_taken_out_is_not_counted_twice(look: Look) -> None:
    rules = fields(remove("$..ssn"), replace("$.customer"))
    inspection = look(twin({"customer": {"ssn": "5369", "n": 1}}), rules)
    assert [(one.path, one.action) for one in inspection.redactions] == [
        ("response.customer", "replaced with [REDACTED]")
    ]
    assert inspection.message == twin({"customer": "[REDACTED]"})


def test_twins_of_a_structure_with_one_member_called_result_are_told_once(look: Look) -> None:
    inspection = look(twin({"result": {"ssn": "5369"}}), fields(replace("$..ssn")))
    assert [one.path for one in inspection.redactions] == ["response.ssn"]


def test_measurements_are_no_cards(look: Look) -> None:
    """Digits after a decimal point: embeddings and coordinates pass as the numbers they are."""
    vector = [41.4099999999999997, 0.4111111111111111, -0.6011111111111117]
    assert look(result(structured={"embedding": vector})).outcome is Outcome.ALLOW

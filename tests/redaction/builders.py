"""Builders for the inspector's tests: messages of every surface, rules, and the house's own JSON reader as codec."""

from __future__ import annotations

from typing import Any

from policies.model import Do, FieldRule, OutputRules
from proxy.inspector_worker import StrictCodec
from proxy.wire import strict_json
from redaction.model import Surface

SSN = "536-90-4399"
EMAIL = "anna.weber@example.com"
CARD = "4111 1111 1111 1111"
AWS_KEY = "AKIA" + "IOSFODNN7EXAMPLE"

CODEC = StrictCodec(4 * 1024 * 1024)
NO_RULES = OutputRules()


def json_text(value: Any) -> str:
    return strict_json.write(value).decode()


def text_block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def result(*blocks: Any, **members: Any) -> dict[str, Any]:
    """A tools/call response. Strings are text blocks; `structured` is structuredContent."""
    content = [text_block(block) if isinstance(block, str) else block for block in blocks]
    body: dict[str, Any] = {"content": content}
    if "structured" in members:
        body["structuredContent"] = members.pop("structured")
    return {"jsonrpc": "2.0", "id": 7, "result": body | members}


def twin(structured: Any) -> dict[str, Any]:
    """What SDKs send: the same value as structuredContent and as JSON in a text block."""
    return result(json_text(structured), structured=structured)


def fields(*rules: FieldRule, **more: Any) -> OutputRules:
    return OutputRules(fields=rules, **more)


def replace(path: str) -> FieldRule:
    return FieldRule(path, Do.REPLACE, "PII detected")


def remove(path: str) -> FieldRule:
    return FieldRule(path, Do.REMOVE, "not for agents")


def on_every_surface(text: str) -> list[tuple[str, Surface, Any]]:
    """A text planted wherever words for the agent can stand: name of the place, surface, message."""
    request = {"jsonrpc": "2.0", "id": 7}
    note = {"jsonrpc": "2.0"}
    resource = {"uri": "file:///a.txt", "mimeType": "text/plain", "text": text}
    link = {"type": "resource_link", "uri": "file:///a.txt", "name": "a", "title": text, "description": text}
    schema = {"type": "object", "properties": {"a": {"type": "string", "description": text}}}
    message = {"role": "user", "content": text_block(text)}
    asked = {"message": text}
    return [
        ("text block", Surface.RESULT, result(text)),
        ("error result", Surface.RESULT, result(text, isError=True)),
        ("structuredContent", Surface.RESULT, result(structured={"a": [{"b": text}]})),
        ("structuredContent list", Surface.RESULT, result(structured=[text])),
        ("JSON in a text", Surface.RESULT, result(json_text({"a": text}))),
        ("JSON in JSON in a text", Surface.RESULT, result(json_text({"a": json_text({"b": text})}))),
        ("twins", Surface.RESULT, twin({"a": text})),
        ("key", Surface.RESULT, result(structured={text: 1})),
        ("_meta", Surface.RESULT, result("ok", _meta={"vendor/x": {"y": text}})),
        ("unknown member", Surface.RESULT, result("ok", extra={"y": [text]})),
        ("unknown block", Surface.RESULT, result({"type": "novel", "words": text})),
        ("embedded resource", Surface.RESULT, result({"type": "resource", "resource": resource})),
        ("resource link", Surface.RESULT, result(link)),
        ("resources/read", Surface.RESULT, {**request, "result": {"contents": [resource]}}),
        ("prompts/get", Surface.RESULT, {**request, "result": {"description": text, "messages": [message]}}),
        ("completion", Surface.RESULT, {**request, "result": {"completion": {"values": [text]}}}),
        ("task status", Surface.RESULT, {**request, "result": {"taskId": "t", "statusMessage": text}}),
        ("inline task result", Surface.RESULT, {**request, "result": {"result": result(text)["result"]}}),
        ("error message", Surface.ERROR, {**request, "error": {"code": -32000, "message": text}}),
        ("error data", Surface.ERROR, {**request, "error": {"code": 1, "message": "x", "data": {"t": [text]}}}),
        ("progress", Surface.NOTIFICATION, {**note, "method": "notifications/progress", "params": {"message": text}}),
        ("log", Surface.NOTIFICATION, {**note, "method": "notifications/message", "params": {"data": text}}),
        (
            "log data",
            Surface.NOTIFICATION,
            {**note, "method": "notifications/message", "params": {"data": [text]}},
        ),
        ("cancelled", Surface.NOTIFICATION, {**note, "method": "notifications/cancelled", "params": {"reason": text}}),
        (
            "sampling",
            Surface.SERVER_REQUEST,
            {**request, "method": "sampling/createMessage", "params": {"systemPrompt": text, "messages": [message]}},
        ),
        (
            "elicitation",
            Surface.SERVER_REQUEST,
            {**request, "method": "elicitation/create", "params": {"message": text, "requestedSchema": schema}},
        ),
        (
            "input request",
            Surface.RESULT,
            {
                **request,
                "result": {"inputRequests": {"q": {"method": "elicitation/create", "params": asked}}},
            },
        ),
        (
            "tool description",
            Surface.LISTING,
            {**request, "result": {"tools": [{"name": "t", "description": text, "inputSchema": schema}]}},
        ),
        ("prompt list", Surface.LISTING, {**request, "result": {"prompts": [{"name": "p", "description": text}]}}),
        ("instructions", Surface.LISTING, {**request, "result": {"instructions": text, "serverInfo": {"title": text}}}),
        ("bare body", Surface.RESULT, {"a": {"b": text}}),
        ("bare text", Surface.RESULT, text),
    ]

"""The tools of the conformance server: a function each, in one table which `tools/list` and `tools/call` read.

Rules of this module:
* Names, questions and texts are those which the public conformance suite's scenarios ask for; nothing else is promised.
* A tool is `async (ctx, params) -> result`; its schema stands beside it, so that no framework can add or drop keywords.
* Tools that ask the client (2026-07-28) return an `InputRequiredResult`; the answer comes with the repeated call.
"""

from __future__ import annotations

import asyncio
import base64
import io
import struct
import wave
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

type Context = ServerRequestContext[Any, Any]
type Params = types.CallToolRequestParams
type Outcome = types.CallToolResult | types.InputRequiredResult
type Run = Callable[[Context, Params], Awaitable[Outcome]]

NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}
STEP_SEC = 0.05  # between notifications: the suite wants to see them arrive one by one


@dataclass(frozen=True, slots=True)
class Tool:
    """One row of the table."""

    name: str
    description: str
    input_schema: dict[str, Any]
    run: Run


TOOLS: dict[str, Tool] = {}


def tool(name: str, description: str, input_schema: dict[str, Any] = NO_ARGUMENTS) -> Callable[[Run], Run]:
    """Put the decorated function into the table."""

    def add(run: Run) -> Run:
        TOOLS[name] = Tool(name, description, input_schema, run)
        return run

    return add


def text_result(text: str, *, is_error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=is_error)


def png_base64() -> str:
    """A 1x1 red pixel (PNG 1.2 §11: signature, IHDR, IDAT, IEND)."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    pixel = chunk(b"IDAT", zlib.compress(b"\x00\xff\x00\x00"))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + header + pixel + chunk(b"IEND", b"")).decode()


def wav_base64() -> str:
    """A hundredth of a second of silence."""
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(b"\x80" * 80)
    return base64.b64encode(out.getvalue()).decode()


# --- contents -----------------------------------------------------------------------------------------------------


@tool("test_simple_text", "Returns one text")
async def simple_text(ctx: Context, params: Params) -> Outcome:
    return text_result("This is a simple text response for testing.")


@tool("test_image_content", "Returns one image")
async def image_content(ctx: Context, params: Params) -> Outcome:
    return types.CallToolResult(content=[types.ImageContent(data=png_base64(), mime_type="image/png")])


@tool("test_audio_content", "Returns one sound")
async def audio_content(ctx: Context, params: Params) -> Outcome:
    return types.CallToolResult(content=[types.AudioContent(data=wav_base64(), mime_type="audio/wav")])


@tool("test_embedded_resource", "Returns an embedded resource")
async def embedded_resource(ctx: Context, params: Params) -> Outcome:
    resource = types.TextResourceContents(
        uri="test://embedded-resource", mime_type="text/plain", text="This is an embedded resource content."
    )
    return types.CallToolResult(content=[types.EmbeddedResource(resource=resource)])


@tool("test_multiple_content_types", "Returns a text, an image and a resource")
async def multiple_content_types(ctx: Context, params: Params) -> Outcome:
    resource = types.TextResourceContents(
        uri="test://mixed-content-resource", mime_type="application/json", text='{"test":"data","value":123}'
    )
    return types.CallToolResult(
        content=[
            types.TextContent(text="Multiple content types test:"),
            types.ImageContent(data=png_base64(), mime_type="image/png"),
            types.EmbeddedResource(resource=resource),
        ]
    )


@tool("test_error_handling", "Always fails")
async def error_handling(ctx: Context, params: Params) -> Outcome:
    return text_result("This tool intentionally returns an error for testing", is_error=True)


# --- while it runs ------------------------------------------------------------------------------------------------


async def log_three(ctx: Context) -> None:
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message(level="info", data=line, related_request_id=ctx.request_id)
        await asyncio.sleep(STEP_SEC)


@tool("test_tool_with_logging", "Sends three log messages")
async def with_logging(ctx: Context, params: Params) -> Outcome:
    await log_three(ctx)
    return text_result("Tool with logging executed successfully")


@tool("test_logging_tool", "Logs only where the request asked for a log level")
async def logging_tool(ctx: Context, params: Params) -> Outcome:
    await log_three(ctx)
    return text_result("Logged what was asked for")


@tool("test_tool_with_progress", "Reports progress three times")
async def with_progress(ctx: Context, params: Params) -> Outcome:
    for done in (0, 50, 100):
        await ctx.session.report_progress(done, 100, f"Completed step {done} of 100")
        await asyncio.sleep(STEP_SEC)
    return text_result("Tool with progress executed successfully")


@tool("test_reconnection", "Closes its stream half-way; the answer waits for the client's return (SEP-1699)")
async def reconnection(ctx: Context, params: Params) -> Outcome:
    if ctx.close_sse_stream is not None:
        await ctx.close_sse_stream()
    await asyncio.sleep(2 * STEP_SEC)
    return text_result("Reconnection test completed")


# --- asking the client through a request of the server's (to 2025-11-25) ------------------------------------------


@tool(
    "test_sampling",
    "Asks the client's model",
    {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]},
)
async def sampling(ctx: Context, params: Params) -> Outcome:
    require(ctx, "sampling")
    prompt = str((params.arguments or {}).get("prompt", ""))
    answer = await ctx.session.create_message(
        messages=[types.SamplingMessage(role="user", content=types.TextContent(text=prompt))],
        max_tokens=100,
        related_request_id=ctx.request_id,
    )
    text = answer.content.text if isinstance(answer.content, types.TextContent) else "(not text)"
    return text_result(f"LLM response: {text}")


async def elicit(ctx: Context, message: str, properties: dict[str, Any], required: list[str]) -> Outcome:
    require(ctx, "elicitation")
    schema = {"type": "object", "properties": properties, "required": required}
    answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return text_result(f"User response: action={answer.action}, content={answer.content}")


@tool(
    "test_elicitation",
    "Asks the user",
    {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]},
)
async def elicitation(ctx: Context, params: Params) -> Outcome:
    fields = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    return await elicit(ctx, str((params.arguments or {}).get("message", "")), fields, ["username", "email"])


@tool("test_elicitation_sep1034_defaults", "Asks with a default for every primitive type")
async def elicitation_defaults(ctx: Context, params: Params) -> Outcome:
    fields: dict[str, Any] = {
        "name": {"type": "string", "description": "User name", "default": "John Doe"},
        "age": {"type": "integer", "description": "User age", "default": 30},
        "score": {"type": "number", "description": "User score", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "description": "Verification status", "default": True},
    }
    return await elicit(ctx, "Please review and update the form fields with defaults", fields, [])


@tool("test_elicitation_sep1330_enums", "Asks with each of the five kinds of enumeration")
async def elicitation_enums(ctx: Context, params: Params) -> Outcome:
    plain = ["option1", "option2", "option3"]
    fields: dict[str, Any] = {
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled("Option")},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled("Choice")}},
    }
    return await elicit(ctx, "Please select options from the enum fields", fields, [])


def titled(noun: str) -> list[dict[str, str]]:
    return [{"const": f"value{n}", "title": f"{word} {noun}"} for n, word in enumerate(("First", "Second", "Third"), 1)]


def require(ctx: Context, capability: str) -> None:
    """Raises: MCPError -32021 naming the capability which the client has not declared."""
    declared = ctx.session.client_capabilities
    if declared is None or getattr(declared, capability) is None:
        raise MCPError(
            types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            f"This tool needs the client capability '{capability}'",
            {"requiredCapabilities": {capability: {}}},
        )


@tool("test_missing_capability", "Needs a client that can sample")
async def missing_capability(ctx: Context, params: Params) -> Outcome:
    require(ctx, "sampling")
    return text_result("The client can sample")


# --- asking the client through the result (2026-07-28, SEP-2322) --------------------------------------------------


def ask_form(message: str, field: str, kind: str = "string") -> types.ElicitRequest:
    schema = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def ask_model(prompt: str, max_tokens: int) -> types.CreateMessageRequest:
    message = types.SamplingMessage(role="user", content=types.TextContent(text=prompt))
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    )


def form_answer(params: Params | types.GetPromptRequestParams, key: str) -> dict[str, Any] | None:
    """What the user wrote, or None where this answer is missing or was declined: then the tool asks again."""
    answer = (params.input_responses or {}).get(key)
    if isinstance(answer, types.ElicitResult) and answer.action == "accept":
        return dict(answer.content or {})
    return None


def ask(requests: dict[str, Any], state: str | None = None) -> types.InputRequiredResult:
    return types.InputRequiredResult(input_requests=requests, request_state=state)


@tool("test_input_required_result_elicitation", "Asks for a name")
async def input_elicitation(ctx: Context, params: Params) -> Outcome:
    answer = form_answer(params, "user_name")
    if answer is None:
        return ask({"user_name": ask_form("What is your name?", "name")})
    return text_result(f"Hello, {answer.get('name')}!")


@tool("test_streaming_elicitation", "Reports progress, then asks for a name")
async def streaming_elicitation(ctx: Context, params: Params) -> Outcome:
    await ctx.session.report_progress(50, 100, "Half-way")
    return await input_elicitation(ctx, params)


@tool("test_input_required_result_sampling", "Asks the client's model")
async def input_sampling(ctx: Context, params: Params) -> Outcome:
    answer = (params.input_responses or {}).get("capital_question")
    if not isinstance(answer, types.CreateMessageResult):
        return ask({"capital_question": ask_model("What is the capital of France?", 100)})
    return text_result(answer.content.text if isinstance(answer.content, types.TextContent) else "(not text)")


@tool("test_input_required_result_list_roots", "Asks for the client's roots")
async def input_list_roots(ctx: Context, params: Params) -> Outcome:
    answer = (params.input_responses or {}).get("client_roots")
    if not isinstance(answer, types.ListRootsResult):
        return ask({"client_roots": types.ListRootsRequest(params=types.RequestParams())})
    return text_result("Roots: " + ", ".join(str(root.uri) for root in answer.roots))


@tool("test_input_required_result_request_state", "Asks for a confirmation and checks its own state")
async def input_request_state(ctx: Context, params: Params) -> Outcome:
    if form_answer(params, "confirm") is None or params.request_state != "confirming":
        return ask({"confirm": ask_form("Please confirm", "ok", "boolean")}, "confirming")
    return text_result("Confirmed: state-ok")


@tool("test_input_required_result_tampered_state", "Refuses a state it has not made (its boundary does)")
async def input_tampered_state(ctx: Context, params: Params) -> Outcome:
    return await input_request_state(ctx, params)


@tool("test_input_required_result_multiple_inputs", "Asks for a name, a greeting and the roots at once")
async def input_multiple(ctx: Context, params: Params) -> Outcome:
    questions: dict[str, Any] = {
        "user_name": ask_form("What is your name?", "name"),
        "greeting": ask_model("Generate a greeting", 50),
        "client_roots": types.ListRootsRequest(params=types.RequestParams()),
    }
    if not questions.keys() <= (params.input_responses or {}).keys():
        return ask(questions, "asked-three")
    return text_result("All three questions were answered")


@tool("test_input_required_result_multi_round", "Asks for a name, then for a colour")
async def input_multi_round(ctx: Context, params: Params) -> Outcome:
    if params.request_state == "round-2" and (color := form_answer(params, "step2")) is not None:
        return text_result(f"Your favorite color is {color.get('color')}")
    if params.request_state == "round-1" and form_answer(params, "step1") is not None:
        return ask({"step2": ask_form("Step 2: What is your favorite color?", "color")}, "round-2")
    return ask({"step1": ask_form("Step 1: What is your name?", "name")}, "round-1")


@tool("test_input_required_result_capabilities", "Asks only what the client has declared it can answer")
async def input_capabilities(ctx: Context, params: Params) -> Outcome:
    declared = ctx.session.client_capabilities or types.ClientCapabilities()
    questions: dict[str, Any] = {}
    if declared.sampling is not None:
        questions["greeting"] = ask_model("Generate a greeting", 50)
    if declared.elicitation is not None:
        questions["user_name"] = ask_form("What is your name?", "name")
    return ask(questions) if questions else text_result("The client can answer nothing")


# --- schemas ------------------------------------------------------------------------------------------------------


@tool(
    "test_x_mcp_header",
    "Has an argument that is mirrored in a header (SEP-2243)",
    {
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}, "query": {"type": "string"}},
        "required": ["region"],
    },
)
async def x_mcp_header(ctx: Context, params: Params) -> Outcome:
    return text_result(f"Region: {(params.arguments or {}).get('region')}")


@tool(
    "json_schema_2020_12_tool",
    "Has a schema with the vocabulary of JSON Schema 2020-12 (SEP-1613, SEP-2106)",
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
)
async def json_schema(ctx: Context, params: Params) -> Outcome:
    return text_result(f"Received {len(params.arguments or {})} arguments")

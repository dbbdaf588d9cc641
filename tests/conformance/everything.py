"""A server with all that the public MCP conformance suite asks of one, to run the suite with and without a gate.

Run it as `python -m tests.conformance.everything [--port N]`; it prints its address, and port 0 takes a free one.

Rules of this module:
* Built on the SDK's low-level server, written from the suite's scenario descriptions: what the suite loses on the way
  through the gate is then the gate's doing, not this server's.
* Everything is in memory and bounded by the process's life.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import warnings
from collections.abc import Sequence
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.shared.subscriptions import PromptsListChanged, ToolsListChanged
from starlette.applications import Starlette

from tests.conformance.everything_tools import (
    NO_ARGUMENTS,
    TOOLS,
    Context,
    Outcome,
    Params,
    ask,
    ask_form,
    form_answer,
    png_base64,
    text_result,
)

NAME = "interlock-conformance-everything"
CACHEABLE: tuple[CacheableMethod, ...] = (
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
)


class Replay(EventStore):
    """Events kept for resumption (SEP-1699); ids count upwards over all streams of this process."""

    def __init__(self) -> None:
        self._events: list[tuple[StreamId, types.JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: StreamId, message: types.JSONRPCMessage | None) -> EventId:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: EventId, send_callback: EventCallback) -> StreamId | None:
        if not last_event_id.isdigit() or not 0 < int(last_event_id) <= len(self._events):
            return None
        stream_id, _ = self._events[int(last_event_id) - 1]
        for number, (stream, message) in enumerate(self._events[int(last_event_id) :], int(last_event_id) + 1):
            if stream == stream_id and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream_id


class Lists:
    """The two lists which the suite changes while it listens: each trigger adds one thing or takes it away again."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self.has_dynamic_tool = False
        self.has_dynamic_prompt = False

    async def call(self, ctx: Context, params: Params) -> Outcome:
        if params.name == "test_trigger_tool_change":
            self.has_dynamic_tool = not self.has_dynamic_tool
            await self.bus.publish(ToolsListChanged())
            return text_result("The list of tools has changed")
        if params.name == "test_trigger_prompt_change":
            self.has_dynamic_prompt = not self.has_dynamic_prompt
            await self.bus.publish(PromptsListChanged())
            return text_result("The list of prompts has changed")
        if params.name == "test_dynamic_tool" and self.has_dynamic_tool:
            return text_result("This tool came later")
        if params.name not in TOOLS:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
        return await TOOLS[params.name].run(ctx, params)

    async def tools(self, ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        rows = [types.Tool(name=t.name, description=t.description, input_schema=t.input_schema) for t in TOOLS.values()]
        for name, what in (("test_trigger_tool_change", "tools"), ("test_trigger_prompt_change", "prompts")):
            rows.append(types.Tool(name=name, description=f"Changes the list of {what}", input_schema=NO_ARGUMENTS))
        if self.has_dynamic_tool:
            rows.append(types.Tool(name="test_dynamic_tool", description="Came later", input_schema=NO_ARGUMENTS))
        return types.ListToolsResult(tools=rows)

    async def prompts(self, ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        rows = [prompt(name, description, *arguments) for name, (description, arguments) in PROMPTS.items()]
        if self.has_dynamic_prompt:
            rows.append(prompt("test_dynamic_prompt", "Came later"))
        return types.ListPromptsResult(prompts=rows)


def schema_of(name: str) -> dict[str, Any] | None:
    return TOOLS[name].input_schema if name in TOOLS else None


# --- resources ----------------------------------------------------------------------------------------------------

STATIC = {
    "test://static-text": ("Static text", "text/plain"),
    "test://static-binary": ("Static image", "image/png"),
    "test://watched-resource": ("Watched resource", "text/plain"),
}
TEMPLATE = ("test://template/", "/data")


async def list_resources(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
    rows = [
        types.Resource(uri=uri, name=title, description=f"{title} for testing", mime_type=mime)
        for uri, (title, mime) in STATIC.items()
    ]
    return types.ListResourcesResult(resources=rows)


async def list_templates(
    ctx: Context, params: types.PaginatedRequestParams | None
) -> types.ListResourceTemplatesResult:
    template = types.ResourceTemplate(
        uri_template="{id}".join(TEMPLATE),
        name="Data by id",
        description="JSON of one id",
        mime_type="application/json",
    )
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def read_resource(ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    uri = str(params.uri)
    contents: types.TextResourceContents | types.BlobResourceContents
    if uri == "test://static-binary":
        contents = types.BlobResourceContents(uri=uri, mime_type="image/png", blob=png_base64())
    elif uri in STATIC:
        text = f"This is the content of the {STATIC[uri][0].lower()} resource."
        contents = types.TextResourceContents(uri=uri, mime_type="text/plain", text=text)
    elif uri.startswith(TEMPLATE[0]) and uri.endswith(TEMPLATE[1]):
        number = uri.removeprefix(TEMPLATE[0]).removesuffix(TEMPLATE[1])
        text = f'{{"id":"{number}","templateTest":true,"data":"Data for ID: {number}"}}'
        contents = types.TextResourceContents(uri=uri, mime_type="application/json", text=text)
    else:
        raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": uri})  # SEP-2164
    return types.ReadResourceResult(contents=[contents])


async def subscribe(ctx: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
    return types.EmptyResult()


async def unsubscribe(ctx: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
    return types.EmptyResult()


# --- prompts and completion ---------------------------------------------------------------------------------------

PROMPTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "test_simple_prompt": ("A prompt without arguments", ()),
    "test_prompt_with_arguments": ("A prompt with two arguments", ("arg1", "arg2")),
    "test_prompt_with_embedded_resource": ("A prompt with a resource", ("resourceUri",)),
    "test_prompt_with_image": ("A prompt with an image", ()),
    "test_input_required_result_prompt": ("A prompt that asks first", ()),
}


def prompt(name: str, description: str, *arguments: str) -> types.Prompt:
    rows = [types.PromptArgument(name=a, description=f"The argument {a}", required=True) for a in arguments]
    return types.Prompt(name=name, description=description, arguments=rows)


def messages(*contents: types.ContentBlock) -> types.GetPromptResult:
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=c) for c in contents])


async def get_prompt(
    ctx: Context, params: types.GetPromptRequestParams
) -> types.GetPromptResult | types.InputRequiredResult:
    given = params.arguments or {}
    match params.name:
        case "test_simple_prompt":
            return messages(types.TextContent(text="This is a simple prompt for testing."))
        case "test_prompt_with_arguments":
            text = f"Prompt with arguments: arg1='{given.get('arg1')}', arg2='{given.get('arg2')}'"
            return messages(types.TextContent(text=text))
        case "test_prompt_with_embedded_resource":
            embedded = types.TextResourceContents(
                uri=given.get("resourceUri", "test://embedded-resource"),
                mime_type="text/plain",
                text="Embedded resource content for testing.",
            )
            return messages(
                types.EmbeddedResource(resource=embedded),
                types.TextContent(text="Please process the embedded resource above."),
            )
        case "test_prompt_with_image":
            return messages(
                types.ImageContent(data=png_base64(), mime_type="image/png"),
                types.TextContent(text="Please analyze the image above."),
            )
        case "test_input_required_result_prompt":
            answer = form_answer(params, "user_context")
            if answer is None:
                return ask({"user_context": ask_form("What context should the prompt use?", "context")})
            return messages(types.TextContent(text=f"Use this context: {answer.get('context')}"))
        case _:
            raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name}")


async def complete(ctx: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
    words = [word for word in ("paris", "park", "party") if word.startswith(params.argument.value)]
    return types.CompleteResult(completion=types.Completion(values=words, total=len(words), has_more=False))


async def set_level(ctx: Context, params: types.SetLevelRequestParams) -> types.EmptyResult:
    return types.EmptyResult()


# --- the server ---------------------------------------------------------------------------------------------------


def build() -> Starlette:
    """The whole server as an ASGI application with its endpoint at `/mcp`."""
    lists = Lists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MCPDeprecationWarning)  # logging is asked for up to 2025-11-25
        server: Server[Any] = Server(
            NAME,
            version="1.0.0",
            cache_hints={method: CacheHint(ttl_ms=60_000, scope="public") for method in CACHEABLE},
            get_tool_input_schema=schema_of,
            on_list_tools=lists.tools,
            on_call_tool=lists.call,
            on_list_resources=list_resources,
            on_list_resource_templates=list_templates,
            on_read_resource=read_resource,
            on_subscribe_resource=subscribe,
            on_unsubscribe_resource=unsubscribe,
            on_subscriptions_listen=ListenHandler(lists.bus),
            on_list_prompts=lists.prompts,
            on_get_prompt=get_prompt,
            on_completion=complete,
            on_set_logging_level=set_level,
        )
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=NAME))
    return server.streamable_http_app(event_store=Replay(), retry_interval=100, host="127.0.0.1")


async def serve(port: int) -> None:
    """Serve on loopback until the process is told to end; the address is printed once connections are accepted."""
    listening = socket.create_server(("127.0.0.1", port))
    # h11, because httptools leaves trailing white space on header values (RFC 9110 §5.5 excludes it; the suite checks).
    config = uvicorn.Config(build(), http="h11", log_level="warning", timeout_graceful_shutdown=1)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
    await uvicorn.Server(config).serve(sockets=[listening])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="everything", description="The conformance suite's server.")
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 takes a free one")
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    asyncio.run(serve(parser.parse_args(arguments).port))


if __name__ == "__main__":
    main()

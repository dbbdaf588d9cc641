from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from proxy.wire.strict_json import read
from review.console import bodies

FORM = "application/x-www-form-urlencoded"


def _request(body: bytes, content_type: str, *, chunks: int = 1) -> Request:
    size = max(1, -(-len(body) // chunks))
    parts = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    messages = [
        {"type": "http.request", "body": part, "more_body": at + 1 < len(parts)} for at, part in enumerate(parts)
    ]
    sent: AsyncIterator[Any] = _each(messages)

    async def receive() -> Any:
        return await anext(sent)

    headers = [(b"content-type", content_type.encode())]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)


async def _each(messages: list[Any]) -> AsyncIterator[Any]:
    for message in messages:
        yield message


async def _status(body: bytes, content_type: str = FORM, *, bytes_max: int = 1000, chunks: int = 1) -> int:
    request = _request(body, content_type, chunks=chunks)
    try:
        if content_type == FORM:
            await bodies.form(request, bytes_max=bytes_max)
        else:
            await bodies.json_object(request, read, bytes_max=bytes_max)
    except HTTPException as error:
        return error.status_code
    return 200


async def test_a_form_is_its_fields() -> None:
    fields = await bodies.form(_request(b"a=1&b=Gr%C3%BC%C3%9Fe+%26&c=", FORM), bytes_max=100)
    assert fields == {"a": "1", "b": "Grüße &", "c": ""}


async def test_line_ends_are_as_they_were_typed() -> None:
    assert await bodies.form(_request(b"a=1%0D%0A2", FORM), bytes_max=100) == {"a": "1\n2"}


@pytest.mark.parametrize(
    "body", [b"a=1&a=2", b"a", b"a=%FF", "a=ü".encode(), b"&".join(b"a%d=" % n for n in range(65))]
)
async def test_a_form_that_can_be_read_two_ways_or_not_at_all_is_refused(body: bytes) -> None:
    assert await _status(body) == 400


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "text/plain", "", "application/json"])
async def test_browsers_send_forms_and_nothing_else(content_type: str) -> None:
    with pytest.raises(HTTPException) as refused:
        await bodies.form(_request(b"a=1", content_type), bytes_max=100)
    assert refused.value.status_code == 415


@pytest.mark.parametrize(("size", "status"), [(999, 200), (1000, 200), (1001, 413)])
@pytest.mark.parametrize("chunks", [1, 7])
async def test_p14_a_body_has_a_limit(size: int, status: int, chunks: int) -> None:
    assert await _status(b"a=" + b"x" * (size - 2), bytes_max=1000, chunks=chunks) == status


@pytest.mark.parametrize(
    "body", [b"[]", b'"a"', b"{", b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff", b'{"a":1}{}', b"[" * 9000]
)
async def test_p02_json_is_read_strictly(body: bytes) -> None:
    assert await _status(body, "application/json", bytes_max=10_000) == 400


async def test_programs_send_json_and_nothing_else() -> None:
    assert await _status(b"{}", "text/plain") == 415


async def test_no_body_is_an_empty_object() -> None:
    assert await bodies.json_object(_request(b"", "application/json"), read, bytes_max=10) == {}

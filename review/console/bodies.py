"""Reading what a form or a program sends: bounded, strict, once.

Rules of this module:
* Forms are `application/x-www-form-urlencoded` in UTF-8 with at most `FIELDS_MAX` fields, each once. Nothing else is
  taken from a browser: no files, no multipart.
* Programs send `application/json`, read by the strict reader (P2).
* Too large is 413, the wrong type 415, anything unreadable 400; the body is not read past its limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from policies.model import JsonObject
from review.ports import ReadJson

FIELDS_MAX = 64


async def form(request: Request, *, bytes_max: int) -> Mapping[str, str]:
    """The fields of a form. Raises: HTTPException 400, 413, 415."""
    _check_type(request, "application/x-www-form-urlencoded")
    body = await _body(request, bytes_max)
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "This form cannot be read.") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "This form has a field twice.")
    return {name: value.replace("\r\n", "\n") for name, value in fields.items()}


async def json_object(request: Request, read_json: ReadJson, *, bytes_max: int) -> JsonObject:
    """The JSON object a program sent. Raises: HTTPException 400, 413, 415."""
    _check_type(request, "application/json")
    body = await _body(request, bytes_max)
    try:
        value = read_json(body or b"{}")
    except ValueError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"This is not JSON as it must be: {error}") from error
    if not isinstance(value, dict):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "The body must be a JSON object.")
    return value


def _check_type(request: Request, wanted: str) -> None:
    stated = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if stated != wanted:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The body must be {wanted}.")


async def _body(request: Request, bytes_max: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > bytes_max:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {bytes_max} bytes.")
        parts.append(part)
    return b"".join(parts)

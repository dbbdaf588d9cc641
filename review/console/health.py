"""Whether the gate lives and can do its work, for probes: no login, no details."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from review.console.visits import Console, json_answer


def routes(console: Console) -> list[BaseRoute]:
    async def health(_: Request) -> Response:
        return json_answer({"alive": True})

    async def ready(_: Request) -> Response:
        why_not = await console.ready()
        status = HTTPStatus.OK if why_not is None else HTTPStatus.SERVICE_UNAVAILABLE
        return json_answer({"ready": why_not is None}, status)

    return [Route("/-/health", health, methods=["GET"]), Route("/-/ready", ready, methods=["GET"])]

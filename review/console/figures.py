"""The gate's figures for a scraper, at `/metrics`.

Rules of this module:
* They name servers and say how busy people are, so they are for whoever was given the scraper's token, and for
  reviewers who are logged in. An agent on the same machine reaches this listener too, and reads nothing.
* What they are and how they are written is not known here.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from review.console.api import bearer, token_of
from review.console.visits import Console, logged_in
from review.ports import StoreDown


class Figures(Protocol):
    """Who may read them besides reviewers, and what they are now."""

    def may_read(self, token: str) -> bool:
        """Whether this is the scraper's token."""

    async def text(self) -> tuple[bytes, str]:
        """All figures, and their media type. Raises: StoreDown."""


def routes(console: Console, figures: Figures | None) -> list[BaseRoute]:
    async def metrics(request: Request) -> Response:
        try:
            if not await _may_read(console, figures, request):
                headers = {"www-authenticate": "Bearer"}
                said = "Figures are for the token of `metrics.token` in the configuration, and for reviewers.\n"
                return PlainTextResponse(said, HTTPStatus.UNAUTHORIZED, headers)
            if figures is None:
                return PlainTextResponse("No figures are kept here.\n", HTTPStatus.NOT_FOUND)
            text, media_type = await figures.text()
        except StoreDown:
            return PlainTextResponse("The store cannot be read just now.\n", HTTPStatus.SERVICE_UNAVAILABLE)
        return Response(text, media_type=media_type)

    return [Route("/metrics", metrics, methods=["GET"])]


async def _may_read(console: Console, figures: Figures | None, request: Request) -> bool:
    token = token_of(request)
    if token:
        is_scraper = figures is not None and figures.may_read(token)
        return is_scraper or await bearer(console, request) is not None
    return await logged_in(console, request) is not None

"""Our own style, script and mark: read once, served from memory under names that change with their content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

STATIC = Path(__file__).parent / "static"
FOREVER = "public, max-age=31536000, immutable"

_TYPES: Mapping[str, str] = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "mark.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    address: str
    body: bytes
    media_type: str


def load(folder: Path = STATIC) -> Mapping[str, Asset]:
    """Our files by name."""
    found = {}
    for name, media_type in _TYPES.items():
        body = (folder / name).read_bytes()
        stem, suffix = name.rsplit(".", 1)
        found[name] = Asset(f"/static/{stem}.{sha256(body).hexdigest()[:12]}.{suffix}", body, media_type)
    return found


def routes(assets: Mapping[str, Asset]) -> list[BaseRoute]:
    by_address = {asset.address: asset for asset in assets.values()}

    async def static(request: Request) -> Response:
        asset = by_address.get(request.url.path)
        if asset is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return Response(asset.body, media_type=asset.media_type, headers={"cache-control": FOREVER})

    return [Route("/static/{name}", static, methods=["GET"])]

"""Our own styles, scripts and mark: read once, served from memory under addresses that change with their content.

Rules of this module:
* One digest of all files stands in every address: scripts import one another by name and always find their own kind.
* Text is packed once, at start. Pages are never packed: packed together with what an agent wrote, the length of a page
  would tell of the tokens in it.
"""

from __future__ import annotations

import gzip
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

_TYPES: Mapping[str, str] = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    address: str
    body: bytes
    media_type: str
    packed: bytes


def load(folder: Path = STATIC) -> Mapping[str, Asset]:
    """Our files by name."""
    bodies = {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.suffix in _TYPES}
    whole = sha256(b"".join(b"%s %d %s" % (name.encode(), len(body), body) for name, body in bodies.items()))
    return {
        name: Asset(
            f"/static/{whole.hexdigest()[:12]}/{name}", body, _TYPES[Path(name).suffix], gzip.compress(body, mtime=0)
        )
        for name, body in bodies.items()
    }


def routes(assets: Mapping[str, Asset]) -> list[BaseRoute]:
    by_address = {asset.address: asset for asset in assets.values()}

    async def static(request: Request) -> Response:
        asset = by_address.get(request.url.path)
        if asset is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        headers = {"cache-control": FOREVER, "vary": "accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            return Response(asset.packed, media_type=asset.media_type, headers=headers)
        return Response(asset.body, media_type=asset.media_type, headers=headers)

    return [Route("/static/{digest}/{name}", static, methods=["GET"])]

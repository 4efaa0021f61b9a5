"""The dashboard: files of the package, by the names that its build has listed.

A request names a file of that list or nothing: no name from outside becomes a path.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from starlette.responses import Response

from lesto.jobmanager.server.rest.errors import RouteNotFoundError
from lesto.jobmanager.server.rest.json_schema import TEXT
from lesto.jobmanager.server.rest.routing import Call, Endpoint

FOLDER: Final = Path(__file__).resolve().parent.parent / "static"
INDEX: Final = "index.html"
#: A page of ours runs only our files, talks only to us, and is in nobody's frame.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
#: Names of assets carry a hash of their content.
_FOREVER: Final = "public, max-age=31536000, immutable"
_ASK_EACH_TIME: Final = "no-cache"
_TYPES: Final[Mapping[str, str]] = {  # the machine's tables may say otherwise
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file in memory.

    Attributes:
        compressed: the same with gzip; None: it would be no shorter.
        tag: changes with the content.
    """

    content: bytes
    compressed: bytes | None
    tag: str
    media_type: str
    caching: str


class StaticResource:
    """Serves the dashboard.

    Args:
        folder: with ``index.html``, ``manifest.json`` and what that lists.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._assets = functools.cache(lambda: load(folder))

    def endpoints(self) -> list[Endpoint]:
        """Return its endpoints."""
        make = functools.partial(
            Endpoint, "GET", response=TEXT, tag="dashboard", also=(304,), open=True
        )
        summary = "The dashboard."
        return [
            make("/", self.index, summary, media_type="text/html"),
            make("/index.html", self.index, summary, media_type="text/html"),
            make(
                "/assets/{asset}",
                self.asset,
                "A file of the dashboard; it never changes.",
                media_type="*/*",
            ),
        ]

    def index(self, call: Call) -> Any:
        """Serve the page."""
        return self._serve(call, INDEX)

    def asset(self, call: Call) -> Any:
        """Serve a file."""
        return self._serve(call, f"assets/{call.path('asset')}")

    def _serve(self, call: Call, name: str) -> Response:
        asset = self._assets().get(name)
        if asset is None:
            msg = "there is no such file" if self._assets() else "the dashboard is not built"
            raise RouteNotFoundError(
                msg, remedy="A checkout builds it with `npm ci && npm run build` in web/."
            )
        headers = {**_HEADERS, "Cache-Control": asset.caching, "ETag": asset.tag}
        headers["Vary"] = "Accept-Encoding"
        asked = call.request.headers
        known = [
            tag.strip().removeprefix("W/") for tag in asked.get("if-none-match", "").split(",")
        ]
        if asset.tag in known:
            return Response(status_code=304, headers=headers)
        content = asset.content
        if asset.compressed is not None and _takes_gzip(asked.get("accept-encoding", "")):
            content, headers["Content-Encoding"] = asset.compressed, "gzip"
        return Response(content, headers=headers, media_type=asset.media_type)


def _takes_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header takes gzip.

    >>> _takes_gzip("br, gzip;q=0.5"), _takes_gzip("gzip;q=0"), _takes_gzip("")
    (True, False, False)
    """
    for part in header.split(","):
        name, _, quality = part.strip().partition(";")
        if name.strip().lower() == "gzip":
            return quality.replace(" ", "").lower() not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def load(folder: Path) -> Mapping[str, Asset]:
    """Read the files; empty where none are built.

    Raises:
        ValueError: a file is not what the build has listed.
    """
    if not (folder / INDEX).is_file():
        return {}
    listed = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    found = {INDEX: _asset(folder / INDEX, _ASK_EACH_TIME)}
    for name, described in listed.items():
        asset = found[name] = _asset(folder / name, _FOREVER)
        if asset.tag != f'"{described["sha256"][:32]}"':
            msg = f"the dashboard's {name} is not the one that was built"
            raise ValueError(msg)
    return found


def _asset(path: Path, caching: str) -> Asset:
    content = path.read_bytes()
    compressed = gzip.compress(content, 6, mtime=0)
    known = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    return Asset(
        content,
        compressed if len(compressed) < len(content) else None,
        f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        known or "application/octet-stream",
        caching,
    )

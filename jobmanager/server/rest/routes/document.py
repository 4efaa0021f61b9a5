"""GET /openapi.json: the server describes itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from lesto.jobmanager.server.rest.openapi import document
from lesto.jobmanager.server.rest.routing import Call, Endpoint


class DocumentResource:
    """Serves the OpenAPI document.

    Args:
        endpoints: all of the server, asked for once.
    """

    def __init__(self, endpoints: Callable[[], Sequence[Endpoint]]) -> None:
        self._document = functools.cache(lambda: document(endpoints()))

    def endpoints(self) -> list[Endpoint]:
        """Return its endpoint."""
        return [
            Endpoint(
                "GET",
                "/openapi.json",
                self.openapi,
                "This document.",
                tag="cluster",
                open=True,
            )
        ]

    def openapi(self, _call: Call) -> Any:
        """Describe the server."""
        return self._document()

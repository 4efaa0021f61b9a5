"""JSON over HTTP to a coordination service: nothing but the standard library."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from lesto.state.errors import LeaseServiceError

#: Longest answer that is read.
ANSWER_BYTES_MAX = 1 << 20


class JsonService:
    """A base URL that is asked with short timeouts and without proxies.

    Args:
        base: ``http://host:port`` or ``https://host:port``.
        timeout_seconds: of one call; a part of the lease's duration.
        ca_file: of the authority that has signed its certificate; None: the system's.
    """

    def __init__(self, base: str, timeout_seconds: float, ca_file: str | None = None) -> None:
        self.base = base.rstrip("/")
        self._timeout = timeout_seconds
        handlers: list[Any] = [urllib.request.ProxyHandler({})]
        if self.base.startswith("https://"):
            context = ssl.create_default_context(cafile=ca_file)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        elif not self.base.startswith("http://"):
            msg = f"'{base}' is no URL of an HTTP service"
            raise LeaseServiceError(msg, remedy="write http://HOST:PORT or https://HOST:PORT")
        self._opener = urllib.request.build_opener(*handlers)

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of an answer, whatever its status.

        Raises:
            LeaseServiceError: there was no answer in time, or it was not JSON.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.base}{path}",
            data=data,
            method=method,
            headers={"Content-Type": "application/json", **(headers or {})},
        )
        try:
            try:
                with self._opener.open(request, timeout=self._timeout) as answer:
                    return answer.status, json.loads(answer.read(ANSWER_BYTES_MAX) or b"{}")
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, _json_or_text(error.read(ANSWER_BYTES_MAX))
        except (OSError, ValueError) as error:
            msg = f"{self.base} does not answer: {error}"
            raise LeaseServiceError(
                msg, remedy="look whether the service runs and can be reached from here"
            ) from error


def _json_or_text(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return {"message": content.decode(errors="replace")[:500]}

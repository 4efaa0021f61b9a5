"""JSON over HTTP with a timeout, a limit and no proxies: what the operator asks others with."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Longest answer that is read.
ANSWER_BYTES_MAX = 32 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: of HTTP; 0: no answer came, and ``body`` is why.
        body: JSON, or the text that was none.
    """

    status: int
    body: Any

    @property
    def reason(self) -> str:
        """Why it is no success, in one line."""
        if isinstance(self.body, dict):
            found = self.body.get("detail") or self.body.get("message") or self.body
            return str(found)[:500]
        return str(self.body)[:500]


class JsonHttp:
    """A server.

    Args:
        base: ``http://host:port`` or ``https://host:port``.
        token: shown as bearer, or what gives it for each call; empty: none.
        context: of TLS.
        timeout_seconds: of one call.
    """

    def __init__(
        self,
        base: str,
        token: str | Callable[[], str] = "",
        *,
        context: ssl.SSLContext | None = None,
        timeout_seconds: float = 10.0,
    ) -> None:
        self.base = base.rstrip("/")
        self._token = token
        self._timeout = timeout_seconds
        handlers: list[Any] = [urllib.request.ProxyHandler({})]
        if context is not None:
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def call(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> Answer:
        """One request. Failures of the network are answers with status 0."""
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        token = self._token if isinstance(self._token, str) else self._token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.base}{path}", data=data, method=method, headers=headers
        )
        try:
            try:
                with self._opener.open(request, timeout=self._timeout) as answer:
                    return Answer(answer.status, _parsed(answer.read(ANSWER_BYTES_MAX)))
            except urllib.error.HTTPError as error:
                with error:
                    return Answer(error.code, _parsed(error.read(ANSWER_BYTES_MAX)))
        except (OSError, ValueError) as error:
            return Answer(0, f"{self.base} does not answer: {error}")


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content or b"{}")
    except ValueError:
        return content.decode(errors="replace")[:1000]

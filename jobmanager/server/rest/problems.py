"""Errors as RFC 9457 problems, with the ``errors`` list that Flink's clients read."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from lesto.common.errors import InternalError, LestoError
from lesto.jobmanager.server.rest.errors import RestUnauthenticatedError, http_status

MEDIA_TYPE: Final = "application/problem+json"
ERROR_PAGES: Final = "https://lesto.dev/errors"
#: Characters of the path that an error repeats.
INSTANCE_CHARACTERS_MAX: Final = 200
#: What a 503 tells a client to wait.
RETRY_AFTER_SECONDS: Final = 1
logger = logging.getLogger("lesto.rest")


def problem(
    error: Exception,
    instance: str,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    plain: bool = False,
) -> Response:
    """Return the response for an error; what is ours to mend is logged under an id.

    Args:
        error: any; what is none of Lesto's is a defect of the server and told as one.
        instance: the path that was asked for.
        status: instead of what the error means.
        headers: more of them.
        plain: answer with Flink's list of errors alone, see ``wants_plain``.
    """
    named = error
    if not isinstance(named, LestoError):
        msg = "the request failed inside the server"
        named = InternalError(msg, remedy="Look for the error_id in the JobManager's log.")
    code = status or http_status(named)
    content = content_of(named, code, instance)
    # Of what a user's own program did wrong: traceback, output, line and column.
    content = {**getattr(named, "details", {}), **content}
    if code >= 500:
        content["error_id"] = error_id = secrets.token_hex(8)
        # A JobManager that cannot be reached is no defect of ours: one line says so.
        unexpected = not isinstance(error, LestoError) or code == 500
        logger.error(
            "rest.request_failed error_id=%s path=%s error=%s",
            error_id,
            content["instance"],
            f"{named.code}: {named.message}" if not unexpected else repr(error),
            exc_info=error if unexpected else None,
        )
    more = dict(headers or {})
    if isinstance(named, RestUnauthenticatedError):
        more["WWW-Authenticate"] = 'Bearer realm="lesto"'
    if code in {429, 503}:
        more["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if plain:
        told = _readable(f"{named.code}: {named.message}")
        if named.remedy:
            told += _readable(f"\n  what to do: {named.remedy}")
        return JSONResponse({"errors": [told]}, status_code=code, headers=more)
    return JSONResponse(content, status_code=code, media_type=MEDIA_TYPE, headers=more)


def wants_plain(headers: Mapping[str, str]) -> bool:
    """Whether a request's client reads nothing but Flink's list of errors.

    Flink's own clients are the ones that do not say what they accept, and they refuse an answer
    that has more members than they know.
    """
    return "accept" not in headers


def content_of(error: LestoError, status: int, instance: str) -> dict[str, Any]:
    """Return the members of a problem."""
    return {
        "type": f"{ERROR_PAGES}#{error.code.lower()}",
        "title": type(error).__name__,
        "status": status,
        "detail": _readable(error.message),
        "instance": _readable(instance[:INSTANCE_CHARACTERS_MAX]),
        "code": error.code,
        "remedy": _readable(error.remedy),
        "errors": [_readable(f"{error.code}: {error.message}")],
    }


def _readable(text: str) -> str:
    """Text that can be encoded: a request may have brought halves of characters."""
    return text.encode(errors="replace").decode()

"""From a request to its handler and back: guard, parameters, body, threads, errors."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from lesto.jobmanager.server.rest import limits, validation
from lesto.jobmanager.server.rest.errors import (
    BadRequestError,
    BodyTooLargeError,
    HeadersTooLargeError,
    ServerBusyError,
)
from lesto.jobmanager.server.rest.guard import Guard
from lesto.jobmanager.server.rest.problems import problem, wants_plain
from lesto.jobmanager.server.rest.routing import PATH_PARAMETERS, Call, Endpoint

#: Handlers that run at once: those that answer at once, and those that wait on purpose.
QUICK_THREADS: Final = 8
PATIENT_THREADS: Final = 16
#: Requests that wait for a thread; beyond them the answer is 503.
QUEUE_MAX: Final = 256
#: Bodies that are no JSON and come in at once; each may take its endpoint's bytes of disk.
UPLOADS_MAX: Final = 4
#: What of such a body is kept in memory; a longer one goes to a temporary file.
IN_MEMORY_BYTES: Final = 1024 * 1024
JSON: Final = "application/json"
#: Levels of nested lists and objects in a body.
MAX_JSON_DEPTH: Final = 32

#: What any JSON answer says besides its type.
_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class Threads:
    """Runs handlers in threads, a bounded number at once, with a bounded queue in front."""

    def __init__(self, name: str, count: int, queue_max: int = QUEUE_MAX) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=f"rest-{name}")
        self._limit = count + queue_max
        self._under_way = 0

    async def run(self, endpoint: Endpoint, call: Call) -> Any:
        """Call the handler.

        Raises:
            ServerBusyError: too many wait.
        """
        if self._under_way >= self._limit:
            msg = f"{self._limit} requests are being answered or wait"
            raise ServerBusyError(msg, remedy="Ask again in a second.")
        self._under_way += 1
        future = self._pool.submit(endpoint.handler, call)
        # Counted until the thread is through, even if the client has gone away.
        future.add_done_callback(self._done(asyncio.get_running_loop()))
        return await asyncio.wrap_future(future)

    def _done(self, loop: asyncio.AbstractEventLoop) -> Any:
        def told(_future: Any) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._one_less)

        return told

    def _one_less(self) -> None:
        self._under_way -= 1

    def close(self) -> None:
        """Take no more; those that run end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Dispatcher:
    """Answers requests for endpoints.

    Args:
        guard: who may ask.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._quick = Threads("quick", QUICK_THREADS)
        self._patient = Threads("patient", PATIENT_THREADS)
        self._uploads = Uploads()

    def close(self) -> None:
        """End the threads."""
        self._quick.close()
        self._patient.close()

    def endpoint(self, endpoints: Sequence[Endpoint]) -> Any:
        """Return the ASGI endpoint for all methods of one path."""
        by_method = {endpoint.method: endpoint for endpoint in endpoints}
        if "GET" in by_method:
            by_method["HEAD"] = by_method["GET"]

        async def answer(request: Request) -> Response:
            try:
                return await self._answer(by_method[request.method], request)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody reads it
            except Exception as error:  # noqa: BLE001 - told to the caller, and logged
                plain = wants_plain(request.headers)
                return problem(error, request.scope["path"], plain=plain)

        return answer

    async def _answer(self, endpoint: Endpoint, request: Request) -> Response:
        _check_head(request)
        await self._guard.check(endpoint, request)
        path = validation.path_values(request.path_params, PATH_PARAMETERS)
        query = validation.query_values(endpoint, request.scope["query_string"])
        threads = self._patient if endpoint.patient else self._quick
        if endpoint.body_media_type == JSON:
            body = await _body(endpoint, request)
            result = await threads.run(endpoint, Call(request, path, query, body))
        else:
            async with self._uploads.content(endpoint, request) as content:
                result = await threads.run(endpoint, Call(request, path, query, {}, content))
        if isinstance(result, Response):
            return result
        return JSONResponse(result, status_code=endpoint.status, headers=_HEADERS)


def _check_head(request: Request) -> None:
    # The parser refuses what is too long only while it is incomplete.
    scope = request.scope
    size = len(scope["raw_path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) for name, value in scope["headers"])
    if size > limits.HEAD_BYTES_MAX:
        msg = f"the address and headers are longer than {limits.HEAD_BYTES_MAX} bytes"
        raise HeadersTooLargeError(msg, remedy="Send shorter ones.")


async def _body(endpoint: Endpoint, request: Request) -> dict[str, Any]:
    """Return the JSON object of a request; empty when there is none."""
    if endpoint.body is None:
        _check_length(endpoint, request)
        return {}
    content = b"".join([chunk async for chunk in _chunks(endpoint, request)])
    body = parse_object(content) if content.strip() else {}
    validation.check(body, endpoint.body, validation.BODY)
    return body


def _check_length(endpoint: Endpoint, request: Request) -> None:
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:19]) > endpoint.max_body_bytes:
        msg = f"the body is longer than {endpoint.max_body_bytes} bytes"
        raise BodyTooLargeError(msg, remedy="Send less.")


async def _chunks(endpoint: Endpoint, request: Request) -> AsyncIterator[bytes]:
    """Yield the body in pieces, up to what the endpoint takes.

    Raises:
        BodyTooLargeError: it is longer; as soon as that is known.
    """
    _check_length(endpoint, request)
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > endpoint.max_body_bytes:
            msg = f"the body is longer than {endpoint.max_body_bytes} bytes"
            raise BodyTooLargeError(msg, remedy="Send less.")
        yield chunk


class Uploads:
    """Takes bodies that are no JSON into files, a bounded number at once."""

    def __init__(self, limit: int = UPLOADS_MAX) -> None:
        self._limit = limit
        self._under_way = 0

    @contextlib.asynccontextmanager
    async def content(self, endpoint: Endpoint, request: Request) -> AsyncIterator[IO[bytes]]:
        """Yield a file with the body, at its start.

        Raises:
            ServerBusyError: too many are under way.
            BodyTooLargeError: it is longer than the endpoint takes.
        """
        if self._under_way >= self._limit:
            msg = f"{self._limit} uploads are under way"
            raise ServerBusyError(msg, remedy="Wait for one to end.")
        self._under_way += 1
        try:
            with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
                async for chunk in _chunks(endpoint, request):
                    await asyncio.to_thread(file.write, chunk)
                file.seek(0)
                yield file
        finally:
            self._under_way -= 1


def parse_object(content: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        BadRequestError: it is none, or is nested too deeply.
    """
    _check_depth(content)
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        msg = "the body is not a JSON object"
        raise BadRequestError(msg, remedy="See /openapi.json for what is accepted.")
    return body


def _check_depth(content: bytes) -> None:
    """Refuse deep nesting before the parser recurses; brackets in texts count, too."""
    if content.count(b"[") + content.count(b"{") <= MAX_JSON_DEPTH:
        return
    depth = 0
    in_text = escaped = False
    for byte in content:
        if in_text:
            in_text, escaped = (byte != 0x22 or escaped), (byte == 0x5C and not escaped)
        elif byte == 0x22:
            in_text = True
        elif byte in b"[{":
            depth += 1
            if depth > MAX_JSON_DEPTH:
                msg = f"the body is nested more than {MAX_JSON_DEPTH} levels deep"
                raise BadRequestError(msg)
        elif byte in b"]}":
            depth -= 1

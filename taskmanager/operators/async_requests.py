"""Requests of an async operator: made on the event loop, with a time limit and further attempts."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

from lesto.common.async_functions import AsyncCall, AsyncRetryStrategy
from lesto.taskmanager.operators.async_loop import AsyncLoop
from lesto.taskmanager.operators.errors import InvalidResultError

MILLISECONDS: Final = 1000


class Request:
    """One record: what is asked for it, and what has come of it.

    Attributes:
        value: the record.
        timestamp: event time, ms; NO_TIMESTAMP for none.
        kind: its row kind.
        results: what it brought, once ``done``.
        error: what was raised, once ``done``.
        done: set last, on the loop's thread.
        task: while it runs.
        context: what the function is given beside the value.
        segment: where it belongs among the watermarks (unordered).
    """

    __slots__ = (
        "context",
        "done",
        "error",
        "kind",
        "results",
        "segment",
        "task",
        "timestamp",
        "value",
    )

    def __init__(self, value: Any, timestamp: int, kind: int) -> None:
        self.value = value
        self.timestamp = timestamp
        self.kind = kind
        self.results: Sequence[Any] = ()
        self.error: BaseException | None = None
        self.done = False
        self.task: asyncio.Task[None] | None = None
        self.context: Any = None
        self.segment: Any = None


Invoke = Callable[[Request], Awaitable[Sequence[Any]]]


def invocation(function: Callable[..., Any], method: str, name: str) -> Invoke:
    """A coroutine function that brings a request's results as a list.

    Args:
        function: the user's coroutine function or async generator function.
        method: which kind of function it is.
        name: its name, for errors.
    """
    generates = inspect.isasyncgenfunction(function)

    async def call_map(request: Request) -> Sequence[Any]:
        return (await function(request.value),)

    async def call_filter(request: Request) -> Sequence[Any]:
        return (request.value,) if await function(request.value) else ()

    async def call_many(request: Request) -> Sequence[Any]:
        return listed(await function(request.value), name, none=method == "flat_map")

    async def call_process(request: Request) -> Sequence[Any]:
        return listed(await function(request.value, request.context), name, none=True)

    async def generate(request: Request) -> Sequence[Any]:
        return [result async for result in function(request.value)]

    async def generate_process(request: Request) -> Sequence[Any]:
        return [result async for result in function(request.value, request.context)]

    if method == "process_element":
        return generate_process if generates else call_process
    if generates:
        return generate
    return {"map": call_map, "filter": call_filter}.get(method, call_many)


def listed(found: Any, name: str, *, none: bool = False) -> Sequence[Any]:
    """Results as a list.

    Raises:
        InvalidResultError: they cannot be iterated over.
    """
    if type(found) is list:
        return found
    if found is None and none:
        return ()
    if isinstance(found, Iterable) and not isinstance(found, (str, bytes, dict)):
        return list(found)
    what = "None" if found is None else f"a {type(found).__name__}"
    msg = f"{name} returned {what}, not a list of results"
    raise InvalidResultError(
        msg, remedy="return a list: [result] for one, [] for none; for one result there is map"
    )


class RequestRunner:
    """Makes requests on an event loop; hands back those that are done.

    The mailbox thread calls ``submit`` and ``take``. One wake-up serves all requests that end in
    one turn of the loop.

    Args:
        loop: the task's loop.
        invoke: makes a request once.
        call: its settings.
        on_timeout: gives the results of a request that took too long, or raises.
        wake: tells the task that something is done; thread-safe.
    """

    def __init__(
        self,
        loop: AsyncLoop,
        invoke: Invoke,
        call: AsyncCall,
        on_timeout: Callable[[Any], Any],
        wake: Callable[[], None],
    ) -> None:
        self._loop = loop.loop
        self._invoke = invoke
        self._call = call
        self._on_timeout = on_timeout
        self._wake = wake
        self._done: deque[Request] = deque()
        self._told = False
        self._closed = False
        self._timeout = call.timeout_ms / MILLISECONDS
        #: In order of time, for all have the same limit.
        self._limits: deque[tuple[float, Request]] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        retry = call.retry
        self._run = self._once
        if retry is not None:
            predicate = retry.get_retry_predicate()
            self._retry: AsyncRetryStrategy[Any] = retry
            self._again_for_result = predicate.result_predicate() or _never
            self._again_for_error = predicate.exception_predicate() or _never
            self._run = self._with_attempts

    def submit(self, requests: list[Request]) -> None:
        """Make requests; they are done in any order."""
        self._loop.call_soon_threadsafe(self._begin, requests)

    def take(self) -> list[Request]:
        """Those that are done since the last call."""
        done = self._done
        return [done.popleft() for _ in range(len(done))]

    def close(self) -> None:
        """Nothing is told any more; what runs is cancelled."""
        self._closed = True
        self._loop.call_soon_threadsafe(self._cancel_all)

    # -------------------------------------------------------------------------- the loop's thread

    def _begin(self, requests: list[Request]) -> None:
        if self._closed:
            return
        create, run = self._loop.create_task, self._run
        for request in requests:
            request.task = create(run(request))
        if self._timeout:
            limit = self._loop.time() + self._timeout
            self._limits.extend([(limit, request) for request in requests])
            if self._alarm is None:
                self._alarm = self._loop.call_at(limit, self._check_limits)

    async def _once(self, request: Request) -> None:
        try:
            results = await self._invoke(request)
        except Exception as error:  # noqa: BLE001 - fails the task
            self._finish(request, (), error)
        except BaseException as error:
            self._interrupted(request, error)
            raise
        else:
            self._finish(request, results, None)

    async def _with_attempts(self, request: Request) -> None:
        attempt = 1
        try:
            while True:
                results: Sequence[Any] = ()
                error: Exception | None = None
                try:
                    results = await self._invoke(request)
                except Exception as raised:  # noqa: BLE001 - the strategy judges it
                    error = raised
                again = (
                    self._again_for_result(results)
                    if error is None
                    else self._again_for_error(error)
                )
                if not again or not self._retry.can_retry(attempt):
                    self._finish(request, results, error)
                    return
                pause_ms = self._retry.get_backoff_time_millis(attempt)
                await asyncio.sleep(max(0, pause_ms) / MILLISECONDS)
                attempt += 1
        except Exception as error:  # noqa: BLE001 - fails the task
            self._finish(request, (), error)
        except BaseException as error:
            self._interrupted(request, error)
            raise

    def _interrupted(self, request: Request, error: BaseException) -> None:
        """Cancelled by user code, or a wish to end the process; not: because it took too long."""
        if request.task is asyncio.current_task():
            self._finish(request, (), error)

    def _finish(
        self, request: Request, results: Sequence[Any], error: BaseException | None
    ) -> None:
        if request.done or self._closed:
            return  # it had taken too long
        request.results = results
        request.error = error
        request.task = None
        request.done = True
        self._done.append(request)
        if not self._told:
            self._told = True
            self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        self._told = False
        self._wake()

    def _check_limits(self) -> None:
        now = self._loop.time()
        limits = self._limits
        while limits and (limits[0][1].done or limits[0][0] <= now):
            request = limits.popleft()[1]
            if not request.done:
                self._time_out(request)
        self._alarm = self._loop.call_at(limits[0][0], self._check_limits) if limits else None

    def _time_out(self, request: Request) -> None:
        task, request.task = request.task, None
        try:
            found = self._on_timeout(request.value)
            if inspect.isawaitable(found):
                answering = self._loop.create_task(self._await_timeout(request, found))
                request.task = answering
            else:
                self._finish(request, listed(found, "timeout"), None)
        except Exception as error:  # noqa: BLE001 - fails the task
            self._finish(request, (), error)
        if task is not None:
            task.cancel()

    async def _await_timeout(self, request: Request, found: Awaitable[Any]) -> None:
        try:
            results = listed(await found, "timeout")
        except Exception as error:  # noqa: BLE001 - fails the task
            self._finish(request, (), error)
        else:
            self._finish(request, results, None)

    def _cancel_all(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()


def _never(_: Any) -> bool:
    return False

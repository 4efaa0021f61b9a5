"""Functions that await: many requests under way at one time, results in order or as they come.

Requests are made on the task's event loop; the mailbox thread starts them and emits what they
brought. No result passes a watermark in either direction. What has been taken and not emitted is in
the checkpoint, and is asked for again behind a restore. While as many requests are under way as may
be, a few more records wait here, so that a finished request is followed at once; then the task
takes no input.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from lesto.common.async_functions import AsyncCall, is_async
from lesto.common.elements import NO_TIMESTAMP, Batch, Form, RowBatch
from lesto.common.errors import LestoError
from lesto.state import codec
from lesto.taskmanager.operators.async_loop import (
    CLOSE_SECONDS_MAX,
    OPEN_SECONDS_MAX,
    AsyncLoop,
)
from lesto.taskmanager.operators.async_requests import Invoke, Request, RequestRunner, invocation
from lesto.taskmanager.operators.base import Operator, OperatorSnapshot
from lesto.taskmanager.operators.errors import KeyedStateUnavailableError, UserFunctionError
from lesto.taskmanager.operators.results import emit_results
from lesto.taskmanager.operators.runtime_context import OperatorRuntimeContext
from lesto.taskmanager.operators.user_functions import (
    DIGEST_DIGITS,
    bound_method,
    close_function,
    function_name,
    open_function,
    user_errors,
)

#: List state: records whose results were not emitted.
REQUESTS_STATE: Final = "requests"
#: A record in an error is shown to this many characters.
SHOWN_CHARACTERS: Final = 200


class Mark:
    """A watermark or a change of status among the requests.

    Attributes:
        watermark: event time, ms; None for a status.
        idle: the status.
        passed: it has been emitted.
    """

    __slots__ = ("idle", "passed", "watermark")

    def __init__(self, watermark: int | None, idle: bool = False) -> None:
        self.watermark = watermark
        self.idle = idle
        self.passed = False


class Segment:
    """Requests between two marks, where results leave as they come.

    Attributes:
        requests: not emitted yet, in order.
        ready: those that are done.
        end: the mark behind; None: the segment is the last, and grows.
    """

    __slots__ = ("end", "ready", "requests")

    def __init__(self) -> None:
        self.requests: dict[Request, None] = {}
        self.ready: list[Request] = []
        self.end: Mark | None = None


class InOrder:
    """Requests and marks; results leave in the order of the records."""

    def __init__(self) -> None:
        self._queue: deque[Request | Mark] = deque()

    def __bool__(self) -> bool:
        return bool(self._queue)

    def add(self, requests: list[Request]) -> None:
        """Records have come."""
        self._queue.extend(requests)

    def mark(self, mark: Mark) -> None:
        """A mark behind them."""
        self._queue.append(mark)

    def done(self, requests: list[Request]) -> None:
        """Requests are done: they say so themselves."""

    def take(self) -> tuple[list[Request], Mark | None]:
        """What may leave now: requests, then a mark."""
        queue = self._queue
        out: list[Request] = []
        while queue:
            first = queue[0]
            if isinstance(first, Mark):
                queue.popleft()
                return out, first
            if not first.done:
                break
            out.append(first)
            queue.popleft()
        return out, None

    def unfinished(self) -> list[Request]:
        """Not emitted, in order."""
        return [item for item in self._queue if isinstance(item, Request)]


class AsTheyCome:
    """Requests in segments between marks; inside of one, results leave as they come."""

    def __init__(self) -> None:
        self._segments: deque[Segment] = deque([Segment()])

    def __bool__(self) -> bool:
        return len(self._segments) > 1 or bool(self._segments[0].requests)

    def add(self, requests: list[Request]) -> None:
        """Records have come."""
        segment = self._segments[-1]
        for request in requests:
            request.segment = segment
            segment.requests[request] = None

    def mark(self, mark: Mark) -> None:
        """A mark behind them: no result may pass it."""
        self._segments[-1].end = mark
        self._segments.append(Segment())

    def done(self, requests: list[Request]) -> None:
        """Requests are done."""
        for request in requests:
            request.segment.ready.append(request)

    def take(self) -> tuple[list[Request], Mark | None]:
        """What may leave now: requests, then a mark."""
        segment = self._segments[0]
        out, segment.ready = segment.ready, []
        for request in out:
            del segment.requests[request]
        if segment.requests or segment.end is None:
            return out, None
        self._segments.popleft()
        return out, segment.end

    def unfinished(self) -> list[Request]:
        """Not emitted, in order."""
        return [request for segment in self._segments for request in segment.requests]


class AsyncContext:
    """The ``ctx`` of an ``async def process_element``: of one record, for it runs beside others."""

    __slots__ = ("_operator", "_timestamp")

    def __init__(self, operator: AsyncWaitOperator, timestamp: int) -> None:
        self._operator = operator
        self._timestamp = timestamp

    def timestamp(self) -> int | None:
        """Event time (ms) of the record, or None if it has none."""
        return None if self._timestamp == NO_TIMESTAMP else self._timestamp

    def timer_service(self) -> AsyncContext:
        """Current times; timers need a keyed stream."""
        return self

    def current_processing_time(self) -> int:
        """Wall clock, ms."""
        return self._operator.context.clock.now_ms()

    def current_watermark(self) -> int:
        """Event time of the operator, ms."""
        return self._operator.current_watermark

    def _refuse(self, timestamp: int) -> None:
        msg = f"a timer for {timestamp} in a process function that is not on a keyed stream"
        raise KeyedStateUnavailableError(msg, remedy="call key_by(...) before process(...)")

    register_event_time_timer = _refuse
    register_processing_time_timer = _refuse
    delete_event_time_timer = _refuse
    delete_processing_time_timer = _refuse


class AsyncWaitOperator(Operator):
    """Runs an AsyncFunction, or the ``async def`` method of another function.

    Args:
        function: the function object, or a coroutine function.
        call: which method, and how many at a time.
    """

    input_form = Form.ROWS
    concurrent = True
    _loop: AsyncLoop
    _runner: RequestRunner

    def __init__(self, function: Any, call: AsyncCall) -> None:
        self._function = function
        self._call = call
        self._method = bound_method(function, call.method)
        self._queue = InOrder() if call.ordered else AsTheyCome()
        self._waiting: deque[Any] = deque()
        self._active = 0  # started and not emitted
        self._opened = False
        self.current_watermark = -(2**63)

    def open(self) -> None:
        """Open the function, and ask again for what was under way at the checkpoint."""
        context = self.context
        self._loop = AsyncLoop.acquire(context)
        self._runner = RequestRunner(
            self._loop,
            self._invocation(),
            self._call,
            getattr(self._function, "timeout", None) or _timed_out,
            context.wake,
        )
        self._opened = True
        self._open_function()
        context.metrics.gauge("async_requests", lambda: self._active)
        restored = [
            Request(value, timestamp, kind)
            for value, timestamp, kind in map(codec.decode, self._restored())
        ]
        if restored:
            self._add(restored)

    def _name(self) -> str:
        return function_name(self._function)

    def _invocation(self) -> Invoke:
        return invocation(self._method, self._call.method, self._name())

    def _restored(self) -> Sequence[bytes]:
        return self.context.restored_list(REQUESTS_STATE)

    def _open_function(self) -> None:
        method = getattr(self._function, "open", None)
        runtime = self._runtime_context()
        if method is None or not is_async(method):
            open_function(self._function, runtime, self.context.operator_name)
            return
        what = f"{self._name()}.open"
        with user_errors(self.context.operator_name, what):
            self._loop.run(method(runtime), what, OPEN_SECONDS_MAX)

    def _runtime_context(self) -> OperatorRuntimeContext:
        return OperatorRuntimeContext(self.context)

    # --------------------------------------------------------------------------------------- input

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Make a request for each record; those beyond the capacity wait."""
        assert isinstance(batch, RowBatch)
        values = batch.values
        n = len(values)
        times = [NO_TIMESTAMP] * n if batch.timestamps is None else batch.timestamps.tolist()
        kinds = [0] * n if batch.kinds is None else batch.kinds.tolist()
        self._add(list(map(Request, values, times, kinds)))

    def _add(self, requests: list[Request]) -> None:
        self._prepare(requests)
        self._queue.add(requests)
        self._waiting.extend(requests)
        self._start()

    def _prepare(self, requests: list[Request]) -> None:
        """What functions are given beside the value."""
        if self._call.method == "process_element":
            for request in requests:
                request.context = AsyncContext(self, request.timestamp)

    def _start(self) -> None:
        """As many of the waiting as there is capacity for."""
        waiting = self._waiting
        free = min(self._call.capacity - self._active, len(waiting))
        if free > 0:
            self._active += free
            self._runner.submit([waiting.popleft() for _ in range(free)])

    def room(self) -> int:
        """As many records may wait as may be under way."""
        waiting = len(self._waiting)
        return 0 if 2 * waiting > self._call.capacity else self._call.capacity - waiting

    def in_flight(self) -> bool:
        """Whether results are to come, or a watermark waits for some."""
        return bool(self._queue)

    def process_watermark(self, timestamp: int) -> None:
        """Pass it on behind the results of what came before it."""
        if self._queue:
            self._queue.mark(Mark(timestamp))
        else:
            self._pass_watermark(timestamp)

    def _pass_watermark(self, timestamp: int) -> None:
        self.current_watermark = timestamp
        self.output.emit_watermark(timestamp)

    def process_status(self, idle: bool) -> None:
        """In order with the watermarks."""
        if self._queue:
            self._queue.mark(Mark(None, idle))
        else:
            self.output.emit_status(idle)

    # -------------------------------------------------------------------------------------- output

    def poll(self) -> bool:
        """Emit what has come, and start as many requests anew."""
        done = self._runner.take()
        if not done:
            return False
        for request in done:
            if request.error is not None:
                raise self._failure(request) from request.error
        self._queue.done(done)
        self._emit_ready()
        self._start()
        return True

    def _emit_ready(self) -> None:
        ready: list[Request] = []
        while True:
            found, mark = self._queue.take()
            ready += found
            if mark is None:
                break
            self._emit(ready)
            ready = []
            mark.passed = True
            if mark.watermark is None:
                self.output.emit_status(mark.idle)
            else:
                self._pass_watermark(mark.watermark)
        self._emit(ready)

    def _emit(self, requests: list[Request]) -> None:
        if not requests:
            return
        self._active -= len(requests)
        results: list[Any] = []
        ends: list[int] = []
        for request in requests:
            results.extend(request.results)
            ends.append(len(results))
        if not results:
            return
        times = np.array([request.timestamp for request in requests], dtype=np.int64)
        timed = None if (times == NO_TIMESTAMP).all() else times
        if self._call.keeps_kind and any([request.kind for request in requests]):
            kept = [request for request in requests if request.results]
            kinds = np.array([request.kind for request in kept], dtype=np.int8)
            at = np.array([request.timestamp for request in kept], dtype=np.int64)
            self.output.emit(RowBatch(results, None if timed is None else at, kinds))
            return
        emit_results(self.output, results, timed, None if timed is None else ends)

    def _failure(self, request: Request) -> Exception:
        error = request.error
        assert error is not None
        if isinstance(error, LestoError):
            return error
        try:
            shown = repr(request.value)
        except Exception:  # noqa: BLE001 - the record's own code
            shown = f"a {type(request.value).__name__}"
        made = UserFunctionError(
            self.context.operator_name,
            self._name(),
            error,
            record=f"the record {shown:.{SHOWN_CHARACTERS}}",
        )
        if not isinstance(error, OSError):
            # The world's fault otherwise: another system is down, and will be up again.
            digest = hashlib.sha256(shown.encode("utf-8", "backslashreplace"))
            made.record_digest = digest.hexdigest()[:DIGEST_DIGITS]
        return made

    # --------------------------------------------------------------------------------------- state

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """The records whose results were not emitted."""
        unfinished = self._queue.unfinished()
        items = codec.encode_all([(r.value, r.timestamp, r.kind) for r in unfinished])
        return OperatorSnapshot(lists={REQUESTS_STATE: items} if items else {})

    def close(self) -> None:
        """Cancel what runs, and close the function."""
        if not self._opened:
            return
        self._opened = False
        self._runner.close()
        try:
            method = getattr(self._function, "close", None)
            if method is not None and is_async(method):
                what = f"{self._name()}.close"
                with user_errors(self.context.operator_name, what):
                    self._loop.run(method(), what, CLOSE_SECONDS_MAX)
            else:
                close_function(self._function, self.context.operator_name)
        finally:
            self._loop.release()


def _timed_out(value: Any) -> Any:
    msg = f"the request for {value!r:.{SHOWN_CHARACTERS}} took too long"
    raise TimeoutError(msg)

"""``async def`` functions on a keyed stream: one record of a key at a time, with keyed state.

Records of different keys are under way side by side; results, and the changes of state, take effect
in the order of the records. A function with timers sees a watermark only when all records before it
are through, and its records behind the watermark start only then: so event time means what it means
in a function that does not await.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from lesto.common.async_functions import AsyncCall
from lesto.common.elements import NO_TIMESTAMP
from lesto.common.functions import KeyedProcessFunction
from lesto.common.keys import KeySpec
from lesto.common.time import TimeDomain
from lesto.kernels.keygroups import key_group_for_hash, operator_index
from lesto.kernels.scalar import hash_value
from lesto.state import codec
from lesto.taskmanager.operators.async_requests import Invoke, Request
from lesto.taskmanager.operators.async_state import (
    CURRENT,
    AsyncRuntimeContext,
    Journal,
    KeyedState,
)
from lesto.taskmanager.operators.async_wait import REQUESTS_STATE, AsyncWaitOperator, Mark
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.field_access import key_function
from lesto.taskmanager.operators.keyed import KeyedProcessContext
from lesto.taskmanager.operators.results import emit_at
from lesto.taskmanager.operators.timer_service import InternalTimers, TimerService
from lesto.taskmanager.operators.user_functions import function_error, function_name, user_errors


class AsyncKeyedContext:
    """The ``ctx`` of an ``async def process_element``, of one record."""

    __slots__ = ("_operator", "_timestamp", "journal")

    def __init__(self, operator: AsyncKeyedOperator, journal: Journal, timestamp: int) -> None:
        self._operator = operator
        self._timestamp = timestamp
        self.journal = journal

    def get_current_key(self) -> Any:
        """Key of the record."""
        return self.journal.key

    def timestamp(self) -> int | None:
        """Event time (ms) of the record, or None if it has none."""
        return None if self._timestamp == NO_TIMESTAMP else self._timestamp

    def timer_service(self) -> AsyncKeyedContext:
        """Times, and timers of the record's key; set and removed when the record is emitted."""
        return self

    def current_processing_time(self) -> int:
        """Wall clock, ms."""
        return self._operator.context.clock.now_ms()

    def current_watermark(self) -> int:
        """Event time of the operator, ms."""
        return self._operator.current_watermark

    def _later(self, method: Callable[[int], None], timestamp: int) -> None:
        self.journal.changes.append(lambda: method(timestamp))

    def register_event_time_timer(self, timestamp: int) -> None:
        """Call ``on_timer`` once the watermark has reached ``timestamp`` ms."""
        self._later(self._operator.timer_service.register_event_time_timer, timestamp)

    def register_processing_time_timer(self, timestamp: int) -> None:
        """Call ``on_timer`` at wall-clock ``timestamp`` ms."""
        self._later(self._operator.timer_service.register_processing_time_timer, timestamp)

    def delete_event_time_timer(self, timestamp: int) -> None:
        """Remove a timer; nothing happens when there is none."""
        self._later(self._operator.timer_service.delete_event_time_timer, timestamp)

    def delete_processing_time_timer(self, timestamp: int) -> None:
        """Remove a timer; nothing happens when there is none."""
        self._later(self._operator.delete_processing_timer, timestamp)


class AsyncKeyedOperator(AsyncWaitOperator):
    """Runs the ``async def`` method of a function on a keyed stream.

    Args:
        function: the function object.
        call: which method, and how many records at a time.
        key: how records are keyed.
    """

    timer_service: TimerService
    _state: KeyedState
    _timers: InternalTimers

    def __init__(self, function: Any, call: AsyncCall, key: KeySpec) -> None:
        super().__init__(function, call)
        self._keys_of = key_function(key)
        own = getattr(type(function), "on_timer", None)
        self._on_timer = None
        if own is not None and own is not KeyedProcessFunction.on_timer:
            self._on_timer = function.on_timer
        #: Keys with a record under way, and their records that wait for it.
        self._busy: dict[Any, deque[Request]] = {}
        self._behind = 0  # records in those queues
        self._free: deque[Request] = deque()  # their key has become free
        # Timers of keys that are busy; each once, though a checkpoint puts them back in the queue.
        self._late: dict[tuple[int, Any], None] = {}

    def open(self) -> None:
        """Get the restored state, then as ever."""
        backend = self.context.keyed_backend()
        self._state = KeyedState(backend)
        self._timers = InternalTimers(
            self.context, backend, self._on_processing_timer, self._nothing
        )
        self.timer_service = TimerService(self._timers, backend)
        self._timer_context = KeyedProcessContext(backend, self.timer_service)
        super().open()
        self._timers.open()

    def _runtime_context(self) -> AsyncRuntimeContext:
        return AsyncRuntimeContext(self.context, self._state.backend)

    def _invocation(self) -> Invoke:
        invoke = super()._invocation()

        async def with_journal(request: Request) -> Sequence[Any]:
            CURRENT.set(request.context.journal)
            return await invoke(request)

        return with_journal

    # --------------------------------------------------------------------------------------- input

    def _prepare(self, requests: list[Request]) -> None:
        with user_errors(self.context.operator_name, "the key selector"):
            keys = self._keys_of([request.value for request in requests])
        for request, key in zip(requests, keys, strict=True):
            journal = Journal(key, self._state)
            request.context = AsyncKeyedContext(self, journal, request.timestamp)

    def _start(self) -> None:
        starting: list[Request] = []
        busy, waiting, free = self._busy, self._waiting, self._free
        while self._active < self._call.capacity:
            if free:
                request = free.popleft()
                self._behind -= 1
            elif waiting:
                first = waiting[0]
                if isinstance(first, Mark):
                    if not first.passed:
                        break
                    waiting.popleft()
                    continue
                request = waiting.popleft()
                key = request.context.journal.key
                queue = busy.get(key)
                if queue is not None:
                    queue.append(request)
                    self._behind += 1
                    continue
                busy[key] = deque()
            else:
                break
            self._active += 1
            starting.append(request)
        if starting:
            self._runner.submit(starting)

    def room(self) -> int:
        """As many records may wait as may be under way."""
        waiting = len(self._waiting) + self._behind
        return 0 if 2 * waiting > self._call.capacity else self._call.capacity - waiting

    def process_watermark(self, timestamp: int) -> None:
        """Fire timers and pass it on, behind all records before it."""
        if not self._queue:
            self._pass_watermark(timestamp)
            return
        mark = Mark(timestamp)
        self._queue.mark(mark)
        if self._on_timer is not None:
            self._waiting.append(mark)

    # -------------------------------------------------------------------------------------- output

    def _emit(self, requests: list[Request]) -> None:
        """Carry out what the records changed, and let the next ones of their keys start."""
        for request in requests:
            journal = request.context.journal
            self._state.carry_out(journal)
            behind = self._busy[journal.key]
            if behind:
                self._free.append(behind.popleft())
            else:
                del self._busy[journal.key]
        super()._emit(requests)
        if self._late:
            late, self._late = self._late, {}
            for timestamp, key in late:
                self._timers.processing.delete(timestamp, key)
                self._fire_processing(timestamp, key)

    def _pass_watermark(self, timestamp: int) -> None:
        self.current_watermark = timestamp
        with self._state.lock:
            self._timers.fire_event_timers(timestamp, self._on_event_timer)
        self.output.emit_watermark(timestamp)

    def _on_event_timer(self, timestamp: int, key: Any, namespace: Any) -> None:
        emit_at(self.output, self._fire(timestamp, TimeDomain.EVENT_TIME), timestamp)

    def _on_processing_timer(self, timestamp: int, key: Any, namespace: Any) -> None:
        self._fire_processing(timestamp, key)

    def _fire_processing(self, timestamp: int, key: Any) -> None:
        """Not beside a record of the key: that has read the state already."""
        if key in self._busy:
            self._late[timestamp, key] = None
            return
        with self._state.lock:
            self._state.backend.current_key = key
            results = self._fire(timestamp, TimeDomain.PROCESSING_TIME)
        emit_at(self.output, results, None)

    def delete_processing_timer(self, timestamp: int) -> None:
        """Remove a timer of the current key, one too that is due and waits for its record."""
        self._late.pop((timestamp, self._state.backend.current_key), None)
        self.timer_service.delete_processing_time_timer(timestamp)

    def _fire(self, timestamp: int, domain: TimeDomain) -> list[Any]:
        if self._on_timer is None:
            return []
        self._timer_context.hold_timer(timestamp, domain)
        try:
            return list(self._on_timer(timestamp, self._timer_context) or ())
        except Exception as error:
            name = f"{function_name(self._function)}.on_timer"
            raise function_error(self.context.operator_name, name, error, iterates=True) from error

    def _nothing(self) -> None:
        """Results of timers have been emitted."""

    # --------------------------------------------------------------------------------------- state

    def _restored(self) -> Sequence[bytes]:
        """Those of this subtask's keys; the checkpoint gives all to all."""
        items = list(super()._restored())
        values = [codec.decode(item)[0] for item in items]
        context = self.context
        mine = []
        for item, key in zip(items, self._keys_of(values) if values else (), strict=True):
            group = key_group_for_hash(hash_value(key), context.max_parallelism)
            owner = operator_index(group, context.max_parallelism, context.parallelism)
            if owner == context.subtask:
                mine.append(item)
        return mine

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """State as the emitted records left it, and the records that are not emitted."""
        with self._state.lock:
            for timestamp, key in self._late:
                self._timers.processing.register(timestamp, key)
            keyed = self._state.backend.snapshot(checkpoint_id, canonical=canonical)
        lists = super().snapshot(checkpoint_id, canonical).lists
        return OperatorSnapshot(keyed, union_lists=lists)

    def close(self) -> None:
        """Take the alarm back, then as ever."""
        if self._opened:
            self._timers.close()
        super().close()


__all__ = ["REQUESTS_STATE", "AsyncKeyedOperator"]

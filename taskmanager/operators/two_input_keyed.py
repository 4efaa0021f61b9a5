"""Process functions over two streams of which both or one are keyed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

from lesto.common.elements import Batch, RowBatch
from lesto.common.keys import KeySpec
from lesto.taskmanager.operators.errors import KeyedStateUnavailableError
from lesto.taskmanager.operators.keyed import KeyedProcessOperator
from lesto.taskmanager.operators.results import emit_results
from lesto.taskmanager.operators.stateless import RowContext, collect
from lesto.taskmanager.operators.timer_service import InternalTimers


class NoKeyHere:
    """The current key of a record that has none: any use of state or a timer hashes it.

    Args:
        operator: name of the operator, for the error.
        side: such as ``the second input``.
        remedy: what the user can do.
    """

    __slots__ = ("_operator", "_remedy", "_side")

    def __init__(self, operator: str, side: str, remedy: str) -> None:
        self._operator = operator
        self._side = side
        self._remedy = remedy

    def __hash__(self) -> int:
        msg = (
            f"keyed state or a timer was used for a record of {self._side} of operator"
            f" {self._operator!r}, which is not keyed"
        )
        raise KeyedStateUnavailableError(msg, remedy=self._remedy)

    def __repr__(self) -> str:
        return "<no key>"


class UnkeyedTimes:
    """The ``timer_service()`` of a side that is not keyed: times, but no timers.

    Args:
        timers: of the operator.
        no_key: raises when it is hashed.
    """

    __slots__ = ("_no_key", "_timers")

    def __init__(self, timers: InternalTimers, no_key: NoKeyHere) -> None:
        self._timers = timers
        self._no_key = no_key

    def current_processing_time(self) -> int:
        """Wall clock, ms."""
        return self._timers.now_ms()

    def current_watermark(self) -> int:
        """Event time of the operator, ms."""
        return self._timers.current_watermark

    def _refuse(self, timestamp: int) -> None:
        hash(self._no_key)

    register_event_time_timer = _refuse
    register_processing_time_timer = _refuse
    delete_event_time_timer = _refuse
    delete_processing_time_timer = _refuse


class UnkeyedContext(RowContext):
    """The ``ctx`` of a side that is not keyed."""

    __slots__ = ("_service",)

    def __init__(self, times: UnkeyedTimes) -> None:
        super().__init__()
        self._service = times

    def timer_service(self) -> UnkeyedTimes:
        """Current times."""
        return self._service


class KeyedCoProcessOperator(KeyedProcessOperator):
    """Runs ``process_element1(value, ctx)``, ``process_element2`` and ``on_timer(timestamp, ctx)``.

    State and timers belong to the key, whichever side it came from. A side without a key has
    neither.

    Args:
        function: the object.
        key1: how records of the first input are keyed, or None.
        key2: how records of the second input are keyed, or None; one of them is given.
    """

    def __init__(self, function: Any, key1: KeySpec | None, key2: KeySpec | None) -> None:
        self._sides: list[tuple[Callable[..., Any], Any, bool]] = []
        keys = (key1, key2)
        for number, key in enumerate(keys):
            given = key or keys[1 - number]
            assert given is not None, "one side is keyed"
            super().__init__(function, given, f"process_element{number + 1}")
            keys_of = None if key is None else self._keys_of
            self._sides.append((self._process, keys_of, self._yields))

    def open(self) -> None:
        """Get the restored state, open the function, set the alarm for restored timers."""
        super().open()
        side = "second" if self._sides[1][1] is None else "first"
        self._no_key = NoKeyHere(
            self.context.operator_name,
            f"the {side} input",
            "call key_by(...) on both streams, or connect(...).key_by(first, second)",
        )
        self._unkeyed = UnkeyedContext(UnkeyedTimes(self._timers, self._no_key))

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Run the side's function over the batch and emit what it yields, once."""
        process, keys_of, yields = self._sides[input_index]
        if keys_of is None:
            self._process_unkeyed(batch, process)
            return
        self._process, self._keys_of, self._yields = process, keys_of, yields
        super().process_batch(batch)

    def _process_unkeyed(self, batch: Batch, process: Callable[..., Any]) -> None:
        self._backend.current_key = self._no_key
        run_unkeyed(self, process, batch, self._unkeyed)


def run_unkeyed(
    operator: KeyedProcessOperator, process: Callable[..., Any], batch: Batch, ctx: RowContext
) -> None:
    """Run a function over a batch of the side that is not keyed and emit what it yields, once."""
    assert isinstance(batch, RowBatch)
    values, timestamps = batch.values, batch.timestamps
    rows = iter(values)
    ctx.begin(rows, len(values), timestamps)
    results: list[Any] = []
    ends: list[int] | None = None if timestamps is None else []
    try:
        collect(map(process, rows, repeat(ctx)), results, ends)
    except Exception as error:
        raise operator._row_error(error, rows, len(values)) from error
    emit_results(operator.output, results, timestamps, ends)

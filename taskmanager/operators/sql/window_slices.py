"""Windows whose bounds do not depend on the key: TUMBLE, HOP, CUMULATE, those of the input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

import msgspec
import numpy as np
import pyarrow as pa

from lesto.common.elements import Timestamps
from lesto.common.metrics import Counter
from lesto.kernels.index import HashIndex
from lesto.kernels.partition import take_array
from lesto.sql.values import EvaluationContext
from lesto.state.table import Hashes, Slots, StateTable
from lesto.taskmanager.operators.columnar.distinct import Distinct
from lesto.taskmanager.operators.columnar.fired import FiredRange, FiredUntil
from lesto.taskmanager.operators.columnar.time_windows import Lists
from lesto.taskmanager.operators.sql.window_calls import WindowCalls
from lesto.taskmanager.operators.sql.window_numbers import Values
from lesto.taskmanager.operators.sql.window_rows import SlicedRows
from lesto.taskmanager.operators.sql.window_shapes import Bounds, Cumulating, Shape

#: Union list state: until when the windows of a subtask's key groups have fired.
FIRED_STATE: Final = "window_fired"
#: Rows of a result batch at most.
RESULT_ROWS_MAX: Final = 65_536


class _Fired(msgspec.Struct, array_like=True):
    """Windows of key groups ``first`` to ``last`` that end up to ``until`` ms have fired."""

    first: int
    last: int
    until: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Fired).decode


def saved_ranges(fired: FiredUntil) -> dict[str, list[bytes]]:
    """Union list state of what has fired."""
    return {FIRED_STATE: [_encode(_Fired(*part)) for part in fired.ranges()]}


def restored_ranges(saved: Sequence[bytes]) -> list[FiredRange]:
    """What union list state says has fired."""
    return [(item.first, item.last, item.until) for item in map(_decode, saved)]


class Results(Protocol):
    """Takes what fires."""

    def emit(
        self,
        keys: Sequence[pa.Array],
        parts: Sequence[Values],
        waiting: Sequence[pa.Array],
        bounds: tuple[Timestamps | None, Timestamps],
    ) -> None:
        """Groups of windows; starts are None where they are among the keys."""
        ...


class SliceWindows:
    """The windows of one operator.

    Args:
        shape: the windows.
        calls: the aggregates.
        table: namespaced by slice.
        rows: of the calls that wait; None if none does.
        results: takes what fires.
        late: counts rows that come too late.
        fired: what has fired before a restore.
        context: for the evaluation of results.
    """

    def __init__(
        self,
        shape: Shape,
        calls: WindowCalls,
        table: StateTable,
        rows: SlicedRows | None,
        results: Results,
        late: Counter,
        fired: FiredUntil,
        context: Callable[[], EvaluationContext],
    ) -> None:
        self._shape = shape
        self._calls = calls
        self._table = table
        self._rows = rows
        self._results = results
        self._late = late
        self.fired = fired
        self._context = context
        self._distinct = Distinct()
        self._open = Lists()  # slots by slice
        types = list(table.descriptor.key_schema.types)
        #: Numbers of keys without their slices, where windows have several of these.
        self._keys = HashIndex(types) if shape.shared else None
        self._owner: Slots = np.zeros(1024, np.int64)  # by slot: number of its key
        self._held: Slots = np.zeros(1024, np.int64)  # by number: slots of the key
        self._place: Slots = np.zeros(1024, np.int64)  # by number or slot: scratch
        #: By slot while for some keys more has fired: windows that end up to this ms have.
        self._until: Slots = np.zeros(0, np.int64)
        self._restore(table.live_slots())

    def _restore(self, live: Slots) -> None:
        if len(live):
            keys = self._table.keys(live)
            self._enter(keys, self._table.hashes(keys), self._table.namespaces(live), live)

    # -- rows

    def add(
        self,
        keys: Sequence[pa.Array],
        slices: Timestamps,
        values: Sequence[Values],
        columns: Sequence[pa.Array],
        progress: int,
    ) -> None:
        """Fold rows into their slices.

        Args:
            keys: the key columns, n rows.
            slices: int64[n].
            values: what the accumulators fold.
            columns: what calls that wait keep.
            progress: local ms; windows that end up to it are over.
        """
        hashes = self._table.hashes(keys)
        done = self._done(hashes, progress)
        if self._some_late(slices, done):
            kept = np.flatnonzero(self._shape.last_ms(slices) > done)
            self._late.inc(len(slices) - len(kept))
            if not len(kept):
                return
            keys, columns = ([take_array(c, kept) for c in some] for some in (keys, columns))
            hashes, slices = hashes[kept], slices[kept]
            values = [_taken(v, kept) for v in values]
            done = done if isinstance(done, int) else done[kept]
        if self._rows is not None:
            self._rows.add(slices, keys, columns, hashes)
        if isinstance(self._shape, Cumulating) and isinstance(done, int):
            # Steps that have been given are collected in the first.
            over = slices + (self._shape.step - 1) <= done
            if over.any():
                slices = np.where(over, self._shape.base(slices), slices)
        self._calls.fold(self._table, self._slots(keys, hashes, slices), values)

    def add_parts(
        self,
        keys: Sequence[pa.Array],
        slices: Timestamps,
        parts: Sequence[Values],
        progress: int,
        rows: Timestamps,
    ) -> None:
        """As :meth:`add`, of accumulators of several rows each; ``rows`` says how many."""
        hashes = self._table.hashes(keys)
        done = self._done(hashes, progress)
        if self._some_late(slices, done):
            gone = self._shape.last_ms(slices) <= done
            self._late.inc(int(rows[gone].sum()))
            kept = np.flatnonzero(~gone)
            if not len(kept):
                return
            keys = [take_array(k, kept) for k in keys]
            hashes, slices = hashes[kept], slices[kept]
            parts = [_taken(v, kept) for v in parts]
            done = done if isinstance(done, int) else done[kept]
        if isinstance(self._shape, Cumulating) and isinstance(done, int):
            over = slices + (self._shape.step - 1) <= done
            slices = np.where(over, self._shape.base(slices), slices)
        self._calls.add(self._table, self._slots(keys, hashes, slices), parts)

    def _done(self, hashes: Hashes, progress: int) -> Slots | int:
        if self.fired.apart:
            return np.maximum(self.fired.of(hashes), progress)
        return max(progress, self.fired.done)

    def _some_late(self, slices: Timestamps, done: Slots | int) -> bool:
        if not isinstance(done, int):
            return True
        return int(self._shape.last_ms(slices.min(keepdims=True))[0]) <= done

    def _slots(self, keys: Sequence[pa.Array], hashes: Hashes, slices: Timestamps) -> Slots:
        slots, new = self._table.upsert(keys, slices, hashes)
        if len(new):
            own = [take_array(k, new) for k in keys]
            self._enter(own, hashes[new], slices[new], slots[new])
        return slots

    def _enter(
        self, keys: Sequence[pa.Array], hashes: Hashes, slices: Timestamps, slots: Slots
    ) -> None:
        """Note new slots."""
        self._open.add(slices, slots)
        bound = int(slots.max()) + 1
        if self.fired.apart:
            self._until = _room(self._until, bound)
            self._until[slots] = self.fired.of(hashes)
        if self._keys is None:
            self._place = _room(self._place, bound)
            return
        numbers, new = self._keys.lookup_or_insert(keys, hashes)
        self._owner = _room(self._owner, bound)
        self._owner[slots] = numbers
        if new:
            bound = self._keys.slot_bound
            self._held, self._place = _room(self._held, bound), _room(self._place, bound)
            self._held[numbers[self._keys.new_rows]] = 0
        np.add.at(self._held, numbers, 1)

    # -- time

    def due_at(self) -> int | None:
        """The last local ms of the window that ends next."""
        return self._shape.first_due(self._open.starts, self.fired.done)

    def advance(self, progress: int) -> Iterator[None]:
        """Fire the windows that have ended, some at a step; drop slices of no window."""
        ended = self._shape.ended(self._open.starts, self.fired.done, progress)
        if self._keys is not None:
            for bounds in ended:
                self._fire_shared(bounds)
                self.fired.advance(bounds[1] - 1)
                yield
        else:
            for some in self._batches(ended):
                self._fire(some)
                self.fired.advance(some[-1][1] - 1)
                yield
        self.fired.advance(progress)
        self._drop_over(progress)

    def _drop_over(self, progress: int) -> None:
        starts = np.array(self._open.starts, np.int64)
        over = starts[self._shape.last_ms(starts) <= progress].tolist() if len(starts) else []
        if over:
            self._drop(np.concatenate([self._open.pop(s) for s in over]))
        if self._rows is not None and self._rows.slices:
            kept = np.array(self._rows.slices, np.int64)
            self._rows.drop(kept[self._shape.last_ms(kept) <= progress].tolist())

    def _batches(self, ended: Sequence[Bounds]) -> Iterator[list[Bounds]]:
        some: list[Bounds] = []
        rows = 0
        for bounds in ended:
            some.append(bounds)
            rows += sum(len(self._open.slots(s)) for s in self._shape.parts(bounds))
            if rows >= RESULT_ROWS_MAX:
                yield some
                some, rows = [], 0
        if some:
            yield some

    def _fire(self, ended: Sequence[Bounds]) -> None:
        """Windows of a slice each."""
        names = [s for bounds in ended for s in self._shape.parts(bounds)]
        lists = [self._open.slots(s) for s in names]
        slots = np.concatenate(lists)
        ends = np.repeat(np.array([b[1] for b in ended], np.int64), [len(x) for x in lists])
        starts = None
        if ended[0][0] is not None:
            starts = np.repeat(np.array([b[0] for b in ended], np.int64), [len(x) for x in lists])
        fresh = self._fresh(slots, ends - 1)
        if fresh is not None:
            self._place[slots] = -1
            slots, ends = slots[fresh], ends[fresh]
            starts = None if starts is None else starts[fresh]
        parts = self._calls.read(self._table, slots)
        self._place[slots] = np.arange(len(slots))
        waiting = self._waiting(names, len(slots))
        self._give(slots, parts, waiting, (starts, ends))
        for name in names:
            self._open.pop(name)
        self._table.remove(np.concatenate(lists))
        if self._rows is not None:
            self._rows.drop(names)

    def _fresh(self, slots: Slots, last_ms: Timestamps | int) -> Slots | None:
        """Which of the slots have not fired before a restore; None if no slot has."""
        if not self.fired.apart:
            return None
        return np.flatnonzero(self._until[slots] < last_ms)

    def _fire_shared(self, bounds: Bounds) -> None:
        start, end = bounds
        names = list(self._shape.parts(bounds))
        lists = [self._open.slots(s) for s in names if s in self._open]
        if not lists:
            return
        slots = np.concatenate(lists)
        numbers = self._owner[slots]
        self._place[numbers] = -1
        fresh = self._fresh(slots, end - 1)
        if fresh is not None:
            slots, numbers = slots[fresh], numbers[fresh]
        first = self._distinct.first_rows(numbers)
        count = len(first)
        if count:
            self._place[numbers[first]] = np.arange(count)
            parts = self._calls.merged(
                self._calls.read(self._table, slots), self._place[numbers], count
            )
            waiting = self._waiting(names, count)
            bound = np.full(count, end, np.int64)
            starts = np.full(count, start, np.int64)
            self._give(slots[first], parts, waiting, (starts, bound))
        if isinstance(self._shape, Cumulating) and start is not None:
            self._collapse(start, end)

    def _collapse(self, start: int, end: int) -> None:
        """Collect the steps that have been given in the first one."""
        assert isinstance(self._shape, Cumulating)
        if end == start + self._shape.size:
            return
        for step in range(start + self._shape.step, end, self._shape.step):
            if step in self._open:
                slots = self._open.pop(step)
                keys = self._table.keys(slots)
                base = np.full(len(slots), start, np.int64)
                into = self._slots(keys, self._table.hashes(keys), base)
                self._calls.merge(self._table, into, slots)
                self._drop(slots)

    def _waiting(self, names: Iterable[int], count: int) -> list[pa.Array]:
        """Results of the calls that wait; ``_place`` says which group is whose, -1: no one's."""
        if self._rows is None:
            return []
        assert self._calls.arguments is not None
        found = self._rows.of(names)
        groups = np.empty(0, np.int64)
        columns = found.columns
        if len(found.ids):
            hashes = self._table.hashes(found.keys)
            if self._keys is None:
                owners = self._table.upsert(found.keys, found.slices, hashes)[0]
            else:
                owners = self._keys.lookup(found.keys, hashes)
            groups = self._place[owners]
            kept = np.flatnonzero(groups >= 0)
            if len(kept) < len(groups):
                groups, columns = groups[kept], [take_array(c, kept) for c in columns]
        return self._calls.arguments.results(columns, groups, count, self._context())

    def _give(
        self,
        slots: Slots,
        parts: Sequence[Values],
        waiting: Sequence[pa.Array],
        bounds: tuple[Timestamps | None, Timestamps],
    ) -> None:
        alive = self._calls.alive(parts)
        starts, ends = bounds
        if alive is not None:
            slots, ends = slots[alive], ends[alive]
            starts = None if starts is None else starts[alive]
            parts = [_taken(v, alive) for v in parts]
            waiting = [take_array(w, alive) for w in waiting]
        if len(slots):
            self._results.emit(self._table.keys(slots), parts, waiting, (starts, ends))

    def _drop(self, slots: Slots) -> None:
        if self._keys is not None:
            numbers = self._owner[slots]
            np.subtract.at(self._held, numbers, 1)
            keys = self._distinct.values(numbers)
            empty = keys[self._held[keys] == 0]
            if len(empty):
                self._keys.remove(empty)
        self._table.remove(slots)


def _taken(values: Values, rows: Slots) -> Values:
    """Some rows of what is folded."""
    numbers, valid = values
    return numbers[rows] if len(numbers) else numbers, None if valid is None else valid[rows]


def _room(array: Slots, size: int) -> Slots:
    if size <= len(array):
        return array
    out = np.zeros(max(size, 2 * len(array)), np.int64)
    out[: len(array)] = array
    return out

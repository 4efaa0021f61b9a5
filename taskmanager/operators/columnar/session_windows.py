"""Session windows over a state table: a row is a session, its namespace the start it was made with.

That start stays the row's name when the session grows at the front; the true bounds are
accumulators. Live sessions of a key are disjoint and hold the start they are named by, so names are
unique.

A batch's records are grouped into sessions per key, these are merged with the live sessions they
touch, and of the live ones that become one the earliest row takes up the others. A batch is treated
as a whole: a late record counts if it joins a session that is alive with the batch's other records
in it. ``first`` and ``last`` of sessions that become one go by event time of the sessions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.elements import MAX_TIMESTAMP, ColumnarBatch, Timestamps
from lesto.kernels import windows
from lesto.kernels.index import HashIndex
from lesto.kernels.partition import take_array
from lesto.state.table import AccumulatorSpec, StateTable
from lesto.taskmanager.operators.columnar.aggregates import Slots
from lesto.taskmanager.operators.columnar.distinct import Distinct
from lesto.taskmanager.operators.columnar.due_slots import DueSlots
from lesto.taskmanager.operators.columnar.window_results import RESULT_ROWS_MAX

START: Final = "session_start"
END: Final = "session_end"
FIRED: Final = "fired"
_NONE: Final = -1


class SessionPlan(Protocol):
    """What is folded, in the form of ``columnar.aggregates.AggregatePlan``."""

    @property
    def key_schema(self) -> pa.Schema:
        """The key columns."""
        ...

    def key_arrays(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """The key columns of a batch."""
        ...

    def values(self, batch: pa.RecordBatch) -> list[Any]:
        """What is folded of a batch."""
        ...

    def fold(self, table: StateTable, slots: Slots, values: list[Any]) -> None:
        """Fold a batch into the table; a negative slot skips the row."""
        ...

    def merge(self, table: StateTable, targets: Slots, sources: Slots) -> None:
        """Fold rows of the table into others."""
        ...


class SessionResults(Protocol):
    """Takes what fires."""

    def emit(self, slots: Slots, starts: Timestamps, ends: Timestamps) -> None:
        """Emit results in the order of the slots."""
        ...


class LateTaker(Protocol):
    """Takes records that are too late."""

    def take(self, batch: ColumnarBatch, rows: Slots) -> None:
        """Late records, by their row in the batch."""
        ...


class SessionWindows:
    """The sessions of one operator.

    Args:
        gap_ms: a session ends this long after its last record.
        lateness_ms: how long a session stays after its end.
        plan: the aggregates.
        table: namespaced, with the accumulators of :meth:`extra_accumulators`.
        results: takes what fires.
        late: takes records that are too late.
    """

    def __init__(
        self,
        gap_ms: int,
        lateness_ms: int,
        plan: SessionPlan,
        table: StateTable,
        results: SessionResults,
        late: LateTaker,
    ) -> None:
        self._gap_ms = gap_ms
        self._lateness_ms = lateness_ms
        self._plan = plan
        self._table = table
        self._results = results
        self._late = late
        self._by_key = _SessionsByKey(plan.key_schema.types)
        self._due = DueSlots(max(1, gap_ms // 64))
        live = table.live_slots()
        if len(live):
            keys = table.keys(live)
            self._by_key.add(self._by_key.numbers(keys, table.hashes(keys)), live)
            self._due.add(live, self._due_times(live))

    @staticmethod
    def extra_accumulators(lateness_ms: int) -> tuple[AccumulatorSpec, ...]:
        """What the table needs beside the aggregates."""
        return tuple(AccumulatorSpec(name, "count") for name in (START, END, FIRED))

    def add(self, batch: ColumnarBatch, times: Timestamps, watermark: int) -> None:
        """Fold records into their sessions."""
        keys = self._plan.key_arrays(batch.data)
        hashes = self._table.hashes(keys)
        numbers = self._by_key.numbers(keys, hashes)
        session, owners, starts, ends = windows.sessions(numbers, times, self._gap_ms)
        present = self._by_key.distinct.values(owners)
        live, live_owners = self._by_key.sessions(present)
        merged = _merge(
            np.concatenate([live_owners, owners]),
            np.concatenate([self._column(START)[live], starts]),
            np.concatenate([self._column(END)[live], ends]),
            len(live),
        )
        a_row = np.empty(len(owners), np.int64)
        a_row[session] = np.arange(len(session))  # any row of the session will do
        slots = self._settle(merged, live, watermark)
        fresh = np.flatnonzero(merged.fresh & ~self._is_gone(merged.ends, watermark))
        if len(fresh):
            rows = a_row[merged.an_incoming[fresh]]
            made, _ = self._table.upsert(
                [take_array(k, rows) for k in keys], merged.starts[fresh], hashes[rows]
            )
            slots[fresh] = made
            self._by_key.add(merged.owners[fresh], made)
        row_slots = slots[merged.group[len(live) :]][session]
        self._plan.fold(self._table, row_slots, self._plan.values(batch.data))
        self._late.take(batch, np.flatnonzero(row_slots == _NONE))
        touched = np.flatnonzero(merged.touched & (slots != _NONE))
        self._update(slots[touched], merged.starts[touched], merged.ends[touched], watermark)
        self._by_key.drop_empty(present)

    def advance(self, watermark: int) -> Iterator[None]:
        """Fire the sessions that have ended, a batch of results at a step; drop those past their
        lateness.
        """
        found = self._due.until(watermark)
        if len(found) == 0:
            return
        now = self._due_times(found)
        extended = now > watermark
        self._due.add(found[extended], now[extended])
        slots = found[~extended]
        slots = slots[np.argsort(self._column(END)[slots], kind="stable")]
        for at in range(0, len(slots), RESULT_ROWS_MAX):
            some = slots[at : at + RESULT_ROWS_MAX]
            self._emit(some[self._column(FIRED)[some] == 0])
            gone = self._is_gone(self._column(END)[some], watermark)
            stays = some[~gone]
            self._due.add(stays, self._due_times(stays))
            self._remove(some[gone])
            yield

    def first_due(self) -> int | None:
        """Not after the last ms of the session that ends next; None if there is none."""
        return self._due.first()

    def _column(self, name: str) -> npt.NDArray[np.int64]:
        return self._table.accumulator(name).values

    def _due_times(self, slots: Slots) -> Timestamps:
        """When a session next needs the watermark: to fire, or, having fired, to go."""
        last = self._column(END)[slots] - 1
        return np.where(self._column(FIRED)[slots] == 0, last, self._cleanup(last))

    def _cleanup(self, last: Timestamps) -> Timestamps:
        at = last + self._lateness_ms
        at[at < last] = MAX_TIMESTAMP  # an overflow means for ever, as in Flink
        return at

    def _is_gone(self, ends: Timestamps, watermark: int) -> npt.NDArray[np.bool_]:
        return self._cleanup(ends - 1) <= watermark

    def _settle(self, merged: _Merged, live: Slots, watermark: int) -> Slots:
        """Slots of the merged sessions, -1 for fresh ones; joins live rows that became one."""
        slots = np.full(len(merged.starts), _NONE, np.int64)
        groups = merged.group[: len(live)]
        order = np.lexsort((self._column(START)[live], groups))
        groups, live = groups[order], live[order]
        leads = np.ones(len(live), np.bool_)
        leads[1:] = groups[1:] != groups[:-1]
        slots[groups[leads]] = live[leads]
        extra = live[~leads]
        if len(extra):
            self._plan.merge(self._table, slots[groups[~leads]], extra)
            self._remove(extra, keep_keys=True)
        return slots

    def _update(self, slots: Slots, starts: Timestamps, ends: Timestamps, watermark: int) -> None:
        """Store bounds; fire again the sessions that have ended already (late but allowed)."""
        self._column(START)[slots] = starts
        self._column(END)[slots] = ends
        self._column(FIRED)[slots] = 0
        self._table.dirty[slots] = 1
        self._emit(slots[ends - 1 <= watermark])
        self._due.add(slots, self._due_times(slots))

    def _emit(self, slots: Slots) -> None:
        if len(slots):
            self._column(FIRED)[slots] = 1
            self._table.dirty[slots] = 1
            self._results.emit(slots, self._column(START)[slots], self._column(END)[slots])

    def _remove(self, slots: Slots, keep_keys: bool = False) -> None:
        if len(slots):
            owners = self._by_key.remove(slots)
            self._due.forget(slots)
            self._table.remove(slots)
            if not keep_keys:
                self._by_key.drop_empty(owners)


@dataclass(slots=True)
class _Merged:
    """Sessions after merging, m of n intervals.

    Attributes:
        group: int64[n], the merged session of each interval.
        owners, starts, ends: int64[m].
        fresh: bool[m], no live session is in it.
        touched: bool[m], an incoming session is in it.
        an_incoming: int64[m], number of one incoming session in it, where touched.
    """

    group: Slots
    owners: Slots
    starts: Timestamps
    ends: Timestamps
    fresh: npt.NDArray[np.bool_]
    touched: npt.NDArray[np.bool_]
    an_incoming: Slots


def _merge(owners: Slots, starts: Timestamps, ends: Timestamps, n_live: int) -> _Merged:
    """Join intervals of one owner that overlap or touch; the first ``n_live`` are live sessions."""
    n = len(owners)
    order = np.lexsort((starts, owners))
    by_owner, by_start, by_end = owners[order], starts[order], ends[order]
    # The furthest end so far within an owner, by ranks, which leave room for the owner's number.
    rank = np.empty(n, np.int64)
    by_rank = np.argsort(by_end, kind="stable")
    rank[by_rank] = np.arange(n)
    new_owner = np.ones(n, np.bool_)
    new_owner[1:] = by_owner[1:] != by_owner[:-1]
    owner_number = np.cumsum(new_owner) - 1
    furthest = np.maximum.accumulate(owner_number * n + rank) - owner_number * n
    reach = by_end[by_rank][furthest]
    opens = new_owner.copy()
    opens[1:] |= by_start[1:] > reach[:-1]
    sorted_group = np.cumsum(opens) - 1
    group = np.empty(n, np.int64)
    group[order] = sorted_group
    first = np.flatnonzero(opens)
    last = np.append(first[1:], n) - 1
    m = len(first)
    fresh = np.ones(m, np.bool_)
    fresh[group[:n_live]] = False
    incoming = np.full(m, _NONE, np.int64)
    incoming[group[n_live:]] = np.arange(n - n_live)
    return _Merged(
        group, by_owner[first], by_start[first], reach[last], fresh, incoming != _NONE, incoming
    )


class _SessionsByKey:
    """Live sessions by key: chains of slots; not stored, made from the table at restore."""

    def __init__(self, types: list[object]) -> None:
        self._index = HashIndex(types)
        self.distinct = Distinct()  # of key numbers
        self._head: Slots = np.full(1024, _NONE, np.int64)  # by key number
        self._next: Slots = np.full(1024, _NONE, np.int64)  # by slot
        self._owner: Slots = np.full(1024, _NONE, np.int64)  # by slot

    def numbers(self, keys: list[object], hashes: npt.NDArray[np.uint64]) -> Slots:
        """A number for each row's key, the same while the key has sessions."""
        numbers, n_new = self._index.lookup_or_insert(keys, hashes)
        if n_new:
            self._head = _room(self._head, self._index.slot_bound)
            self._head[numbers[self._index.new_rows]] = _NONE
        return numbers

    def sessions(self, numbers: Slots) -> tuple[Slots, Slots]:
        """Slots of all sessions of some keys, each key once, and the keys they belong to."""
        slots, owners = [], []
        at = self._head[numbers]
        while True:
            there = at != _NONE
            numbers, at = numbers[there], at[there]
            if len(at) == 0:
                break
            slots.append(at)
            owners.append(numbers)
            at = self._next[at]
        if not slots:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate(slots), np.concatenate(owners)

    def add(self, numbers: Slots, slots: Slots) -> None:
        """Enter new sessions; a key may have several of them."""
        bound = int(slots.max()) + 1
        self._next = _room(self._next, bound)
        self._owner = _room(self._owner, bound)
        self._owner[slots] = numbers
        order = np.argsort(numbers, kind="stable")
        numbers, slots = numbers[order], slots[order]
        last = np.ones(len(slots), np.bool_)
        last[:-1] = numbers[1:] != numbers[:-1]
        self._next[slots[:-1]] = slots[1:]
        self._next[slots[last]] = self._head[numbers[last]]
        first = np.ones(len(slots), np.bool_)
        first[1:] = last[:-1]
        self._head[numbers[first]] = slots[first]

    def remove(self, slots: Slots) -> Slots:
        """Take sessions out of their chains; gives the keys they belonged to, each once."""
        changed = self.distinct.values(self._owner[slots])
        self._owner[slots] = _NONE
        chained, chain_owners = self.sessions(changed)
        kept = self._owner[chained] != _NONE
        self._head[changed] = _NONE
        if kept.any():
            self.add(chain_owners[kept], chained[kept])
        return changed

    def drop_empty(self, numbers: Slots) -> None:
        """Forget those of the keys (each once) that have no session."""
        empty = numbers[self._head[numbers] == _NONE]
        if len(empty):
            self._index.remove(empty)


def _room(array: Slots, size: int) -> Slots:
    if size <= len(array):
        return array
    out = np.full(max(size, 2 * len(array)), _NONE, np.int64)
    out[: len(array)] = array
    return out

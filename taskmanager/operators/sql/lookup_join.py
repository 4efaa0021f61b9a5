"""The look-up join: each row with the rows that an external table has now.

Batches are looked up whole: distinct keys that no cache knows go out in one request, beside the
mailbox thread. While it is under way more batches wait behind it, and are looked up together. Rows
leave in the order in which they came. A table that lies in memory is looked up on the spot.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lesto.common.elements import Batch, ColumnarBatch, RowKinds
from lesto.kernels import jit
from lesto.kernels.index import HashIndex
from lesto.kernels.partition import take_array, take_batch
from lesto.sql.evaluator import compile_expressions
from lesto.sql.expressions import Expression, InputRef
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.sql.base import DELETE, UPDATE_BEFORE, SqlOperator
from lesto.taskmanager.operators.sql.join_results import PairCondition
from lesto.taskmanager.operators.sql.join_sides import hashes_of, not_null
from lesto.taskmanager.operators.sql.join_steps import RESULT_ROWS_MAX
from lesto.taskmanager.operators.sql.lookup_join_cache import LookupCache, LookupOptions
from lesto.taskmanager.operators.sql.lookup_metrics import LookupMetrics

if TYPE_CHECKING:
    from lesto.connectors.tables.requests import LookupFunction

Numbers = npt.NDArray[np.int64]

#: List state: rows whose look-ups are under way.
WAITING_STATE: Final = "rows-looked-up"
#: Batches that wait for look-ups before the task takes no more.
BATCHES_MAX: Final = 8
#: Keys of a request at most.
KEYS_MAX: Final = 65_536
#: Time between attempts when look-ups fail, ms, as often as it has failed.
RETRY_MS: Final = 100


@dataclass(frozen=True, slots=True)
class LookedUp:
    """The table that rows are looked up in, and what is made of its rows.

    Attributes:
        function: finds rows.
        schema: of what it gives.
        keys: positions of the left columns that are looked up.
        expressions: the right columns, over what it gives.
        filters: what must be TRUE of what it gives; None for nothing.
        options: of cache and attempts.
    """

    function: LookupFunction
    schema: pa.Schema
    keys: tuple[int, ...]
    expressions: tuple[Expression, ...]
    filters: Expression | None
    options: LookupOptions


@dataclass(slots=True)
class _Waiting:
    """Rows whose look-up is under way, or a mark behind them.

    Attributes:
        data: the rows; None: a mark.
        kinds: of the rows.
        watermark: of a mark; None: a status.
        idle: of a mark that is a status.
        keys: distinct keys of the rows.
        slots: int64[n], number of each row's key; -1: a NULL in it.
        known: bool[keys], whose rows are in ``parts``.
        parts: (numbers of keys, rows).
        attempts: look-ups of keys without rows.
    """

    data: pa.RecordBatch | None
    kinds: RowKinds | None = None
    watermark: int | None = None
    idle: bool = False
    keys: list[pa.Array] = field(default_factory=list)
    slots: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))
    known: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    parts: list[tuple[Numbers, pa.RecordBatch]] = field(default_factory=list)
    attempts: int = 0

    @property
    def ready(self) -> bool:
        """Whether nothing is to be looked up any more."""
        return bool(self.known.all())


class LookupJoinOperator(SqlOperator):
    """INNER and LEFT joins with an external table.

    Args:
        settings: of the session.
        table: what is looked up.
        width: number of left columns.
        outer: whether rows without a partner are given.
        condition: what pairs must meet besides equal keys; None for nothing.
        schema: of the results.
        before: whether updates come with what was before; else what was before is deleted.
        changes: whether the input has more than inserts: then no row waits across a checkpoint,
            behind which its key's rows might take another way.
    """

    concurrent = True

    def __init__(
        self,
        settings: SqlSettings,
        table: LookedUp,
        width: int,
        outer: bool,
        condition: Expression | None,
        schema: pa.Schema,
        before: bool,
        changes: bool,
    ) -> None:
        super().__init__(settings)
        self._table = table
        self._width = width
        self._outer = outer
        self._condition_given = condition
        self._condition: PairCondition | None = None
        self._schema = schema
        self._before = before
        self._changes = changes
        self._queue: deque[_Waiting] = deque()
        self._asking: list[_Waiting] = []
        self._request = 0
        self._cancel_retry: Callable[[], None] | None = None
        self._opened = False

    def open(self) -> None:
        """Connect, and go on with what waited."""
        super().open()
        jit.warm(("hashing", "hashindex", "textindex", "rowkeys", "rows"))
        table = self._table
        #: A function serves one thread at a time: that of requests, or the mailbox's at a barrier.
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._table.function.open()
        self._opened = True
        self._local = bool(getattr(table.function, "local", False))
        if self._condition_given is not None:
            self._condition = PairCondition(self._condition_given, self._width, self.evaluation)
        self._plain = all(
            isinstance(e, InputRef) and e.index == i for i, e in enumerate(table.expressions)
        ) and len(table.expressions) == len(table.schema)
        self._computed = compile_expressions(table.expressions)
        self._filters = None if table.filters is None else compile_expressions([table.filters])
        left = self.input_schema()
        keys = pa.schema([left.field(i) for i in table.keys])
        self._cache = None
        if table.options.cached and not self._local:
            self._cache = LookupCache(keys, table.schema, table.options)
        self._metrics = LookupMetrics(self.context.metrics, self._cached_keys)
        self._reload_at = 0
        if table.options.reload_ms:
            self._reload_at = self.context.clock.now_ms() + table.options.reload_ms
        for encoded in self.context.restored_list(WAITING_STATE):
            self._take(*_decoded(encoded, left))
        self._ask()

    # rows ----------------------------------------------------------------------------------------

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Look the rows up."""
        assert isinstance(batch, ColumnarBatch)
        self._reload()
        if self._local:
            self._on_the_spot(batch.data, batch.kinds)
            return
        self._take(batch.data, batch.kinds)
        self._ask()

    def _on_the_spot(self, data: pa.RecordBatch, kinds: RowKinds | None) -> None:
        keyed = not_null(data, self._table.keys)
        some = None if keyed is None else np.flatnonzero(keyed)
        keys = [data.column(i) for i in self._table.keys]
        if some is not None:
            keys = [take_array(key, some) for key in keys]
        names = [str(i) for i in range(len(keys))]
        numbers, rows = self._table.function.lookup(pa.RecordBatch.from_arrays(keys, names))
        if some is not None:
            numbers = some[numbers]
        numbers, right = self._made(numbers, rows)
        self._give(data, kinds, numbers, np.arange(len(numbers)), right)

    def _take(self, data: pa.RecordBatch, kinds: RowKinds | None) -> None:
        """Find the distinct keys of rows, and which of them are known."""
        keys = self._table.keys
        slots = np.full(data.num_rows, -1, np.int64)
        keyed = not_null(data, keys)
        some = np.arange(data.num_rows) if keyed is None else np.flatnonzero(keyed)
        columns = [data.column(i) for i in keys]
        hashes = hashes_of(data, keys)
        assert hashes is not None, "look-ups have a key"
        if keyed is not None:
            columns = [take_array(column, some) for column in columns]
        index = HashIndex([c.type for c in columns], capacity=max(8, len(some)))
        found, _ = index.lookup_or_insert(columns, hashes[some])
        first = index.new_rows.copy()
        order = np.empty(len(first), np.int64)
        order[found[first]] = np.arange(len(first))
        slots[some] = order[found]
        distinct = [take_array(column, first) for column in columns]
        waiting = _Waiting(data, kinds, keys=distinct, slots=slots)
        waiting.known = np.zeros(len(first), np.bool_)
        if self._cache is not None and len(first):
            waiting.known = self._cache.known(distinct, self.context.clock.now_ms())
            here = np.flatnonzero(waiting.known)
            self._metrics.looked_into(len(first), len(here))
            if len(here):
                at, rows = self._cache.rows([take_array(key, here) for key in distinct])
                waiting.parts.append((here[at], rows))
        self._queue.append(waiting)

    def _reload(self) -> None:
        """Read a table that lies in memory anew, when it is time to."""
        if not self._reload_at or self.context.clock.now_ms() < self._reload_at:
            return
        self._reload_at = self.context.clock.now_ms() + self._table.options.reload_ms
        if self._local:
            self._table.function.open()
        elif self._cache is not None:
            self._cache.clear()

    # requests ------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Send the unknown keys of the batches that wait, unless a request is under way."""
        self._flush()
        if self._asking or self._cancel_retry is not None:
            return
        keys = 0
        for waiting in self._queue:
            if waiting.data is None or waiting.ready:
                continue
            missing = int(np.count_nonzero(~waiting.known))
            if self._asking and keys + missing > KEYS_MAX:
                break
            self._asking.append(waiting)
            keys += missing
        if not self._asking:
            return
        self._request += 1
        request, parts = self._request, [self._unknown(waiting) for waiting in self._asking]
        self.context.run_blocking(
            lambda: self._looked_up(parts), lambda found, error: self._done(request, found, error)
        )

    @staticmethod
    def _unknown(waiting: _Waiting) -> list[pa.Array]:
        missing = np.flatnonzero(~waiting.known)
        return [take_array(key, missing) for key in waiting.keys]

    def _looked_up(
        self, parts: Sequence[Sequence[pa.Array]]
    ) -> list[tuple[Numbers, pa.RecordBatch]]:
        """On an I/O thread: what the table has for each part; no key is asked for twice."""
        columns = [pa.concat_arrays(list(column)) for column in zip(*parts, strict=True)]
        names = [str(i) for i in range(len(columns))]
        keys = pa.RecordBatch.from_arrays(columns, names)
        hashes = hashes_of(keys, range(len(columns)))
        assert hashes is not None, "look-ups have a key"
        index = HashIndex([c.type for c in columns], capacity=max(8, len(hashes)))
        slots, _ = index.lookup_or_insert(columns, hashes)
        first = index.new_rows.copy()
        places = np.empty(len(first), np.int64)
        places[slots[first]] = np.arange(len(first))
        numbers, rows = self._attempt(take_batch(keys, first))
        found = []
        start = 0
        for part in parts:
            end = start + len(part[0])
            at, taken = _expanded(places[slots[start:end]], numbers)
            found.append((at, take_batch(rows, taken)))
            start = end
        return found

    def _attempt(self, keys: pa.RecordBatch) -> tuple[Numbers, pa.RecordBatch]:
        attempts = self._table.options.attempts
        for attempt in range(1, attempts):
            try:
                return self._load(keys)
            except Exception:
                if self._stopped.is_set():
                    raise
                self._pause(attempt * RETRY_MS)
        return self._load(keys)

    def _load(self, keys: pa.RecordBatch) -> tuple[Numbers, pa.RecordBatch]:
        with self._lock, self._metrics.load():
            return self._table.function.lookup(keys)

    def _cached_keys(self) -> int:
        return 0 if self._cache is None else len(self._cache)

    def _pause(self, ms: int) -> None:
        self._stopped.wait(ms / 1000)

    def _done(
        self, request: int, found: list[tuple[Numbers, pa.RecordBatch]] | None, error: Any
    ) -> None:
        if request != self._request:
            return  # a checkpoint did not wait for it
        if error is not None:
            self.context.fail(error)
            return
        assert found is not None, "a request has a result or an error"
        asked, self._asking = self._asking, []
        again = False
        for waiting, (at, rows) in zip(asked, found, strict=True):
            again |= self._answered(waiting, at, rows)
        if again:
            delay = self._table.options.miss_delay_ms
            when = self.context.clock.now_ms() + delay
            self._cancel_retry = self.context.register_processing_timer(when, self._retry)
            self._flush()
        else:
            self._ask()
        self.context.wake()

    def _retry(self, timestamp: int) -> None:
        self._cancel_retry = None
        self._ask()

    def _answered(self, waiting: _Waiting, at: Numbers, rows: pa.RecordBatch) -> bool:
        """Note what was found; whether keys without rows are to be looked up once more."""
        missing = np.flatnonzero(~waiting.known)
        waiting.attempts += 1
        answered = missing
        if waiting.attempts < self._table.options.miss_attempts:
            answered = missing[np.unique(at)]
        waiting.known[answered] = True
        numbers = missing[at]
        waiting.parts.append((numbers, rows))
        if self._cache is not None and len(answered):
            places = np.full(len(waiting.known), -1)
            places[answered] = np.arange(len(answered))
            keys = [take_array(key, answered) for key in waiting.keys]
            self._cache.put(keys, places[numbers], rows, self.context.clock.now_ms())
        return not waiting.ready

    # results -------------------------------------------------------------------------------------

    def _flush(self) -> bool:
        """Give what is ready, in order; whether there was anything."""
        queue, worked = self._queue, False
        while queue and queue[0].ready:
            waiting = queue.popleft()
            worked = True
            if waiting.data is not None:
                self._give_looked_up(waiting)
            elif waiting.watermark is not None:
                super().process_watermark(waiting.watermark)
            else:
                self.output.emit_status(waiting.idle)
        return worked

    def _give_looked_up(self, waiting: _Waiting) -> None:
        data = waiting.data
        assert data is not None, "rows wait"
        parts = waiting.parts or [(np.zeros(0, np.int64), self._no_rows())]
        numbers = np.concatenate([at for at, _ in parts])
        rows = parts[0][1] if len(parts) == 1 else pa.concat_batches([r for _, r in parts])
        numbers, right = self._made(numbers, rows)
        at, taken = _expanded(waiting.slots, numbers)
        self._give(data, waiting.kinds, at, taken, right)

    def _no_rows(self) -> pa.RecordBatch:
        schema = self._table.schema
        return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)

    def _made(self, numbers: Numbers, rows: pa.RecordBatch) -> tuple[Numbers, pa.RecordBatch]:
        """The right columns of the rows that the filters let pass."""
        if self._filters is not None and rows.num_rows:
            mask = self._filters.mask(rows, self.evaluation()).to_numpy(zero_copy_only=False)
            if not mask.all():
                kept = np.flatnonzero(mask)
                numbers, rows = numbers[kept], take_batch(rows, kept)
        if self._plain:
            return numbers, rows
        columns = self._computed.evaluate(rows, self.evaluation())
        names = [str(i) for i in range(len(columns))]
        if not columns:
            columns, names = [pa.repeat(pa.scalar(0, pa.int8()), rows.num_rows)], ["rows"]
        return numbers, pa.RecordBatch.from_arrays(columns, names)

    def _give(
        self,
        data: pa.RecordBatch,
        kinds: RowKinds | None,
        at: Numbers,
        taken: Numbers,
        right: pa.RecordBatch,
    ) -> None:
        """Pairs of left rows and right rows, ascending by left row."""
        if self._condition is not None and len(at):
            mask = np.empty(len(at), np.bool_)
            for start in range(0, len(at), RESULT_ROWS_MAX):
                part = slice(start, start + RESULT_ROWS_MAX)
                mask[part] = self._condition.mask_of(
                    take_batch(data, at[part]), take_batch(right, taken[part])
                )
            at, taken = at[mask], taken[mask]
        if self._outer:
            met = np.zeros(data.num_rows, np.bool_)
            met[at] = True
            alone = np.flatnonzero(~met)
            if len(alone):
                order = np.argsort(np.concatenate([at, alone]), kind="stable")
                at = np.concatenate([at, alone])[order]
                taken = np.concatenate([taken, np.full(len(alone), -1)])[order]
        if kinds is not None and not self._before:
            kinds = np.where(kinds == UPDATE_BEFORE, DELETE, kinds).astype(np.int8)
        for start in range(0, len(at), RESULT_ROWS_MAX):
            part = slice(start, start + RESULT_ROWS_MAX)
            self._give_part(data, kinds, at[part], taken[part], right)

    def _give_part(
        self,
        data: pa.RecordBatch,
        kinds: RowKinds | None,
        at: Numbers,
        taken: Numbers,
        right: pa.RecordBatch,
    ) -> None:
        one_each = len(at) == data.num_rows and bool((at == np.arange(len(at))).all())
        columns = data.columns[: self._width]
        if not one_each:
            columns = [take_array(column, at) for column in columns]
        others = right.columns[: len(self._schema) - self._width]
        if (taken < 0).any():
            numbers = pa.array(np.maximum(taken, 0), mask=taken < 0)
            columns += [pc.take(column, numbers) for column in others]
        else:
            columns += [take_array(column, taken) for column in others]
        if not columns:
            columns = [pa.repeat(pa.scalar(0, pa.int8()), len(at))]
        given = None if kinds is None else kinds[at]
        self.emit(pa.RecordBatch.from_arrays(columns, schema=self._schema), given)

    # control -------------------------------------------------------------------------------------

    def process_watermark(self, timestamp: int) -> None:
        """Behind the rows that came before it."""
        if self._queue:
            self._queue.append(_Waiting(None, watermark=timestamp))
        else:
            super().process_watermark(timestamp)

    def process_status(self, idle: bool) -> None:
        """Behind the rows that came before it."""
        if self._queue:
            self._queue.append(_Waiting(None, idle=idle))
        else:
            self.output.emit_status(idle)

    def poll(self) -> bool:
        """Give what has been found."""
        return self._flush()

    def room(self) -> int:
        """None while many batches wait."""
        return 0 if len(self._queue) >= BATCHES_MAX else 1 << 40

    def in_flight(self) -> bool:
        """Whether rows wait."""
        return bool(self._queue)

    def prepare_snapshot(self, checkpoint_id: int) -> None:
        """Of changes nothing waits across a checkpoint: look it up here and now."""
        if not self._changes or not self._queue:
            return
        self._request += 1  # what is under way is not waited for
        self._asking = []
        if self._cancel_retry is not None:
            self._cancel_retry()
            self._cancel_retry = None
        for waiting in list(self._queue):
            while waiting.data is not None and not waiting.ready:
                ((at, rows),) = self._looked_up([self._unknown(waiting)])
                if self._answered(waiting, at, rows):
                    self._pause(self._table.options.miss_delay_ms)
        self._flush()

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """Rows that wait are looked up anew behind a restore."""
        waiting = [w for w in self._queue if w.data is not None]
        if not waiting:
            return OperatorSnapshot()
        encoded = [_encoded(w.data, w.kinds) for w in waiting if w.data is not None]
        return OperatorSnapshot(lists={WAITING_STATE: encoded})

    def close(self) -> None:
        """Disconnect."""
        super().close()
        if self._cancel_retry is not None:
            self._cancel_retry()
            self._cancel_retry = None
        if self._opened:
            self._opened = False
            self._stopped.set()
            with self._lock:
                self._table.function.close()


def _expanded(slots: Numbers, numbers: Numbers) -> tuple[Numbers, Numbers]:
    """Rows of keys: (row, place in ``numbers``), by row.

    Args:
        slots: int64[n], the key of each row; -1 for none.
        numbers: int64[m], the key of each result.
    """
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    first = np.searchsorted(ordered, slots, side="left")
    counts = np.searchsorted(ordered, slots, side="right") - first
    at = np.repeat(np.arange(len(slots)), counts)
    starts = np.cumsum(counts) - counts
    places = np.arange(len(at)) - np.repeat(starts, counts) + np.repeat(first, counts)
    return at, order[places]


def _encoded(data: pa.RecordBatch, kinds: RowKinds | None) -> bytes:
    given = np.zeros(data.num_rows, np.int8) if kinds is None else kinds
    columns = [pa.array(given), *data.columns]
    batch = pa.RecordBatch.from_arrays(columns, [str(i) for i in range(len(columns))])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _decoded(encoded: bytes, schema: pa.Schema) -> tuple[pa.RecordBatch, RowKinds | None]:
    batch = pa.ipc.open_stream(pa.py_buffer(encoded)).read_next_batch()
    kinds: RowKinds = batch.column(0).to_numpy()
    data = pa.RecordBatch.from_arrays(batch.columns[1:], schema=schema)
    return data, kinds if kinds.any() else None


def hints_of(hints: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    """LOOKUP's hints by name in small letters."""
    return {key.lower(): value for key, value in hints}

"""Batches of events: only the columns and fields that are read are made."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lesto.connectors.nexmark.config import AUCTION, KINDS, PERSON, NexmarkConfig
from lesto.connectors.nexmark.fields import FIELDS, Events, Ints
from lesto.kernels import arrow

_loading: Final = threading.Lock()
_loaded: list[ModuleType] = []


def compiled_loops() -> ModuleType:
    """The compiled loops, loaded from the disk cache or compiled at the first call."""
    with _loading:
        if not _loaded:
            from lesto.connectors.nexmark import loops
            from lesto.kernels.compiled.decorator import compile_group

            compile_group(loops.__name__)
            _loaded.append(loops)
        return _loaded[0]


@dataclass(frozen=True, slots=True)
class EventColumn:
    """A column of the batches.

    Attributes:
        name: of the column.
        type: int32 of ``event_type``; else a struct of fields of a kind of events.
        kind: which kind of events; None: ``event_type``.
        read: names of the fields that are made, the others being null; None: all.
    """

    name: str
    type: pa.DataType
    kind: int | None
    read: frozenset[str] | None = None


class Generator:
    """Makes events.

    Args:
        config: of the stream.
        columns: of the batches.
        kinds: of events that are made.
    """

    def __init__(
        self, config: NexmarkConfig, columns: Sequence[EventColumn], kinds: frozenset[int]
    ) -> None:
        self.config = config
        self.columns = tuple(columns)
        self.kinds = kinds
        self.schema = pa.schema([(c.name, c.type) for c in columns])
        spans = [config.places(k) for k in sorted(kinds)]
        self._low, self._high = spans[0][0], spans[-1][1]
        gap = (0, 0)
        if kinds == {PERSON, 2}:
            gap = config.places(AUCTION)
        self._gap = gap
        #: Events of an epoch that are made.
        self.kept = sum(config.proportions[k] for k in kinds)
        self._nulls: dict[pa.DataType, pa.Array] = {}
        self._numbers = np.zeros(0, np.int64)

    def generate(self, lane: int, lanes: int, start: int, end: int) -> pa.RecordBatch:
        """The events ``start..end-1`` of a lane, without those of other kinds."""
        config = self.config
        loops = compiled_loops()
        room = ((end - start) // config.total + 2) * self.kept
        epochs, places = np.empty(room, np.int64), np.empty(room, np.int64)
        n = loops.pick(
            lane, lanes, start, end, config.total, self._low, self._high, *self._gap, epochs, places
        )
        epochs, places = epochs[:n], places[:n]
        columns = [self._column(c, epochs, places) for c in self.columns]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _column(self, column: EventColumn, epochs: Ints, places: Ints) -> pa.Array:
        n = len(epochs)
        if column.kind is None:
            buffer, out = arrow.allocate(n, np.int32)
            people, auctions, _ = self.config.proportions
            compiled_loops().event_types(places, people, auctions, out)
            return pa.Array.from_buffers(column.type, n, [None, buffer], null_count=0)
        if column.kind not in self.kinds or n == 0:
            return self._null(column.type, n)
        rows = self._rows(column.kind, places)
        events = Events(self.config, compiled_loops(), epochs, places, rows)
        validity = None
        if len(rows) < n:
            flags = np.zeros(n, np.uint8)
            flags[rows] = 1
            validity = arrow.pack_bits(flags)
        missing = n - len(rows)
        children = []
        for field in column.type:
            if column.read is not None and field.name not in column.read:
                children.append(self._null(field.type, n))
                continue
            made = FIELDS[column.kind][field.name]
            buffers = [validity, *made.make(events)]
            child = pa.Array.from_buffers(made.type, n, buffers, null_count=missing)
            children.append(child if field.type == made.type else child.cast(field.type))
        return pa.Array.from_buffers(
            column.type, n, [validity], null_count=missing, children=children
        )

    def _rows(self, kind: int, places: Ints) -> Ints:
        n = len(places)
        if len(self.kinds) == 1:
            if len(self._numbers) < n:
                self._numbers = np.arange(n)
            return self._numbers[:n]
        rows = np.empty(n, np.int64)
        found = compiled_loops().rows_between(places, *self.config.places(kind), rows)
        return rows[:found]

    def _null(self, kind: pa.DataType, n: int) -> pa.Array:
        """Nulls, kept for the next batch: making them costs as much as filling a column."""
        found = self._nulls.get(kind)
        if found is None or len(found) < n:
            found = self._nulls[kind] = pa.nulls(n, kind)
        return found.slice(0, n)

    def rows_of(self, positions: int) -> int:
        """About how many rows so many positions of a lane give."""
        return positions * self.kept // self.config.total

    def positions_for(self, rows: int) -> int:
        """How many positions of a lane give about so many rows."""
        return max(1, rows * self.config.total // self.kept)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Generator, (self.config, self.columns, self.kinds))


ALL_KINDS: Final = frozenset(KINDS)

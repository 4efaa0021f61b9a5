"""Runs one SQL operator: rows with kinds in, a changelog out, the table that it makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lesto.common.elements import MAX_TIMESTAMP, ColumnarBatch
from lesto.kernels.keygroups import key_groups, operator_index
from lesto.taskmanager.operators.base import Operator
from lesto.taskmanager.operators.sql.rank_rows import key_hashes
from tests.support.operator_harness import MAX_PARALLELISM, CollectedOutput, Harness, Saved

KINDS = ("+I", "-U", "+U", "-D")
#: (kind, row)
Change = tuple[str, tuple[Any, ...]]


def batch_of(schema: pa.Schema, changes: Sequence[Change]) -> ColumnarBatch:
    """Rows with kinds."""
    columns = [
        pa.array([row[i] for _, row in changes], field.type) for i, field in enumerate(schema)
    ]
    kinds = np.array([KINDS.index(kind) for kind, _ in changes], np.int8)
    data = pa.RecordBatch.from_arrays(columns, schema=schema)
    return ColumnarBatch(data, None, kinds if kinds.any() else None)


def changes_of(output: CollectedOutput, start: int = 0) -> list[Change]:
    """What was given."""
    found: list[Change] = []
    for batch in output.batches[start:]:
        assert isinstance(batch, ColumnarBatch)
        assert batch.timestamps is None
        kinds = np.zeros(len(batch), np.int8) if batch.kinds is None else batch.kinds
        rows = zip(*(c.to_pylist() for c in batch.data.columns), strict=True)
        found += [(KINDS[k], row) for k, row in zip(kinds.tolist(), rows, strict=True)]
    return found


def table_of(changes: Sequence[Change], key: Sequence[int] | None = None) -> Counter[Any]:
    """The table that changes make; by the key if updates come without -U.

    Fails where a row is taken back that is not there, or put where another one is.
    """
    if key is None:
        rows: Counter[Any] = Counter()
        for kind, row in changes:
            if kind in {"+I", "+U"}:
                rows[row] += 1
            else:
                assert rows[row] > 0, f"{kind} {row} takes back what is not there"
                rows[row] -= 1
        return +rows
    by_key: dict[Any, Any] = {}
    for kind, row in changes:
        at = tuple(row[i] for i in key)
        if kind in {"-D", "-U"}:
            assert at in by_key, f"{kind} {row} takes back what is not there"
            del by_key[at]
        else:
            by_key[at] = row
    return Counter(by_key.values())


class SqlHarness:
    """Subtasks of one SQL operator, with rows spread among them by key.

    Args:
        make: makes the operator.
        schemas: of its inputs.
        directory: for snapshots.
        keys: positions by which rows are spread; none: one subtask alone.
        parallelism: number of subtasks.
    """

    def __init__(
        self,
        make: Callable[[], Operator],
        schemas: Sequence[pa.Schema],
        directory: Path,
        *,
        keys: Sequence[int] = (),
        parallelism: int = 1,
        backend: str = "hashmap",
        restore: Sequence[Saved] | None = None,
        clock: Any = None,
    ) -> None:
        self.schemas = list(schemas)
        self.keys = list(keys)
        self.parts: list[Harness] = []
        for subtask in range(parallelism):
            part = Harness(
                make(),
                directory,
                backend=backend,
                restore=restore,
                parallelism=parallelism,
                subtask=subtask,
                open=False,
                clock=clock,
            )
            part.context.input_schemas = tuple(self.schemas)
            part.operator.open()
            self.parts.append(part)

    def feed(self, changes: Sequence[Change], index: int = 0) -> list[Change]:
        """One batch; what it gives."""
        before = [len(p.output.batches) for p in self.parts]
        batch = batch_of(self.schemas[index], changes)
        for part, some in zip(self.parts, self._spread(batch), strict=True):
            if len(some):
                part.operator.process_batch(some, index)
        return self._given(before)

    def _given(self, before: Sequence[int]) -> list[Change]:
        return [
            change
            for part, start in zip(self.parts, before, strict=True)
            for change in changes_of(part.output, start)
        ]

    def _spread(self, batch: ColumnarBatch) -> list[ColumnarBatch]:
        if len(self.parts) == 1:
            return [batch]
        hashes = key_hashes([batch.data.column(i) for i in self.keys])
        groups = key_groups(hashes, MAX_PARALLELISM)
        n = len(self.parts)
        owners = np.array([operator_index(int(g), MAX_PARALLELISM, n) for g in groups])
        found = []
        for subtask in range(n):
            rows = np.flatnonzero(owners == subtask)
            kinds = None if batch.kinds is None else batch.kinds[rows]
            found.append(ColumnarBatch(batch.data.take(pa.array(rows)), None, kinds))
        return found

    def watermark(self, timestamp: int) -> list[Change]:
        """Event time advances; what it gives."""
        before = [len(p.output.batches) for p in self.parts]
        for part in self.parts:
            part.watermark(timestamp)
        return self._given(before)

    def end(self) -> list[Change]:
        """The input ends; what it gives."""
        before = [len(p.output.batches) for p in self.parts]
        for part in self.parts:
            part.watermark(MAX_TIMESTAMP)
            part.operator.end_input()
        return self._given(before)

    def given(self) -> list[Change]:
        """All that was given."""
        return [c for p in self.parts for c in changes_of(p.output)]

    def advance(self, ms: int) -> list[Change]:
        """Processing time advances; what it gives."""
        before = [len(p.output.batches) for p in self.parts]
        for part in self.parts:
            part.advance(ms)
        return self._given(before)

    def snapshot(self, *, canonical: bool = False) -> list[Saved]:
        """Of all subtasks."""
        return [p.snapshot(canonical=canonical) for p in self.parts]

    def counter(self, name: str) -> float:
        """Of all subtasks."""
        return sum(p.counter(name) for p in self.parts)

    def close(self) -> None:
        """Close all subtasks."""
        for part in self.parts:
            part.close()

"""Subtasks of a SQL join under test, and what a join of two bags of rows is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
from operator_harness import Harness, owner

from lesto.common.elements import ColumnarBatch

INSERT, BEFORE, AFTER, DELETE = range(4)


class Subtasks:
    """All subtasks of an operator with keyed inputs."""

    def __init__(
        self, make, schemas, folder, keys, parallelism=1, restore=None, clock=None,
        backend="hashmap",
    ):  # fmt: skip
        self.make = make
        self.schemas = schemas
        self.folder = folder
        self.keys = keys
        self.parallelism = parallelism
        self.clock = clock
        self.backend = backend
        self.harnesses = []
        for subtask in range(parallelism):
            harness = Harness(
                make(),
                folder,
                restore=restore,
                parallelism=parallelism,
                subtask=subtask,
                clock=clock,
                backend=backend,
                open=False,
            )
            harness.context.input_schemas = schemas
            harness.operator.open()
            self.harnesses.append(harness)

    def subtask_of(self, side, row):
        keys = self.keys[side]
        if not keys:
            return 0
        values = tuple(row[i] for i in keys)
        return owner(values[0] if len(keys) == 1 else values, self.parallelism)

    def feed(self, side, changes, drain=True):
        """One batch a subtask, of (kind, row)."""
        parts = {}
        for kind, row in changes:
            parts.setdefault(self.subtask_of(side, row), []).append((kind, row))
        for subtask, part in parts.items():
            columns = [
                pa.array([row[i] for _, row in part], field.type)
                for i, field in enumerate(self.schemas[side])
            ]
            data = pa.RecordBatch.from_arrays(columns, schema=self.schemas[side])
            kinds = np.array([kind for kind, _ in part], np.int8)
            batch = ColumnarBatch(data, None, kinds if kinds.any() else None)
            self.harnesses[subtask].operator.process_batch(batch, side)
        if drain:
            self.drain()

    def drain(self):
        for harness in self.harnesses:
            while harness.operator.poll():
                pass

    def watermark(self, time):
        for harness in self.harnesses:
            harness.watermark(time)
        self.drain()

    def end(self, inputs=2):
        for harness in self.harnesses:
            for i in range(inputs):
                harness.operator.end_input(i)
        self.drain()
        assert not any(h.operator.in_flight() for h in self.harnesses)

    def restored(self, parallelism, canonical=False):
        """The same at another parallelism."""
        saved = [harness.snapshot(canonical=canonical) for harness in self.harnesses]
        self.close()
        return Subtasks(
            self.make, self.schemas, self.folder, self.keys, parallelism, saved, self.clock,
            self.backend,
        )  # fmt: skip

    def take(self):
        """(kind, row) of what was given since, subtask by subtask."""
        found = []
        for harness in self.harnesses:
            for batch in harness.output.batches:
                kinds = [0] * len(batch) if batch.kinds is None else batch.kinds.tolist()
                columns = [column.to_pylist() for column in batch.data.columns]
                found += zip(kinds, zip(*columns, strict=True), strict=True)
            harness.output.batches.clear()
            harness.output.rows.clear()
            harness.output.timestamps.clear()
        return found

    def close(self):
        for harness in self.harnesses:
            harness.close()


def applied(bag, changes):
    """Apply changes to a bag of rows; none goes that is not there."""
    for kind, row in changes:
        bag[row] += 1 if kind in {INSERT, AFTER} else -1
        assert bag[row] >= 0, f"{row} goes and is not there"
    for row in [row for row, count in bag.items() if not count]:
        del bag[row]


def joined(kind, left, right, matches, widths):
    """The bag of rows of a join of two bags."""
    found = Counter()
    partners = Counter()
    for a, n in left.items():
        for b, m in right.items():
            if matches(a, b):
                partners["left", a] += m
                partners["right", b] += n
                if kind not in {"SEMI", "ANTI"}:
                    found[a + b] += n * m
    for a, n in left.items():
        there = bool(partners["left", a])
        if kind == "SEMI" and there:
            found[a] += n
        if kind == "ANTI" and not there:
            found[a] += n
        if kind in {"LEFT", "FULL"} and not there:
            found[a + (None,) * widths[1]] += n
    if kind in {"RIGHT", "FULL"}:
        for b, m in right.items():
            if not partners["right", b]:
                found[(None,) * widths[0] + b] += m
    return found


def not_in(left, right):
    """``k NOT IN (SELECT k FROM right)`` of the first columns."""
    values = {b[0] for b in right}
    found = Counter()
    for a, n in left.items():
        unknown = values and (a[0] is None or None in values)
        if not unknown and a[0] not in values:
            found[a] += n
    return found

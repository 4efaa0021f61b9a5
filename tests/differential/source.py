"""A table's steps as a source: its splits advance side by side, and wait where they are told."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lesto.common.elements import ColumnarBatch, RowKind
from lesto.sql.type_parser import parse_type
from tests.differential.data import UA, UB, D, I, Table
from tests.golden.gated_source import GatedSource

KINDS = {I: RowKind.INSERT, UB: RowKind.UPDATE_BEFORE, UA: RowKind.UPDATE_AFTER, D: RowKind.DELETE}


#: Before the first rows of a table some of whose rows are late.
FIRST_MS = 700


def arrow_schema(table: Table) -> pa.Schema:
    """Columns as batches have them."""
    return pa.schema(
        [(n, parse_type(k.removesuffix(" NOT NULL")).to_arrow()) for n, k in table.columns]
    )


def _value(value):
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, tuple):
        return {"x": value[0], "y": value[1]}
    return value


class StepSource(GatedSource):
    """Reads a table step by step; ``single``: row by row, in one split. Else as GatedSource."""

    def __init__(self, table, *, single=False, **how):
        rows = [[[change] for step in table.steps for change in step]]
        splits = rows if single else table.split_steps()
        super().__init__(splits, schema=arrow_schema(table), **how)
        self.inserts = table.kinds == (I,)
        # Until readers without a split have said so they hold back event time, and nobody is late.
        self.first_ms = FIRST_MS if table.late >= 0 else 0

    def batch(self, split_id, position):
        changes = self.splits[int(split_id)][position]
        arrays = [
            pa.array([_value(row[i]) for _, row in changes], field.type)
            for i, field in enumerate(self.schema)
        ]
        data = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        if self.inserts:
            return ColumnarBatch(data)
        kinds = np.array([int(KINDS[kind]) for kind, _ in changes], np.int8)
        return ColumnarBatch(data, None, kinds)

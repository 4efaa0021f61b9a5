"""The results of groups, before and after a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels.partition import take_array
from lesto.sql.evaluator import compile_expressions
from lesto.sql.expressions import InputRef
from lesto.sql.rewrite import input_refs, remap_refs
from lesto.sql.values import EvaluationContext
from lesto.state.accumulators import Slots
from lesto.taskmanager.operators.sql.group_counts import Block, block_columns
from lesto.taskmanager.operators.sql.group_plan import Counter, GroupPlan
from lesto.taskmanager.operators.sql.group_state import GroupState
from lesto.taskmanager.operators.sql.group_values import differ, read


@dataclass(frozen=True, slots=True)
class Reading:
    """What the results of some groups are made of.

    Attributes:
        counts: int64[n, k].
        columns: accumulators that results read.
    """

    counts: Block
    columns: list[pa.Array]

    def __add__(self, other: Reading) -> Reading:
        columns = [pa.concat_arrays(pair) for pair in zip(self.columns, other.columns, strict=True)]
        return Reading(np.concatenate([self.counts, other.counts]), columns)


@dataclass(frozen=True, slots=True)
class Results:
    """Results of n groups: counts as they are, other columns computed."""

    counts: Block
    computed: list[pa.Array]


class GroupResults:
    """The results of a plan's calls.

    Args:
        plan: the calls.
        state: of the operator.
    """

    def __init__(self, plan: GroupPlan, state: GroupState) -> None:
        self._plan = plan
        self._state = state
        width = len(plan.counts)
        refs = [set() if e is None else input_refs(e) for e in plan.results]
        #: By call: the count that it is, or -1.
        self._plain = [
            e.index if isinstance(e, InputRef) and e.index < width else -1 for e in plan.results
        ]
        self._shown = [i for i in self._plain if i >= 0]
        computed = [
            (e, refs[i]) for i, e in enumerate(plan.results) if e is not None and self._plain[i] < 0
        ]
        used = sorted(set().union(*(r for _, r in computed)))
        self._counts = [i for i in used if i < width]
        self._accumulators = [i - width for i in used if i >= width]
        places = {i: at for at, i in enumerate(used)}
        self._program = compile_expressions([remap_refs(e, places) for e, _ in computed])
        self._kinds = [plan.types[i].to_arrow() for i in self._accumulators]
        self._schema = pa.schema(
            [pa.field(f"a{i}", pa.int64()) for i in self._counts]
            + [
                pa.field(f"a{width + i}", kind)
                for i, kind in zip(self._accumulators, self._kinds, strict=True)
            ]
        )
        #: Whether every row of the input changes a result of its group.
        self.sure = not plan.retracting and any(
            plan.counts[i].distinct is None and plan.counts[i].counter == Counter()
            for i in self._shown
        )

    def read(self, slots: Slots) -> Reading:
        """What the results of some groups are made of."""
        table, specs = self._state.table, self._plan.accumulators
        columns = [
            read(table.accumulator(specs[i].name), slots, kind)
            for i, kind in zip(self._accumulators, self._kinds, strict=True)
        ]
        return Reading(self._state.counts.read(slots), columns)

    def compute(self, reading: Reading, context: EvaluationContext) -> Results:
        """The results."""
        if not self._program.types:
            return Results(reading.counts, [])
        columns = [*block_columns(reading.counts, self._counts), *reading.columns]
        if columns:
            batch = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        else:
            one = pa.nulls(len(reading.counts), pa.int8())
            batch = pa.RecordBatch.from_arrays([one], ["none"])
        return Results(reading.counts, self._program.evaluate(batch, context))

    def changed(self, results: Results, t: int) -> npt.NDArray[np.bool_]:
        """Of results of t groups before and then after, where they differ."""
        if self.sure:
            return np.ones(t, np.bool_)
        found = np.zeros(t, np.bool_)
        if self._shown:
            counts = results.counts
            if len(self._shown) < counts.shape[1]:
                counts = counts[:, self._shown]
            found |= (counts[:t] != counts[t:]).any(axis=1)
        for column in results.computed:
            found |= differ(column.slice(0, t), column.slice(t))
        return found

    def columns(
        self, results: Results, rows: Slots | None, sets: Slots | None, n: int
    ) -> list[pa.Array]:
        """A column a call.

        Args:
            results: of groups.
            rows: int64[n], which of them; None: all.
            sets: int64[n], the number of the grouping set; None without any.
            n: number of rows.
        """
        counts = results.counts if rows is None or not self._shown else results.counts[rows]
        shown = iter(block_columns(counts, self._shown))
        computed = iter(
            results.computed if rows is None else [take_array(c, rows) for c in results.computed]
        )
        found: list[pa.Array] = []
        for i, plain in enumerate(self._plain):
            if self._plan.results[i] is None:
                found.append(self._grouping(i, sets, n))
            else:
                found.append(next(shown) if plain >= 0 else next(computed))
        return found

    def _grouping(self, call: int, sets: Slots | None, n: int) -> pa.Array:
        values = np.array(self._plan.grouping[call], np.int64)
        return pa.array(np.zeros(n, np.int64) if sets is None else values[sets])

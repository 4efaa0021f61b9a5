"""Aggregate calls taken apart: what is folded, which values are kept, what is computed of it.

A call becomes accumulators of the group's table. What fills them is one of

* a **fold** of an input, over all rows, those that meet a condition, or those that bring a distinct
  value;
* an **extreme**: MIN or MAX over input with retractions. It is folded while rows come, and found
  anew among the values of the group when the one that it has goes;
* a **collection**: a function makes the result of the group's values, which is kept;
* a user's accumulator.

The results of calls are expressions over the accumulators. Equal accumulators are shared, and so
are sets of values of the same arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lesto.sql.aggregates.table import (
    COUNT_TYPE,
    BoundAggregate,
    Collected,
    Finish,
    Folded,
    bind_aggregate,
    null_of,
)
from lesto.sql.evaluator import needs_guard
from lesto.sql.expressions import Case, Expression, InputRef, Literal
from lesto.sql.rewrite import remap_refs
from lesto.sql.types import SqlType
from lesto.state.accumulators import AccumulatorSpec
from lesto.taskmanager.operators.sql.group_values import is_encoded, kept_as
from lesto.taskmanager.operators.sql.window_arguments import CallSpec

#: Counts the rows of a group, where input takes rows back.
ROWS = "rows"
_GROUPING = ("GROUPING", "GROUPING_ID")


@dataclass(frozen=True, slots=True)
class Counter:
    """Of a set of values: which rows count.

    Attributes:
        condition: number of an input, None for all rows.
        required: numbers of inputs that must not be NULL.
    """

    condition: int | None = None
    required: tuple[int, ...] = ()


@dataclass(slots=True)
class ValueSet:
    """The values of some inputs that the rows of a group have.

    Attributes:
        inputs: numbers.
        counters: how often a value is there, by kinds of rows.
        counted: whether it is known how often; else only whether.
        chained: whether the values of a group can be enumerated.
    """

    inputs: tuple[int, ...]
    counters: list[Counter] = field(default_factory=list)
    counted: bool = False
    chained: bool = False


@dataclass(frozen=True, slots=True)
class Distinct:
    """A set of values and one of its counters."""

    values: int
    counter: int


@dataclass(frozen=True, slots=True)
class Fold:
    """How an accumulator is filled.

    Attributes:
        acc: number of the accumulator.
        op: kind of fold.
        input: number of an input, None to count rows.
        condition: number of an input, None for all rows.
        distinct: only rows that bring or take the last of a value.
        extreme: where MIN or MAX finds its values again; None if none is ever lost.
    """

    acc: int
    op: str
    input: int | None
    condition: int | None = None
    distinct: Distinct | None = None
    extreme: Distinct | None = None


@dataclass(frozen=True, slots=True)
class Collection:
    """A result that a function makes of a group's values.

    Attributes:
        acc: number of the accumulator that has the result.
        inputs: numbers of what is kept of a row.
        counter: which rows are kept.
        values: of a multiset, where its values are; None: a list in order of arrival.
        distinct: only rows that bring or take the last of a value.
        finish: from values to result.
        pick: of a list, 0 or -1 if the result is the first or last of its values.
    """

    acc: int
    inputs: tuple[int, ...]
    counter: Counter
    values: Distinct | None
    distinct: Distinct | None
    finish: Finish
    pick: int | None = None


@dataclass(frozen=True, slots=True)
class UserCall:
    """A user's aggregate.

    Attributes:
        acc: number of the accumulator that has the result.
        store: number of the one that has the user's accumulator, encoded.
        inputs: numbers of the arguments.
        user: the function.
    """

    acc: int
    store: int
    inputs: tuple[int, ...]
    condition: int | None
    distinct: Distinct | None
    user: Any


class GroupPlan:
    """The calls of one operator.

    Args:
        specs: the calls.
        grouped: whether there are keys.
        retracting: whether input takes rows back.
        sets: of GROUPING SETS, the keys that each groups by.
        removing: whether groups are forgotten, or values of theirs.

    Attributes:
        inputs: expressions over the operator's input.
        accumulators: of the table.
        types: of the accumulators.
        results: a result each call, over the accumulators; None for one of :attr:`grouping`.
        grouping: by number of the call, the value for each of the sets.
    """

    def __init__(
        self,
        specs: Sequence[CallSpec],
        *,
        grouped: bool,
        retracting: bool,
        sets: Sequence[Sequence[int]] = (),
        removing: bool = False,
    ) -> None:
        self.retracting = retracting
        self.removing = removing or retracting
        self._grouped = grouped
        self.inputs: list[Expression] = []
        self.accumulators: list[AccumulatorSpec] = []
        self.types: list[SqlType] = []
        self.folds: list[Fold] = []
        self.sets: list[ValueSet] = []
        self.collections: list[Collection] = []
        self.users: list[UserCall] = []
        self.results: list[Expression | None] = []
        self.grouping: dict[int, list[int]] = {}
        self._known: dict[Any, int] = {}
        if retracting:
            self._accumulator("count", COUNT_TYPE, ROWS)
            self._known["count", None, None, None] = 0
        for number, spec in enumerate(specs):
            if spec.function in _GROUPING:
                self.grouping[number] = _grouping_values(spec, sets)
                self.results.append(None)
            elif spec.user is not None:
                self.results.append(self._user(spec))
            else:
                self.results.append(self._call(spec))

    @property
    def key_of_set(self) -> bool:
        """Whether any result depends on the set of keys."""
        return bool(self.grouping)

    # ------------------------------------------------------------------ calls

    def _call(self, spec: CallSpec) -> Expression:
        function, distinct = spec.function, spec.distinct
        if function == "APPROX_COUNT_DISTINCT":
            function, distinct = "COUNT", True
        bound = bind_aggregate(
            function,
            spec.args,
            distinct=distinct,
            condition=spec.condition,
            grouped=self._grouped,
            retracting=self.retracting,
        )
        condition = None if bound.condition is None else self._input(bound.condition)
        once = self._distinct(bound.args, condition) if bound.distinct else None
        if self.retracting and bound.function in {"MIN", "MAX"}:
            return self._extreme(bound, condition)
        form = bound.retract if self.retracting else bound.insert
        if isinstance(form, Folded):
            return self._folded(form, bound, condition, once)
        return self._collected(form, bound, condition, once)

    def _folded(
        self, form: Folded, bound: BoundAggregate, condition: int | None, once: Distinct | None
    ) -> Expression:
        places: dict[int, int] = {}
        for i, a in enumerate(form.accumulators):
            given = a.input
            if a.kind == "count" and given is not None and not given.type.nullable:
                given = None
            number = None if given is None else self._guarded(given, bound.condition)
            key = (a.kind, number, condition, once)
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = self._accumulator(a.kind, a.type)
                self.folds.append(Fold(found, a.kind, number, condition, once))
            places[i] = found
        return remap_refs(form.result, places)

    def _extreme(self, bound: BoundAggregate, condition: int | None) -> Expression:
        form = bound.insert
        assert isinstance(form, Folded)
        (a,) = form.accumulators
        number = self._guarded(bound.args[0], bound.condition)
        key = ("extreme", a.kind, number, condition)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._accumulator(a.kind, a.type)
            values = self._values((number,), Counter(condition, (number,)))
            self.sets[values.values].chained = True
            self.folds.append(Fold(found, a.kind, number, condition, None, values))
        return remap_refs(form.result, {0: found})

    def _collected(
        self, form: Collected, bound: BoundAggregate, condition: int | None, once: Distinct | None
    ) -> Expression:
        inputs = tuple(self._guarded(e, bound.condition) for e in form.inputs)
        counter = Counter(condition, tuple(inputs[i] for i in form.required))
        acc = self._accumulator("last", bound.type.with_nullable(True))
        pick = {"FIRST_VALUE": 0, "LAST_VALUE": -1}.get(bound.function)
        values = None
        if form.layout == "multiset" and once is None:
            values = self._values(inputs, counter, counted=True)
            self.sets[values.values].chained = True
        elif form.layout == "multiset":
            # Each value once: the set of the arguments has them, if its counter skips the same.
            values = self._values(inputs, counter)
            self.sets[values.values].chained = True
        self.collections.append(Collection(acc, inputs, counter, values, once, form.finish, pick))
        return InputRef(acc, bound.type.with_nullable(True), self.accumulators[acc].name)

    def _user(self, spec: CallSpec) -> Expression:
        condition = None if spec.condition is None else self._input(spec.condition)
        inputs = tuple(self._guarded(e, spec.condition) for e in spec.args)
        once = self._distinct(spec.args, condition) if spec.distinct else None
        acc = self._accumulator("last", spec.type.with_nullable(True))
        store = self._bytes()
        self.users.append(UserCall(acc, store, inputs, condition, once, spec.user))
        return InputRef(acc, spec.type.with_nullable(True), self.accumulators[acc].name)

    # ------------------------------------------------------------------ parts

    def _input(self, e: Expression) -> int:
        if e not in self.inputs:
            self.inputs.append(e)
        return self.inputs.index(e)

    def _guarded(self, e: Expression, condition: Expression | None) -> int:
        """An input; what may raise is computed only where the call's condition holds."""
        if condition is not None and needs_guard(e):
            kind = e.type.with_nullable(True)
            e = Case(((condition, e),), null_of(kind), kind)
        return self._input(e)

    def _accumulator(self, kind: Any, type_: SqlType, name: str = "") -> int:
        arrow = type_.to_arrow()
        number = len(self.accumulators)
        shown = None if is_encoded(arrow) or kind == "count" else arrow
        self.accumulators.append(
            AccumulatorSpec(name or f"{kind}_{number}", kind, kept_as(arrow), shown)
        )
        self.types.append(type_)
        return number

    def _bytes(self) -> int:
        number = len(self.accumulators)
        self.accumulators.append(AccumulatorSpec(f"user_{number}", "last", "text"))
        from lesto.sql import types as t

        self.types.append(t.BYTES())
        return number

    def _distinct(self, args: Sequence[Expression], condition: int | None) -> Distinct:
        given = [a for a in args if not isinstance(a, Literal)] or list(args[:1])
        return self._values(tuple(self._input(a) for a in given), Counter(condition))

    def _values(
        self, inputs: tuple[int, ...], counter: Counter, *, counted: bool = False
    ) -> Distinct:
        counted = counted or self.retracting
        for number, found in enumerate(self.sets):
            if found.inputs == inputs and found.counted == counted:
                if counter in found.counters:
                    return Distinct(number, found.counters.index(counter))
                if counted or len(found.counters) < 63:
                    found.counters.append(counter)
                    return Distinct(number, len(found.counters) - 1)
        self.sets.append(ValueSet(inputs, [counter], counted, self.removing))
        return Distinct(len(self.sets) - 1, 0)

    def input_types(self) -> list[pa.DataType]:
        """Arrow types of the inputs."""
        return [e.type.to_arrow() for e in self.inputs]


def _grouping_values(spec: CallSpec, sets: Sequence[Sequence[int]]) -> list[int]:
    """GROUPING's value for each set: a bit an argument, 1 where the set lacks the key."""
    positions = [a.value for a in spec.args if isinstance(a, Literal)]
    found = []
    for chosen in sets or [positions]:
        value = 0
        for position in positions:
            value = 2 * value + (position not in chosen)
        found.append(value)
    return found

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
from lesto.sql.types import BYTES, SqlType
from lesto.state.accumulators import AccumulatorSpec
from lesto.taskmanager.operators.sql.group_values import is_encoded, kept_as
from lesto.taskmanager.operators.sql.window_arguments import CallSpec

#: The counts of a group, side by side; where input takes rows back the first is that of its rows.
COUNTS = "counts"
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
class Count:
    """One of the counts of a group.

    Attributes:
        counter: which rows count.
        distinct: only rows that bring or take the last of a value.
    """

    counter: Counter = Counter()
    distinct: Distinct | None = None


@dataclass(frozen=True, slots=True)
class Fold:
    """How an accumulator is filled.

    Attributes:
        acc: number of the accumulator.
        op: kind of fold, not a count.
        input: number of an input.
        condition: number of an input, None for all rows.
        distinct: only rows that bring or take the last of a value.
        extreme: where MIN or MAX finds its values again; None if none is ever lost.
    """

    acc: int
    op: str
    input: int
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


#: A result, and for each position in it whether it is a count, and its number.
_Made = tuple[Expression, dict[int, tuple[bool, int]]]


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
        counts: the counts of a group.
        accumulators: of the table, beside the counts.
        types: of these accumulators.
        results: a result each call, over the counts and then the accumulators; None for one of
            :attr:`grouping`.
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
        self.counts: list[Count] = [Count()] if retracting else []
        self.accumulators: list[AccumulatorSpec] = []
        self.types: list[SqlType] = []
        self.folds: list[Fold] = []
        self.sets: list[ValueSet] = []
        self.collections: list[Collection] = []
        self.users: list[UserCall] = []
        self.results: list[Expression | None] = []
        self.grouping: dict[int, list[int]] = {}
        self._known: dict[Any, int] = {}
        found: list[_Made | None] = []
        for number, spec in enumerate(specs):
            if spec.function in _GROUPING:
                self.grouping[number] = _grouping_values(spec, sets)
                found.append(None)
            elif spec.user is not None:
                found.append(self._user(spec))
            else:
                found.append(self._call(spec))
        width = len(self.counts)
        for made in found:
            if made is None:
                self.results.append(None)
                continue
            result, places = made
            at = {i: n if counted else width + n for i, (counted, n) in places.items()}
            self.results.append(remap_refs(result, at))

    def table_accumulators(self) -> tuple[AccumulatorSpec, ...]:
        """All of a group's: its counts first."""
        if not self.counts:
            return tuple(self.accumulators)
        counts = AccumulatorSpec(COUNTS, "count", width=len(self.counts))
        return (counts, *self.accumulators)

    # ------------------------------------------------------------------ calls

    def _call(self, spec: CallSpec) -> _Made:
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
        form = bound.retract if self.retracting else bound.insert
        once = None
        if bound.distinct:
            required: tuple[int, ...] = ()
            if isinstance(form, Folded):
                # What is folded passes NULLs over, and so may the set of values.
                given = [self._guarded(a, bound.condition) for a in bound.args]
                required = tuple(i for i in given if self.inputs[i].type.nullable)
            once = self._distinct(bound.args, bound.condition, Counter(condition, required))
        if self.retracting and bound.function in {"MIN", "MAX"}:
            return self._extreme(bound, condition)
        if isinstance(form, Folded):
            return self._folded(form, bound, condition, once)
        return self._collected(form, bound, condition, once)

    def _folded(
        self, form: Folded, bound: BoundAggregate, condition: int | None, once: Distinct | None
    ) -> _Made:
        places: dict[int, tuple[bool, int]] = {}
        for i, a in enumerate(form.accumulators):
            given = a.input
            number = -1
            if given is not None and (a.kind != "count" or given.type.nullable):
                number = self._guarded(given, bound.condition)
            if a.kind == "count":
                counter = Counter(condition, () if number < 0 else (number,))
                if once is not None:
                    counter = Counter()
                places[i] = True, self._count(counter, once)
                continue
            key = (a.kind, number, condition, once)
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = self._accumulator(a.kind, a.type)
                self.folds.append(Fold(found, a.kind, number, condition, once))
            places[i] = False, found
        return form.result, places

    def _count(self, counter: Counter, once: Distinct | None) -> int:
        count = Count(counter, once)
        if count not in self.counts:
            self.counts.append(count)
        return self.counts.index(count)

    def _extreme(self, bound: BoundAggregate, condition: int | None) -> _Made:
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
        return form.result, {0: (False, found)}

    def _collected(
        self, form: Collected, bound: BoundAggregate, condition: int | None, once: Distinct | None
    ) -> _Made:
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
        return _kept(acc, bound.type)

    def _user(self, spec: CallSpec) -> _Made:
        condition = None if spec.condition is None else self._input(spec.condition)
        inputs = tuple(self._guarded(e, spec.condition) for e in spec.args)
        once = None
        if spec.distinct:
            once = self._distinct(spec.args, spec.condition, Counter(condition))
        acc = self._accumulator("last", spec.type.with_nullable(True))
        store = self._bytes()
        self.users.append(UserCall(acc, store, inputs, condition, once, spec.user))
        return _kept(acc, spec.type)

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

    def _accumulator(self, kind: Any, type_: SqlType) -> int:
        arrow = type_.to_arrow()
        number = len(self.accumulators)
        shown = None if is_encoded(arrow) else arrow
        self.accumulators.append(AccumulatorSpec(f"{kind}_{number}", kind, kept_as(arrow), shown))
        self.types.append(type_)
        return number

    def _bytes(self) -> int:
        number = len(self.accumulators)
        self.accumulators.append(AccumulatorSpec(f"user_{number}", "last", "text"))
        self.types.append(BYTES())
        return number

    def _distinct(
        self, args: Sequence[Expression], condition: Expression | None, counter: Counter
    ) -> Distinct:
        given: Sequence[Expression] = [a for a in args if not isinstance(a, Literal)]
        given = given or args[:1]
        return self._values(tuple(self._guarded(a, condition) for a in given), counter)

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


def _kept(acc: int, kind: SqlType) -> _Made:
    """The result that an accumulator has as it is."""
    return InputRef(0, kind.with_nullable(True)), {0: (False, acc)}


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

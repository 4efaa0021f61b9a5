"""What an aggregate is made of: a description that operators carry out, column-wise.

An aggregate is one of two kinds.

* **Folded**: it has *accumulators*, one number or value a group. Each has a kind of fold (those of
  the state tables: count, sum, min, max, first, last), an expression over the operator's input that
  gives what is folded, and a type. The result is an expression over the accumulators, in their
  order, so the same evaluator computes it. Counts and sums can take values back; if all accumulators
  are such, the aggregate is retractable as it is.
* **Collected**: it keeps the values of a group, as a multiset (value and count) or as a list in
  order of arrival, and a Python function makes the result of them, once a changed group.

For input with retractions each description names a form that can take values back; it may be another
one (MIN is folded over inserts, and a multiset over retractions).

Two-phase aggregation follows: :func:`merge_kind` says how partial accumulators are folded further.
"""  # noqa: E501

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from typing import Literal as Word

from lesto.common.errors import did_you_mean
from lesto.sql import types as t
from lesto.sql.builder import coerce, fit_signature
from lesto.sql.errors import FunctionArgumentsError, UnknownFunctionError
from lesto.sql.expressions import Expression, InputRef, Literal
from lesto.sql.functions.table import Result, Signature
from lesto.sql.types import SqlType, TypeRoot

FoldKind = Word["count", "sum", "min", "max", "first", "last"]
Layout = Word["folded", "multiset", "list"]
Finish = Callable[[Sequence[Any]], Any]


@dataclass(frozen=True, slots=True)
class Accumulator:
    """One value a group.

    Attributes:
        name: unique within the aggregate.
        kind: how values are folded; NULLs are passed over. A count counts what is not NULL and
            starts with 0, all others start with NULL.
        input: what is folded; None for a count of rows.
        type: of what is kept. Sums of integers are BIGINT and wrap around.
    """

    name: str
    kind: FoldKind
    input: Expression | None
    type: SqlType


def merge_kind(kind: FoldKind) -> FoldKind:
    """How partial results of a fold are folded into one.

    >>> merge_kind("count"), merge_kind("max")
    ('sum', 'max')
    """
    return "sum" if kind == "count" else kind


@dataclass(frozen=True, slots=True)
class Folded:
    """Carried out by accumulators.

    Attributes:
        accumulators: in the order in which ``result`` refers to them.
        result: over one row of accumulators.
    """

    accumulators: tuple[Accumulator, ...]
    result: Expression

    @property
    def layout(self) -> Layout:
        """Always ``folded``."""
        return "folded"

    @property
    def retractable(self) -> bool:
        """Whether values can be taken back by folding them with the opposite sign."""
        return all(a.kind in {"count", "sum"} for a in self.accumulators)


@dataclass(frozen=True, slots=True)
class Collected:
    """Carried out over the values of a group.

    Attributes:
        layout: ``multiset``: values with their counts, in no order. ``list``: in order of arrival.
        inputs: what is kept of a row; a row of which ``required`` is NULL is passed over.
        required: numbers of the inputs that must not be NULL.
        finish: from the kept values to the result; in Python's form of them (dates and times as
            integers). A list has a tuple of inputs for each row; a multiset has pairs of such a
            tuple and its count. With no values it gives what an empty group has.
    """

    layout: Layout
    inputs: tuple[Expression, ...]
    required: tuple[int, ...]
    finish: Finish

    @property
    def retractable(self) -> bool:
        """Both layouts can give a value back."""
        return True


Form = Folded | Collected


@dataclass(frozen=True, slots=True)
class BoundAggregate:
    """An aggregate applied to expressions over the operator's input.

    Not to be pickled (forms hold functions): send name and arguments, bind where it runs.

    Attributes:
        function: name in the table.
        args: the arguments.
        type: of the result.
        insert: form for input that only inserts.
        retract: form for input that takes rows back.
        distinct: whether equal arguments count once: the operator keeps a multiset of the arguments
            a group, and folds a value when its count leaves or reaches zero.
        condition: FILTER (WHERE ...), None for none.
    """

    function: str
    args: tuple[Expression, ...]
    type: SqlType
    insert: Form
    retract: Form
    distinct: bool = False
    condition: Expression | None = None


@dataclass(frozen=True, slots=True)
class AggregateFunction:
    """An entry of the table.

    Attributes:
        name: in capitals.
        signatures: its forms.
        build: from the arguments (cast) and the result's type to the two forms.
        aliases: other names.
        nullable: of the result over a group that is not empty: ``always`` if it may be NULL,
            ``args`` if an argument may be.
        ignores_distinct: whether DISTINCT changes nothing.
        examples: the function over column ``x`` (and ``y``), and the result, over
            :data:`EXAMPLE_ROWS`.
    """

    name: str
    signatures: tuple[Signature, ...]
    build: Callable[[tuple[Expression, ...], SqlType, bool], tuple[Form, Form]]
    aliases: tuple[str, ...] = ()
    nullable: Word["args", "always", "never"] = "args"
    ignores_distinct: bool = False
    examples: tuple[tuple[str, str | None], ...] = field(default=(), repr=False)


#: Columns x INT, y STRING, d DECIMAL(10, 2), f DOUBLE of the examples, in order of arrival.
EXAMPLE_ROWS: Final = (
    (1, "a", "1.50", 1.5),
    (3, "b", "2.25", 2.5),
    (3, "b", None, -4.0),
    (None, None, "0.10", None),
    (10, "c", "7.00", 0.25),
)

_TABLE: Final[dict[str, AggregateFunction]] = {}
_NAMES: Final[dict[str, str]] = {}


def register(*entries: AggregateFunction) -> None:
    """Add entries; names and aliases are unique."""
    for entry in entries:
        for name in (entry.name, *entry.aliases):
            if name in _NAMES:
                msg = f"two aggregate functions are called {name}"
                raise ValueError(msg)
            _NAMES[name] = entry.name
        _TABLE[entry.name] = entry


@functools.cache
def _load() -> None:
    # They import this module.
    for module in ("folded", "collected"):
        importlib.import_module(f"lesto.sql.aggregates.{module}")


def aggregates() -> list[AggregateFunction]:
    """All entries by name."""
    _load()
    return [_TABLE[name] for name in sorted(_TABLE)]


def is_aggregate(name: str) -> bool:
    """Whether an aggregate function is called so."""
    _load()
    return name.upper() in _NAMES


def aggregate(name: str) -> AggregateFunction:
    """The entry of a name, in any case.

    Raises:
        UnknownFunctionError: there is none.
    """
    _load()
    canonical = _NAMES.get(name.upper())
    if canonical is None:
        msg = f"there is no aggregate function {name}{did_you_mean(name.upper(), _NAMES)}"
        raise UnknownFunctionError(msg, remedy="SHOW FUNCTIONS lists the functions there are")
    return _TABLE[canonical]


def bind_aggregate(
    name: str,
    args: Sequence[Expression],
    *,
    distinct: bool = False,
    condition: Expression | None = None,
    grouped: bool = True,
    retracting: bool = False,
) -> BoundAggregate:
    """An aggregate over expressions.

    Args:
        name: of the function.
        args: none for ``COUNT(*)``; words of the syntax are symbols (``ABSENT ON NULL``,
            ``IGNORE NULLS``).
        distinct: DISTINCT.
        condition: FILTER.
        grouped: whether there are keys: without any the one group may be empty, so that results
            may be NULL.
        retracting: whether the input takes rows back: a group may then have lost all values.

    Raises:
        UnknownFunctionError: no such function.
        FunctionArgumentsError: it does not take these arguments.
    """
    entry = aggregate(name)
    for signature in entry.signatures:
        targets = fit_signature(signature, args)
        if targets is None:
            continue
        values = tuple(
            a if k.root is TypeRoot.SYMBOL else coerce(a, k)
            for a, k in zip(args, targets, strict=True)
        )
        kind = _result(signature.result, values)
        open_group = not grouped or condition is not None or retracting
        nullable = {
            "always": True,
            "never": False,
            "args": open_group or any(v.type.nullable for v in values),
        }[entry.nullable]
        kind = kind.with_nullable(nullable)
        insert, retract = entry.build(values, kind, distinct)
        once = distinct and not entry.ignores_distinct
        return BoundAggregate(entry.name, values, kind, insert, retract, once, condition)
    given = ", ".join(str(a) if a.type.root is TypeRoot.SYMBOL else str(a.type) for a in args)
    forms = "; ".join(s.text(entry.name) for s in entry.signatures)
    msg = f"{entry.name} does not take ({given}); it is {forms}"
    raise FunctionArgumentsError(msg, remedy="cast the arguments to types that it takes")


def _result(result: Result, values: tuple[Expression, ...]) -> SqlType:
    return result if isinstance(result, SqlType) else result(tuple(v.type for v in values))


def ref(position: int, kind: SqlType) -> InputRef:
    """An accumulator in a result expression."""
    return InputRef(position, kind, f"acc{position}")


def null_of(kind: SqlType) -> Literal:
    """A NULL of a type."""
    return Literal(None, kind.with_nullable(True))


COUNT_TYPE: Final = t.BIGINT().not_null()

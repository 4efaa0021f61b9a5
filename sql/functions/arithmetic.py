"""+, -, *, / and %: of numbers, and of dates and times with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql import dates, type_rules
from lesto.sql import types as t
from lesto.sql.builder import coerce, not_taken
from lesto.sql.expressions import Call, Expression, Literal
from lesto.sql.functions import decimals
from lesto.sql.functions.table import ScalarFunction, function, register
from lesto.sql.types import (
    APPROXIMATE,
    DATETIME,
    EXACT,
    INTEGER,
    INTERVAL,
    MAX_PRECISION,
    NUMERIC,
    SqlType,
    TypeRoot,
)
from lesto.sql.values import Evaluation, Kernel, Value, is_scalar, on_two

_GROUP: Final = "arithmetic"
_Rule = Callable[[int, int, int, int], SqlType]
_RULES: Final[dict[str, _Rule]] = {
    "+": type_rules.added,
    "-": type_rules.added,
    "*": type_rules.multiplied,
    "/": type_rules.divided,
    "%": type_rules.remainder,
}
_EXACT: Final = {
    "+": (pc.add, decimals.add),
    "-": (pc.subtract, decimals.subtract),
    "*": (pc.multiply, decimals.multiply),
}


def _nullable(args: Sequence[Expression]) -> bool:
    return any(a.type.nullable for a in args)


def _typed(args: Sequence[Expression]) -> list[Expression]:
    """An untyped NULL takes the other side's type."""
    known = [a.type for a in args if a.type.root is not TypeRoot.NULL]
    if not known:
        return [coerce(a, t.INT()) for a in args]
    first = t.DOUBLE() if known[0].is_in(APPROXIMATE) else known[0]
    return [coerce(a, first) if a.type.root is TypeRoot.NULL else a for a in args]


def bind_numbers(name: str, args: Sequence[Expression]) -> Expression:
    """The operator on two numbers."""
    a, b = args
    kind: SqlType
    if (
        a.type.is_in(EXACT)
        and b.type.is_in(EXACT)
        and (TypeRoot.DECIMAL in {a.type.root, b.type.root})
    ):
        x, y = type_rules.as_decimal(a.type), type_rules.as_decimal(b.type)
        kind = _RULES[name](x.precision, x.scale, y.precision, y.scale)
        a, b = coerce(a, x), coerce(b, y)
        # A result with more digits than there are is NULL.
        capped = kind.precision == MAX_PRECISION and name != "%"
        return Call(name, (a, b), kind.with_nullable(capped or _nullable(args)))
    shared = type_rules.common_type([a.type, b.type])
    kind = shared.with_nullable(_nullable(args))
    found = Call(name, (coerce(a, kind), coerce(b, kind)), kind)
    if name == "%" and shared.is_in(INTEGER):  # no remainder is beyond what it is divided by
        return coerce(found, b.type.with_nullable(kind.nullable))
    return found


def _bind(name: str) -> Callable[[Sequence[Expression]], Expression]:
    def bind(args: Sequence[Expression]) -> Expression:
        if name == "-" and len(args) == 1:
            return _negated(args[0])
        if name == "+" and len(args) == 1 and args[0].type.is_in(NUMERIC | INTERVAL):
            return args[0]
        if len(args) != 2:
            raise not_taken(function(name), args)
        a, b = _typed(args)
        if a.type.is_in(NUMERIC) and b.type.is_in(NUMERIC):
            return bind_numbers(name, [a, b])
        found = _bind_times(name, a, b)
        if found is None:
            raise not_taken(function(name), args)
        return found

    return bind


def _bind_times(name: str, a: Expression, b: Expression) -> Expression | None:
    nullable = _nullable([a, b])
    if name == "+" and a.type.is_in(INTERVAL) and b.type.is_in(DATETIME):
        a, b = b, a
    if name in {"+", "-"} and b.type.is_in(INTERVAL):
        if a.type.root is b.type.root:
            return Call(name, (a, b), a.type.with_nullable(nullable))
        if a.type.is_in(DATETIME):
            return Call(name, (a, b), a.type.with_nullable(nullable))
    if name == "*" and a.type.is_in(NUMERIC) and b.type.is_in(INTERVAL):
        a, b = b, a
    if name in {"*", "/"} and a.type.is_in(INTERVAL) and b.type.is_in(NUMERIC):
        number = coerce(b, t.BIGINT()) if b.type.is_in(INTEGER) else coerce(b, t.DOUBLE())
        return Call(name, (a, number), a.type.with_nullable(nullable))
    return None


def _negated(arg: Expression) -> Expression:
    number = isinstance(arg, Literal) and arg.type.is_in(NUMERIC | INTERVAL)
    if isinstance(arg, Literal) and number and arg.value not in {None, -(1 << 63)}:
        return _smallest(Literal(-arg.value, arg.type))
    if arg.type.root is TypeRoot.NULL:
        arg = coerce(arg, t.INT())
    if not arg.type.is_in(NUMERIC | INTERVAL):
        raise not_taken(function("-"), [arg])
    return Call("NEGATE", (arg,), arg.type)


def _smallest(arg: Literal) -> Literal:
    """-2147483648 is an INT, though 2147483648 is a BIGINT; likewise of BIGINT."""
    if arg.type.root is TypeRoot.BIGINT and arg.value == -(1 << 31):
        return Literal(arg.value, t.INT().not_null())
    if arg.type.root is TypeRoot.DECIMAL and arg.value == -(1 << 63) and not arg.type.scale:
        return Literal(int(arg.value), t.BIGINT().not_null())
    return arg


# ----------------------------------------------------------------------------------------- kernels


def _divide_whole(_ev: Evaluation, a: Value, b: Value) -> Value:
    if decimals.is_zero(b):
        raise decimals.division_by_zero()
    found = pc.divide(a, b)
    # Arrow gives 0 for the least integer by -1; Java wraps around to it.
    minus = pc.equal(b, pa.scalar(-1, b.type))
    if minus.as_py() if is_scalar(minus) else pc.any(minus).as_py():
        return pc.if_else(minus, pc.negate(a), found)
    return found


def _remainder_whole(kind: pa.DataType) -> Kernel:
    def kernel(_ev: Evaluation, a: Value, b: Value) -> Value:
        if decimals.is_zero(b):
            raise decimals.division_by_zero()

        def compute(x: Any, y: Any) -> Any:
            # Below a NULL there may be any number, zero too.
            return np.fmod(x, np.where(y == 0, 1, y))

        return on_two(compute, a, b, kind)

    return kernel


def _remainder_float(_ev: Evaluation, a: Value, b: Value) -> Value:
    if is_scalar(a) and is_scalar(b):
        if not (a.is_valid and b.is_valid):
            return pa.scalar(None, a.type)
        with np.errstate(invalid="ignore"):
            return pa.scalar(float(np.fmod(a.as_py(), b.as_py())), a.type)
    valid = pc.and_(pc.is_valid(a), pc.is_valid(b))
    x, y = (v.as_py() if is_scalar(v) else np.asarray(pc.fill_null(v, 1.0)) for v in (a, b))
    if x is None or y is None:
        return pa.scalar(None, a.type)
    with np.errstate(invalid="ignore"):
        found = pa.array(np.fmod(x, y))
    return pc.if_else(valid, found, pa.scalar(None, found.type))


def _prepare(name: str) -> Callable[[Call], Kernel]:
    def prepare(call_: Call) -> Kernel:
        a, b = (arg.type for arg in call_.args)
        if a.is_in(DATETIME):
            return moved(a, b, call_.type, -1 if name == "-" else 1)
        if a.is_in(INTERVAL) and name in {"*", "/"}:
            return _scaled(name, call_.type)
        if call_.type.root is TypeRoot.DECIMAL:
            return _decimal_kernel(name, a, b, call_.type)
        if name in _EXACT:
            compute = _EXACT[name][0]
            return lambda _ev, x, y: compute(x, y)
        if a.is_in(APPROXIMATE):
            return _remainder_float if name == "%" else lambda _ev, x, y: pc.divide(x, y)
        return _divide_whole if name == "/" else _remainder_whole(call_.type.to_arrow())

    return prepare


def _decimal_kernel(name: str, a: SqlType, b: SqlType, target: SqlType) -> Kernel:
    if name in _EXACT:
        fast, slow = _EXACT[name]
        natural = (
            a.precision + b.precision + 1
            if name == "*"
            else max(a.precision - a.scale, b.precision - b.scale) + max(a.scale, b.scale) + 1
        )
        return decimals.arrow_kernel(fast, natural, decimals.exact(slow, target), target)
    if name == "/":
        return decimals.quotient_kernel(a, b, target)
    return decimals.exact(decimals.remainder, target)


def moved(kind: SqlType, interval: SqlType, target: SqlType, sign: int) -> Kernel:
    """The kernel that adds an interval (or takes it away) to dates or times."""
    arrow = target.to_arrow()
    if interval.root is TypeRoot.YEAR_MONTH:
        per_day = 1 if kind.root is TypeRoot.DATE else dates.TICKS[arrow.unit] * 86_400

        def add_months(x: Any, months: Any) -> Any:
            days = np.floor_divide(x, per_day)
            return dates.add_months(days, sign * months) * per_day + (x - days * per_day)

        return lambda _ev, a, b: on_two(add_months, a, b, arrow)

    def add_millis(x: Any, millis: Any) -> Any:
        if kind.root is TypeRoot.TIME:
            return (x + sign * millis) % dates.DAY_MS
        if kind.root is TypeRoot.DATE:
            # Whole days only: 36 hours are one day.
            return x + sign * (np.sign(millis) * (np.abs(millis) // dates.DAY_MS))
        return x + sign * millis * (dates.TICKS[arrow.unit] // 1000)

    return lambda _ev, a, b: on_two(add_millis, a, b, arrow)


def _scaled(name: str, target: SqlType) -> Kernel:
    arrow = target.to_arrow()

    def kernel(_ev: Evaluation, interval: Value, number: Value) -> Value:
        if name == "/" and not pa.types.is_floating(number.type) and decimals.is_zero(number):
            raise decimals.division_by_zero()
        wide = pc.cast(interval, number.type, safe=False)
        found = pc.multiply(wide, number) if name == "*" else pc.divide(wide, number)
        return pc.cast(found, arrow, safe=False)

    return kernel


def _may_divide_by_zero(call_: Call) -> bool:
    divisor = call_.args[1]
    if divisor.type.is_in(APPROXIMATE):
        return False
    return not (isinstance(divisor, Literal) and divisor.value)


def _negate_kernel(_ev: Evaluation, value: Value) -> Value:
    return pc.negate(value)


_EXAMPLES: Final[dict[str, tuple[tuple[str, str | None], ...]]] = {
    "+": (
        ("1 + 2", "3"),
        ("2147483647 + 1", "-2147483648"),
        ("1.10 + 2.205", "3.305"),
        ("1 + CAST(NULL AS INT)", None),
        ("CAST(1.5 AS DOUBLE) + 1", "2.5"),
        ("DATE '2020-01-31' + INTERVAL '1' MONTH", "2020-02-29"),
        ("TIMESTAMP '2020-01-31 10:00:00' + INTERVAL '1' HOUR", "2020-01-31 11:00:00"),
        ("TIME '23:30:00' + INTERVAL '1' HOUR", "00:30:00"),
        ("INTERVAL '1' DAY + INTERVAL '1' HOUR", "+1 01:00:00.000"),
    ),
    "-": (
        ("5 - 7", "-2"),
        ("1.5 - 0.25", "1.25"),
        ("-(-3)", "3"),
        ("DATE '2020-03-01' - INTERVAL '1' DAY", "2020-02-29"),
        ("INTERVAL '1' YEAR - INTERVAL '1' MONTH", "+0-11"),
    ),
    "*": (
        ("3 * 4", "12"),
        ("0.908 * 100", "90.800"),
        ("1.5 * 1.5", "2.25"),
        ("INTERVAL '2' HOUR * 3", "+0 06:00:00.000"),
    ),
    "/": (
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("7.0 / 2", "3.500000000000"),
        ("CAST(1 AS DOUBLE) / 0", "Infinity"),
        ("1 / CAST(3 AS DECIMAL(10, 2))", "0.33333333333"),
    ),
    "%": (
        ("7 % 3", "1"),
        ("-7 % 3", "-1"),
        ("7.5 % 2", "1.5"),
    ),
}

register(
    *(
        ScalarFunction(
            name,
            _GROUP,
            prepare=_prepare(name),
            bind=_bind(name),
            aliases=("MOD",) if name == "%" else (),
            fallible=_may_divide_by_zero if name in {"/", "%"} else False,
            syntax=f"a {name} b, of numbers, or of dates, times and intervals",
            examples=_EXAMPLES[name],
        )
        for name in _RULES
    ),
    ScalarFunction(
        "NEGATE",
        _GROUP,
        prepare=lambda _call: _negate_kernel,
        bind=lambda args: _negated(args[0]),
        syntax="- number",
        examples=(("-CAST(5 AS BIGINT)", "-5"), ("-(INTERVAL '1' DAY)", "-1 00:00:00.000")),
    ),
)

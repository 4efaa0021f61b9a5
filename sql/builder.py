"""Builds bound expressions: finds the function and its form, inserts casts, computes types.

>>> from lesto.sql.expressions import InputRef
>>> from lesto.sql import types as t
>>> e = call("+", [InputRef(0, t.INT(), "a"), literal(1.5)])
>>> str(e), e.type.summary()
('+(CAST(a AS DOUBLE), 1.5)', 'DOUBLE')
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
from collections.abc import Sequence
from typing import Any, Final

from lesto.sql import types as t
from lesto.sql.errors import FunctionArgumentsError, UnsupportedCastError
from lesto.sql.expressions import Call, Case, Cast, Expression, Literal
from lesto.sql.functions import table
from lesto.sql.functions.params import Param, fit_together
from lesto.sql.functions.table import ScalarFunction, Signature
from lesto.sql.type_rules import as_decimal, casts_explicitly, common_type
from lesto.sql.types import SqlType, TypeRoot

_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - a TIMESTAMP has no zone
_INT_MAX: Final = 2**31 - 1
_BIGINT_MAX: Final = 2**63 - 1


def literal(value: Any, kind: SqlType | None = None) -> Literal:
    """A constant.

    Args:
        value: a Python value; datetimes, dates, times and timedeltas become what
            :class:`~lesto.sql.expressions.Literal` keeps.
        kind: its type; by default the one Flink gives such a literal.

    Raises:
        FunctionArgumentsError: the Python type has no SQL counterpart.
    """
    if kind is None:
        kind = t.NULL() if value is None else _literal_type(value)
    return Literal(_stored(value, kind), kind.with_nullable(value is None))


def symbol(word: str) -> Literal:
    """A word of the syntax as an argument: a unit of time, BOTH, NULL ON EMPTY, ..."""
    return Literal(word, t.SYMBOL())


def _literal_type(value: Any) -> SqlType:
    match value:
        case bool():
            return t.BOOLEAN()
        case int():
            if -_INT_MAX - 1 <= value <= _INT_MAX:
                return t.INT()
            if -_BIGINT_MAX - 1 <= value <= _BIGINT_MAX:
                return t.BIGINT()
            return t.DECIMAL(len(str(abs(value))), 0)
        case float():
            return t.DOUBLE()
        case decimal.Decimal():
            exponent = value.as_tuple().exponent
            scale = max(0, -exponent) if isinstance(exponent, int) else 0
            # The zero before the point counts: 0.908 is a DECIMAL(4, 3).
            return t.DECIMAL(max(len(value.as_tuple().digits), min(38, scale + 1)), scale)
        case str():
            return t.CHAR(len(value))
        case bytes():
            return t.BINARY(len(value))
        case dt.datetime():
            return t.TIMESTAMP(6) if value.tzinfo is None else t.TIMESTAMP_LTZ(6)
        case dt.date():
            return t.DATE()
        case dt.time():
            return t.TIME(3)
        case dt.timedelta():
            return t.INTERVAL_DAY_TIME()
    msg = f"no SQL literal is made of a Python {type(value).__name__}"
    raise FunctionArgumentsError(msg, remedy="give a number, text, bytes, date or time")


def _stored(value: Any, kind: SqlType) -> Any:
    match value:
        case dt.datetime():
            moment = value if value.tzinfo is None else value.astimezone(dt.UTC)
            micros = (moment.replace(tzinfo=None) - _EPOCH) // dt.timedelta(microseconds=1)
            unit = t.time_unit(kind.precision)
            return micros // 1000 if unit == "ms" else micros if unit == "us" else micros * 1000
        case dt.date():
            return (value - _EPOCH.date()).days
        case dt.time():
            seconds = (value.hour * 60 + value.minute) * 60 + value.second
            return seconds * 1000 + value.microsecond // 1000
        case dt.timedelta():
            return value // dt.timedelta(milliseconds=1)
        case int() if kind.is_in(t.APPROXIMATE):
            return float(value)
        case int() if kind.root is TypeRoot.DECIMAL:
            return decimal.Decimal(value)
        case float() if math.isnan(value):
            return math.nan  # one object, so that equal literals are equal
    return value


def cast(operand: Expression, kind: SqlType, *, attempt: bool = False) -> Expression:
    """CAST, or TRY_CAST if ``attempt``; nothing where the type is the same.

    The result is nullable if the operand is, or if a TRY_CAST may fail.

    Raises:
        UnsupportedCastError: no cast leads there.
    """
    if not casts_explicitly(operand.type, kind):
        msg = f"{operand.type.with_nullable(True)} cannot be cast to {kind.with_nullable(True)}"
        raise UnsupportedCastError(msg, remedy="cast by way of STRING, or use a function")
    if kind.with_nullable(True) == operand.type.with_nullable(True):
        return operand
    if isinstance(operand, Literal) and operand.value is None:
        return Literal(None, kind.with_nullable(True))
    nullable = operand.type.nullable or attempt or _may_overflow(operand.type, kind)
    return Cast(operand, kind.with_nullable(nullable), attempt)


def _may_overflow(source: SqlType, kind: SqlType) -> bool:
    """Whether a number may have too many digits for a decimal, so that its cast is NULL."""
    if kind.root is not TypeRoot.DECIMAL or not source.is_in(t.NUMERIC):
        return False
    if source.is_in(t.APPROXIMATE):
        return True
    exact = as_decimal(source)
    whole, room = exact.precision - exact.scale, kind.precision - kind.scale
    # Rounding up may need one digit more: 9.9 is 10 without fraction.
    return whole > room or (whole == room and exact.scale > kind.scale)


def coerce(operand: Expression, kind: SqlType) -> Expression:
    """Cast where the kept values differ; CHAR and VARCHAR, say, are kept alike."""
    if operand.type.root is not TypeRoot.NULL and _same_values(operand.type, kind):
        return operand
    return cast(operand, kind)


def _same_values(a: SqlType, b: SqlType) -> bool:
    return a.to_arrow() == b.to_arrow() and (
        (a.root in t.CHARACTER and b.root is TypeRoot.VARCHAR and a.length <= b.length)
        or (a.root in t.BINARY_STRING and b.root is TypeRoot.VARBINARY and a.length <= b.length)
        or a.with_nullable(True) == b.with_nullable(True)
    )


def case(
    branches: Sequence[tuple[Expression, Expression]], otherwise: Expression | None = None
) -> Expression:
    """CASE WHEN; the branches are cast to their common type.

    Raises:
        FunctionArgumentsError: a condition is not BOOLEAN.
        NoCommonTypeError: the branches' types do not go together.
    """
    last = literal(None) if otherwise is None else otherwise
    for condition, _ in branches:
        if condition.type.root not in {TypeRoot.BOOLEAN, TypeRoot.NULL}:
            msg = f"a condition must be BOOLEAN, but {condition} is {condition.type}"
            raise FunctionArgumentsError(msg, remedy="compare it with something")
    values = [value for _, value in branches] + [last]
    kind = common_type([value.type for value in values])
    return Case(
        tuple((coerce(c, t.BOOLEAN()), coerce(v, kind)) for c, v in branches),
        coerce(last, kind),
        kind,
    )


def call(name: str, args: Sequence[Expression]) -> Expression:
    """The call of a function, by any of its names, in any case.

    Words of the syntax among the arguments are made by :func:`symbol`, as in
    ``call("EXTRACT", [symbol("MONTH"), ts])``.

    Raises:
        UnknownFunctionError: no such function.
        FunctionArgumentsError: it does not take these arguments; its signatures are listed.
    """
    entry = table.function(name)
    if entry.bind is not None:
        return entry.bind(args)
    return bind_signature(entry, args)


def bind_signature(entry: ScalarFunction, args: Sequence[Expression]) -> Call:
    """The call by the first signature that fits, one without casts before others."""
    types = [arg.type for arg in args]
    found: tuple[Signature, list[SqlType]] | None = None
    for signature in entry.signatures:
        targets = fit_signature(signature, args)
        if targets is None:
            continue
        if found is None or targets == types:
            found = signature, targets
        if targets == types:
            break
    if found is None:
        raise not_taken(entry, args)
    signature, targets = found
    values = tuple(
        arg if target.root is TypeRoot.SYMBOL else coerce(arg, target)
        for arg, target in zip(args, targets, strict=True)
    )
    return Call(entry.name, values, _result(entry, signature, values))


def _result(entry: ScalarFunction, signature: Signature, values: tuple[Expression, ...]) -> SqlType:
    types = tuple(v.type for v in values)
    kind = signature.result if isinstance(signature.result, SqlType) else signature.result(types)
    match entry.nullable:
        case "args":
            return kind.with_nullable(any(v.nullable for v in types))
        case "always":
            return kind.with_nullable(True)
        case "never":
            return kind.not_null()
        case "as given":
            return kind


def fit_signature(signature: Signature, args: Sequence[Expression]) -> list[SqlType] | None:
    """The types that a form casts the arguments to; None if they do not fit it."""
    params = _expanded(signature, len(args))
    if params is None:
        return None
    targets: list[SqlType] = []
    for param, arg in zip(params, args, strict=True):
        target = param.fit(arg.type)
        if target is None or (param.literal and not isinstance(arg, Literal)):
            return None
        targets.append(target)
    for letter in {p.together for p in params} - {""}:
        members = [i for i, p in enumerate(params) if p.together == letter]
        shared = fit_together([targets[i] for i in members])
        if shared is None:
            return None
        for i in members:
            targets[i] = shared.with_nullable(targets[i].nullable)
    return targets


def _expanded(signature: Signature, count: int) -> Sequence[Param] | None:
    params = signature.params
    if len(params) == count:
        return params
    extra = count - len(params)
    if not signature.repeats or extra % signature.repeats or extra < -signature.repeats:
        return None
    tail = params[len(params) - signature.repeats :]
    return params[:count] if extra < 0 else [*params, *tail * (extra // signature.repeats)]


def not_taken(entry: ScalarFunction, args: Sequence[Expression]) -> FunctionArgumentsError:
    """The error for arguments that fit no signature."""
    given = ", ".join(
        str(arg) if arg.type.root is TypeRoot.SYMBOL else str(arg.type) for arg in args
    )
    forms = "; ".join(s.text(entry.name) for s in entry.signatures) or entry.syntax or entry.name
    msg = f"{entry.name} does not take ({given}); it is {forms}"
    return FunctionArgumentsError(msg, remedy="cast the arguments to types that it takes")

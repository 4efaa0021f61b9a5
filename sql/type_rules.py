"""What types results have: precision of decimals, common types, which casts there are.

The rules are Flink's (LogicalTypeMerging and LogicalTypeCasts describe them there).

>>> from lesto.sql import types as t
>>> common_type([t.INT(), t.DECIMAL(5, 2)]).summary()
'DECIMAL(12, 2)'
>>> divided(10, 2, 5, 0).summary()
'DECIMAL(16, 8) NOT NULL'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lesto.sql import types as t
from lesto.sql.errors import NoCommonTypeError
from lesto.sql.types import (
    APPROXIMATE,
    BINARY_STRING,
    CHARACTER,
    CONSTRUCTED,
    DATETIME,
    EXACT,
    INTEGER,
    INTEGER_DIGITS,
    INTERVAL,
    MAX_PRECISION,
    NUMERIC,
    TIMESTAMPS,
    SqlType,
    TypeRoot,
)

_LEAST_SCALE: Final = 6


def adjusted(precision: int, scale: int) -> SqlType:
    """A decimal that gives up digits behind the point rather than before it."""
    if precision > MAX_PRECISION:
        whole = precision - scale
        scale = max(MAX_PRECISION - whole, min(scale, _LEAST_SCALE))
        precision = MAX_PRECISION
    return t.DECIMAL(precision, scale).not_null()


def added(p1: int, s1: int, p2: int, s2: int) -> SqlType:
    """Type of a sum or difference of DECIMAL(p1, s1) and DECIMAL(p2, s2)."""
    scale = max(s1, s2)
    return adjusted(max(p1 - s1, p2 - s2) + scale + 1, scale)


def multiplied(p1: int, s1: int, p2: int, s2: int) -> SqlType:
    """Type of a product."""
    return adjusted(p1 + p2 + 1, s1 + s2)


def divided(p1: int, s1: int, p2: int, s2: int) -> SqlType:
    """Type of a quotient."""
    scale = max(_LEAST_SCALE, s1 + p2 + 1)
    return adjusted(p1 - s1 + s2 + scale, scale)


def remainder(p1: int, s1: int, p2: int, s2: int) -> SqlType:
    """Type of a remainder."""
    scale = max(s1, s2)
    return adjusted(min(p1 - s1, p2 - s2) + scale, scale)


def rounded(precision: int, scale: int, digits: int) -> SqlType:
    """Type of DECIMAL(precision, scale) rounded to some digits behind the point."""
    if digits >= scale:
        return t.DECIMAL(precision, scale).not_null()
    if digits < 0:
        return t.DECIMAL(min(MAX_PRECISION, 1 + precision - scale), 0).not_null()
    return t.DECIMAL(1 + precision - scale + digits, digits).not_null()


def sum_type(argument: SqlType) -> SqlType:
    """Type of SUM: a decimal of 38 digits, else the argument's own."""
    if argument.root is TypeRoot.DECIMAL:
        return t.DECIMAL(MAX_PRECISION, argument.scale).with_nullable(argument.nullable)
    return argument


def avg_type(argument: SqlType) -> SqlType:
    """Type of AVG: DECIMAL(38, s) with s of at least 6, else the argument's own."""
    if argument.root is TypeRoot.DECIMAL:
        return divided(MAX_PRECISION, argument.scale, 20, 0).with_nullable(argument.nullable)
    return argument


def as_decimal(kind: SqlType) -> SqlType:
    """The decimal that holds every value of an exact number type."""
    if kind.root is TypeRoot.DECIMAL:
        return kind
    return t.DECIMAL(INTEGER_DIGITS[kind.root], 0).with_nullable(kind.nullable)


def common_type(types: Sequence[SqlType]) -> SqlType:
    """The narrowest type that holds all values of these, as of the branches of a CASE.

    Raises:
        NoCommonTypeError: there is none.
    """
    found = find_common_type(types)
    if found is None:
        names = ", ".join(kind.summary() for kind in types)
        msg = f"there is no type in common of {names}"
        raise NoCommonTypeError(msg, remedy="write a CAST so that the types agree")
    return found


def find_common_type(types: Sequence[SqlType]) -> SqlType | None:
    """Like :func:`common_type`, but None where there is none, or where all are untyped NULL."""
    nullable = any(kind.nullable for kind in types)
    known = [kind.with_nullable(True) for kind in types if kind.root is not TypeRoot.NULL]
    if not known:
        return t.NULL() if types else None
    found = known[0]
    for kind in known[1:]:
        merged = _merge(found, kind)
        if merged is None:
            return None
        found = merged
    # A CHAR beside another length of CHAR has become VARCHAR; a lone CHAR stays.
    return found.with_nullable(nullable)


def _merge(a: SqlType, b: SqlType) -> SqlType | None:
    """The common type of two nullable types."""
    if a == b:
        return a
    roots = {a.root, b.root}
    if roots <= CHARACTER:
        return _merged_strings(a, b, TypeRoot.CHAR, TypeRoot.VARCHAR)
    if roots <= BINARY_STRING:
        return _merged_strings(a, b, TypeRoot.BINARY, TypeRoot.VARBINARY)
    if roots <= NUMERIC:
        return _merged_numbers(a, b)
    if roots <= INTERVAL and a.root is b.root:
        return a
    if roots <= DATETIME:
        return _merged_times(a, b)
    if a.root is b.root and a.root in CONSTRUCTED:
        return _merged_children(a, b)
    return None


def _merged_strings(a: SqlType, b: SqlType, fixed: TypeRoot, varying: TypeRoot) -> SqlType:
    same = a.root is fixed and b.root is fixed and a.length == b.length
    return SqlType(fixed if same else varying, length=max(a.length, b.length))


def _merged_numbers(a: SqlType, b: SqlType) -> SqlType:
    if a.is_in(INTEGER) and b.is_in(INTEGER):
        return max(a, b, key=lambda kind: INTEGER_DIGITS[kind.root])
    if a.is_in(EXACT) and b.is_in(EXACT):
        x, y = as_decimal(a), as_decimal(b)
        scale = max(x.scale, y.scale)
        whole = max(x.precision - x.scale, y.precision - y.scale)
        precision = min(MAX_PRECISION, whole + scale)
        return t.DECIMAL(precision, min(scale, max(0, precision - whole)))
    if a.is_in(APPROXIMATE) and b.is_in(APPROXIMATE):
        return t.DOUBLE() if TypeRoot.DOUBLE in {a.root, b.root} else t.FLOAT()
    exact, other = (a, b) if a.is_in(EXACT) else (b, a)
    # A decimal next to a FLOAT would lose digits that a DOUBLE keeps.
    return t.DOUBLE() if exact.root is TypeRoot.DECIMAL else other


def _merged_times(a: SqlType, b: SqlType) -> SqlType | None:
    roots = {a.root, b.root}
    if a.root is b.root:
        return a if a.precision >= b.precision else b
    if TypeRoot.TIME in roots:
        return None
    if roots <= TIMESTAMPS:
        return t.TIMESTAMP_LTZ(max(a.precision, b.precision))
    return a if a.root in TIMESTAMPS else b


def _merged_children(a: SqlType, b: SqlType) -> SqlType | None:
    if len(a.children) != len(b.children):
        return None
    children: list[SqlType] = []
    for x, y in zip(a.children, b.children, strict=True):
        merged = find_common_type([x, y])
        if merged is None:
            return None
        children.append(merged)
    return SqlType(a.root, children=tuple(children), names=a.names)


_WIDER: Final[dict[TypeRoot, frozenset[TypeRoot]]] = {
    TypeRoot.VARCHAR: CHARACTER,
    TypeRoot.VARBINARY: BINARY_STRING,
    TypeRoot.DECIMAL: NUMERIC,
    TypeRoot.SMALLINT: frozenset({TypeRoot.TINYINT}),
    TypeRoot.INTEGER: frozenset({TypeRoot.TINYINT, TypeRoot.SMALLINT}),
    TypeRoot.BIGINT: INTEGER,
    TypeRoot.FLOAT: EXACT,
    TypeRoot.DOUBLE: NUMERIC,
    TypeRoot.DATE: frozenset({TypeRoot.TIMESTAMP}),
    TypeRoot.TIME: frozenset({TypeRoot.TIMESTAMP}),
    TypeRoot.TIMESTAMP: frozenset({TypeRoot.TIMESTAMP_LTZ, TypeRoot.DATE}),
    TypeRoot.TIMESTAMP_LTZ: frozenset({TypeRoot.TIMESTAMP}),
}


def casts_implicitly(source: SqlType, target: SqlType) -> bool:
    """Whether a value goes into a column or parameter of the type without a CAST written.

    Nullability is not looked at.
    """
    if source.root is TypeRoot.NULL or (source.root is target.root and not source.children):
        return True
    if source.root is target.root:
        return len(source.children) == len(target.children) and all(
            casts_implicitly(a, b) for a, b in zip(source.children, target.children, strict=True)
        )
    return source.root in _WIDER.get(target.root, frozenset())


def casts_explicitly(source: SqlType, target: SqlType) -> bool:
    """Whether ``CAST(source AS target)`` exists."""
    a, b = source.root, target.root
    if a is TypeRoot.NULL or TypeRoot.SYMBOL in {a, b}:
        return a is TypeRoot.NULL
    if b in CHARACTER:
        return True
    if a in CONSTRUCTED or b in CONSTRUCTED:
        return _constructed_cast(source, target)
    if a is b:
        return True
    if a in CHARACTER:
        return b not in INTERVAL
    if b in BINARY_STRING:
        return a in BINARY_STRING
    if b is TypeRoot.BOOLEAN:
        return a in INTEGER
    if b in NUMERIC:
        return a in NUMERIC or a is TypeRoot.BOOLEAN or (a in INTERVAL and b in EXACT)
    if b in INTERVAL:
        return a in EXACT
    if b in DATETIME:
        return a in DATETIME and {a, b} != {TypeRoot.DATE, TypeRoot.TIME}
    return False


def _constructed_cast(source: SqlType, target: SqlType) -> bool:
    if {source.root, target.root} == {TypeRoot.MULTISET, TypeRoot.MAP}:
        return False
    if source.root is not target.root or len(source.children) != len(target.children):
        return False
    pairs = zip(source.children, target.children, strict=True)
    return all(casts_explicitly(a, b) for a, b in pairs)

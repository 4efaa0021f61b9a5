"""What functions take: each parameter says which types fit and what they are cast to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from lesto.sql import types as t
from lesto.sql.type_rules import find_common_type
from lesto.sql.types import SqlType, TypeRoot


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter.

    Attributes:
        label: as error messages show it.
        fit: the type an argument is cast to, None if it does not fit.
        together: arguments of parameters with the same letter are cast to their common type.
        literal: whether the argument must be a constant.
    """

    label: str
    fit: Callable[[SqlType], SqlType | None]
    together: str = ""
    literal: bool = False


def _among(
    roots: Iterable[TypeRoot], null_as: SqlType, target: SqlType | None = None
) -> Callable[[SqlType], SqlType | None]:
    accepted = frozenset(roots)

    def fit(kind: SqlType) -> SqlType | None:
        if kind.root is TypeRoot.NULL:
            return null_as
        if kind.root not in accepted:
            return None
        return kind if target is None else target.with_nullable(kind.nullable)

    return fit


def _any(kind: SqlType) -> SqlType | None:
    return None if kind.root is TypeRoot.SYMBOL else kind


def _symbol(kind: SqlType) -> SqlType | None:
    return kind if kind.root is TypeRoot.SYMBOL else None


def kind_of(
    label: str,
    roots: Iterable[TypeRoot],
    null_as: SqlType,
    *,
    to: SqlType | None = None,
    literal: bool = False,
) -> Param:
    """Takes types of some kinds as they are, or cast to one type; NULL as ``null_as``."""
    return Param(label, _among(roots, null_as, to), literal=literal)


STRING: Final = kind_of("STRING", t.CHARACTER, t.STRING())
STRING_LITERAL: Final = kind_of("STRING literal", t.CHARACTER, t.STRING(), literal=True)
BYTES: Final = kind_of("BYTES", t.BINARY_STRING, t.BYTES())
BOOLEAN: Final = kind_of("BOOLEAN", {TypeRoot.BOOLEAN}, t.BOOLEAN())
INTEGER: Final = kind_of("INTEGER", t.INTEGER, t.INT())
INT: Final = kind_of("INT", t.INTEGER, t.INT(), to=t.INT())
INT_LITERAL: Final = kind_of("0 or 3", t.INTEGER, t.INT(), to=t.INT(), literal=True)
BIGINT: Final = kind_of("BIGINT", t.INTEGER, t.BIGINT(), to=t.BIGINT())
NUMERIC: Final = kind_of("NUMERIC", t.NUMERIC, t.DOUBLE())
EXACT: Final = kind_of("EXACT NUMERIC", t.EXACT, t.INT())
DECIMAL: Final = kind_of("DECIMAL", {TypeRoot.DECIMAL}, t.DECIMAL(38, 18))
APPROXIMATE: Final = kind_of("DOUBLE", t.APPROXIMATE, t.DOUBLE())
DOUBLE: Final = kind_of("DOUBLE", t.NUMERIC, t.DOUBLE(), to=t.DOUBLE())
DATE: Final = kind_of("DATE", {TypeRoot.DATE}, t.DATE())
TIMESTAMP: Final = kind_of("TIMESTAMP", t.TIMESTAMPS, t.TIMESTAMP(3))
DATETIME: Final = kind_of("DATE, TIME or TIMESTAMP", t.DATETIME, t.TIMESTAMP(3))
DATE_OR_TIMESTAMP: Final = kind_of(
    "DATE or TIMESTAMP", t.TIMESTAMPS | {TypeRoot.DATE}, t.TIMESTAMP(3)
)
INTERVAL: Final = kind_of("INTERVAL", t.INTERVAL, t.INTERVAL_DAY_TIME())
ARRAY: Final = kind_of("ARRAY", {TypeRoot.ARRAY}, t.ARRAY(t.NULL()))
MAP: Final = kind_of("MAP", {TypeRoot.MAP}, t.MAP(t.NULL(), t.NULL()))
COLLECTION: Final = kind_of(
    "ARRAY, MAP or MULTISET",
    {TypeRoot.ARRAY, TypeRoot.MAP, TypeRoot.MULTISET},
    t.ARRAY(t.NULL()),
)
ANY: Final = Param("ANY", _any)
SYMBOL: Final = Param("SYMBOL", _symbol)
COMMON: Final = Param("T", _any, together="T")
COMMON_STRING: Final = Param("STRING", STRING.fit, together="T")
COMMON_NUMERIC: Final = Param("NUMERIC", NUMERIC.fit, together="T")
COMMON_ARRAY: Final = Param("ARRAY<T>", ARRAY.fit, together="T")
COMMON_MAP: Final = Param("MAP<K, V>", MAP.fit, together="T")


def array_of(label: str, element: Param) -> Param:
    """An ARRAY whose elements fit a parameter."""

    def fit(kind: SqlType) -> SqlType | None:
        if kind.root is TypeRoot.NULL:
            inner = element.fit(t.NULL())
            return None if inner is None else t.ARRAY(inner)
        if kind.root is not TypeRoot.ARRAY:
            return None
        inner = element.fit(kind.element)
        return None if inner is None else t.ARRAY(inner).with_nullable(kind.nullable)

    return Param(label, fit)


def fit_together(types: list[SqlType]) -> SqlType | None:
    """The common type of arguments that share a letter."""
    return find_common_type(types)

"""Results of SQL as the JSON of Flink's SQL Gateway: types, rows, pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa

from lesto.client.table.plan.schema import Schema
from lesto.common.elements import RowKinds
from lesto.connectors.formats.sql_values import json_values
from lesto.sql import types as t
from lesto.sql.builder import cast
from lesto.sql.evaluator import compile_expressions
from lesto.sql.expressions import InputRef
from lesto.sql.types import SqlType, TypeRoot
from lesto.sql.values import EvaluationContext

#: Kinds of rows by number.
KINDS: Final = ("INSERT", "UPDATE_BEFORE", "UPDATE_AFTER", "DELETE")
FORMATS: Final = ("JSON", "PLAIN_TEXT")
_ROOTS: Final = {
    TypeRoot.INTEGER: "INTEGER",
    TypeRoot.TIME: "TIME_WITHOUT_TIME_ZONE",
    TypeRoot.TIMESTAMP: "TIMESTAMP_WITHOUT_TIME_ZONE",
    TypeRoot.TIMESTAMP_LTZ: "TIMESTAMP_WITH_LOCAL_TIME_ZONE",
    TypeRoot.YEAR_MONTH: "INTERVAL_YEAR_MONTH",
    TypeRoot.DAY_TIME: "INTERVAL_DAY_TIME",
}
_SIZED: Final = frozenset({TypeRoot.CHAR, TypeRoot.VARCHAR, TypeRoot.BINARY, TypeRoot.VARBINARY})
_TIMES: Final = frozenset({TypeRoot.TIME, TypeRoot.TIMESTAMP, TypeRoot.TIMESTAMP_LTZ})
#: Digits of years and of days that Flink's intervals have by default.
_YEAR_DIGITS: Final = 2
_DAY_DIGITS: Final = 2
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def logical_type(kind: SqlType) -> dict[str, Any]:
    """A type.

    >>> logical_type(t.DECIMAL(5, 2).not_null())
    {'type': 'DECIMAL', 'nullable': False, 'precision': 5, 'scale': 2}
    """
    if kind.root is TypeRoot.NULL:
        return {"type": "NULL"}
    found: dict[str, Any] = {
        "type": _ROOTS.get(kind.root, kind.root.value),
        "nullable": kind.nullable,
    }
    match kind.root:
        case root if root in _SIZED:
            found["length"] = kind.length
        case TypeRoot.DECIMAL:
            found |= {"precision": kind.precision, "scale": kind.scale}
        case root if root in _TIMES:
            found["precision"] = kind.precision
        case TypeRoot.YEAR_MONTH:
            found |= {"precision": _YEAR_DIGITS, "resolution": "YEAR_TO_MONTH"}
        case TypeRoot.DAY_TIME:
            found |= {"precision": _DAY_DIGITS, "fractionalPrecision": kind.precision}
            found["resolution"] = "DAY_TO_SECOND"
        case TypeRoot.ARRAY | TypeRoot.MULTISET:
            found["elementType"] = logical_type(kind.element)
        case TypeRoot.MAP:
            found["keyType"] = logical_type(kind.children[0])
            found["valueType"] = logical_type(kind.children[1])
        case TypeRoot.ROW:
            fields = zip(kind.names, kind.children, strict=True)
            found["fields"] = [{"name": n, "fieldType": logical_type(c)} for n, c in fields]
    return found


class Pages:
    """Writes pages of one result.

    Args:
        schema: of its rows.
        zone: time zone in which instants are shown as text.
    """

    def __init__(self, schema: Schema, zone: str) -> None:
        self._types = [column.type for column in schema]
        self._context = EvaluationContext(zone)
        refs = [InputRef(i, kind.with_nullable(True)) for i, kind in enumerate(self._types)]
        self._texts = compile_expressions([cast(ref, t.STRING()) for ref in refs])
        self._columns = [
            {"name": column.name, "logicalType": logical_type(column.type), "comment": None}
            for column in schema
        ]

    def page(
        self,
        batches: Sequence[tuple[RowKinds | None, pa.RecordBatch]],
        row_format: str,
        around: dict[str, Any],
    ) -> bytes:
        """A page as JSON.

        Args:
            batches: its rows.
            row_format: JSON or PLAIN_TEXT.
            around: the page's other members.
        """
        data = [row for kinds, batch in batches for row in self._rows(kinds, batch, row_format)]
        results = {"columns": self._columns, "rowFormat": row_format, "data": data}
        return _encoder.encode({**around, "results": results})

    def _rows(
        self, kinds: RowKinds | None, batch: pa.RecordBatch, row_format: str
    ) -> list[dict[str, Any]]:
        if row_format == "PLAIN_TEXT":
            columns = [c.to_pylist() for c in self._texts.evaluate(batch, self._context)]
        else:
            columns = [
                _finite(json_values(batch.column(i), kind, iso=True), kind)
                for i, kind in enumerate(self._types)
            ]
        changes = [0] * batch.num_rows if kinds is None else kinds.tolist()
        rows = zip(*columns, strict=True) if columns else [()] * batch.num_rows
        return [
            {"kind": KINDS[kind], "fields": list(row)}
            for kind, row in zip(changes, rows, strict=True)
        ]


def _finite(values: list[Any], kind: SqlType) -> list[Any]:
    """JSON has no numbers for what is not finite: Flink writes texts."""
    if kind.root not in {TypeRoot.FLOAT, TypeRoot.DOUBLE}:
        return values
    return [v if v is None or math.isfinite(v) else _unusual(v) for v in values]


def _unusual(value: float) -> str:
    """As Java calls it.

    >>> [_unusual(float(text)) for text in ("nan", "inf", "-inf")]
    ['NaN', 'Infinity', '-Infinity']
    """
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"

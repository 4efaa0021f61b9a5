"""Results as Flink prints them.

>>> import pyarrow as pa
>>> from lesto.client.table.plan.schema import Column
>>> from lesto.sql import types as t
>>> schema = Schema.of([Column("name", t.STRING()), Column("n", t.INT())])
>>> batch = pa.record_batch({"name": ["ada", None], "n": pa.array([1, 22], pa.int32())})
>>> count = print_result(schema, Batches([(None, batch)]), False)
+--------+----+
|   name |  n |
+--------+----+
|    ada |  1 |
| <NULL> | 22 |
+--------+----+
2 rows in set
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TextIO

import pyarrow as pa

from lesto.client.table.kinds import KIND_TEXTS
from lesto.client.table.plan.schema import Schema
from lesto.common.elements import RowKinds
from lesto.sql import types as t
from lesto.sql.builder import cast
from lesto.sql.evaluator import CompiledExpressions, compile_expressions
from lesto.sql.expressions import InputRef
from lesto.sql.types import SqlType, TypeRoot
from lesto.sql.values import EvaluationContext

if TYPE_CHECKING:
    from lesto.client.table.results import Batches, JobBatches
else:
    from lesto.client.table.results import Batches

NULL: Final = "<NULL>"
_CUT: Final = "..."
_WIDTHS: Final = {
    TypeRoot.TINYINT: 4,
    TypeRoot.SMALLINT: 6,
    TypeRoot.INTEGER: 11,
    TypeRoot.BIGINT: 20,
    TypeRoot.BOOLEAN: 6,
    TypeRoot.DATE: 10,
}


class Texts:
    """Values as text, a column at a time.

    Args:
        schema: of the rows.
        zone: time zone in which instants are shown.
    """

    def __init__(self, schema: Schema, zone: str = "UTC") -> None:
        self._schema = schema
        self._context = EvaluationContext(zone)
        refs = [InputRef(i, c.type.with_nullable(True)) for i, c in enumerate(schema)]
        self._compiled: CompiledExpressions = compile_expressions(
            [cast(ref, t.STRING()) for ref in refs]
        )

    def rows(self, batch: pa.RecordBatch) -> list[list[str]]:
        """The texts of each row."""
        columns = [c.to_pylist() for c in self._compiled.evaluate(batch, self._context)]
        shown = [[NULL if v is None else v for v in column] for column in columns]
        return [list(row) for row in zip(*shown, strict=True)] or [
            [] for _ in range(batch.num_rows)
        ]


def print_result(
    schema: Schema,
    batches: Batches | JobBatches,
    streaming: bool,
    width: int = 30,
    zone: str = "UTC",
    out: TextIO | None = None,
) -> int:
    """Print all rows, and their number.

    Args:
        schema: of the rows.
        batches: the rows.
        streaming: whether to print as they come, with their kinds, in columns as wide as their
            types; else all at the end, in columns as wide as the values.
        width: the most characters of a column.
        zone: time zone in which instants are shown.
        out: standard output by default.
    """
    out = out or sys.stdout
    texts = Texts(schema, zone)
    names = list(schema.names)
    if streaming:
        names = ["op", *names]
        widths = [2, *(type_width(c.type, width) for c in schema)]
        widths = [max(w, text_width(n)) for w, n in zip(widths, names, strict=True)]
        rows = with_kinds(texts, batches)
        return _print(names, widths, rows, out)
    every = [row for _, batch in batches for row in texts.rows(batch)]
    widths = [
        min(max(map(text_width, column)), max(width, text_width(column[0])))
        for column in zip(names, *every, strict=True)
    ]
    return _print(names, widths, every, out)


def with_kinds(
    texts: Texts, batches: Iterable[tuple[RowKinds | None, pa.RecordBatch]]
) -> Iterator[list[str]]:
    """Texts of rows, the kind first."""
    for kinds, batch in batches:
        found = texts.rows(batch)
        changes = [0] * len(found) if kinds is None else kinds.tolist()
        for kind, row in zip(changes, found, strict=True):
            yield [KIND_TEXTS[kind], *row]


def _print(
    names: Sequence[str], widths: Sequence[int], rows: Iterable[Sequence[str]], out: TextIO
) -> int:
    border = "+" + "".join("-" * (w + 2) + "+" for w in widths)
    count = 0
    for row in rows:
        if not count:
            out.write(f"{border}\n{line(names, widths)}\n{border}\n")
        count += 1
        out.write(line(row, widths) + "\n")
        out.flush()
    if not count:
        out.write("Empty set\n")
    else:
        out.write(f"{border}\n{count} {'row' if count == 1 else 'rows'} in set\n")
    out.flush()
    return count


def line(values: Sequence[str], widths: Sequence[int]) -> str:
    """A row: values to the right in their columns."""
    cells = [padded(v, w) for v, w in zip(values, widths, strict=True)]
    return "|" + "".join(f" {c} |" for c in cells)


def padded(text: str, width: int) -> str:
    """Text of exactly so many columns of the screen, cut if it is longer."""
    text = text.replace("\n", "\\n").replace("\r", "\\r")
    have = text_width(text)
    if have > width:
        kept = ""
        for character in text:
            if text_width(kept + character) > width - len(_CUT):
                break
            kept += character
        text = kept + _CUT
        have = text_width(text)
    return " " * (width - have) + text


def text_width(text: str) -> int:
    """Columns of the screen: wide characters take two."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def type_width(kind: SqlType, most: int) -> int:
    """How wide a column of a type is when its values are not known yet."""
    match kind.root:
        case TypeRoot.CHAR | TypeRoot.VARCHAR:
            found = kind.length
        case TypeRoot.DECIMAL:
            found = kind.precision + 3
        case TypeRoot.TIME:
            found = 8 if not kind.precision else 9 + kind.precision
        case TypeRoot.TIMESTAMP | TypeRoot.TIMESTAMP_LTZ:
            found = 19 if not kind.precision else 20 + kind.precision
        case root:
            found = _WIDTHS.get(root, most)
    return min(max(found, len(NULL)), max(most, len(NULL)))

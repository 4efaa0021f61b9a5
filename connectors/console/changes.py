"""Rows of tables on standard output, in the form of Java's ``Row.toString``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lesto.common.elements import Batch, ColumnarBatch, Form, RowKind
from lesto.common.sink import Sink, SinkWriter, WriterContext
from lesto.connectors.console.print_sink import KIND_TEXTS, PrintWriter, line_prefix
from lesto.sql.casts.text import entries_type, to_text
from lesto.sql.types import BINARY_STRING, DATETIME, INTERVAL, SqlType, TypeRoot
from lesto.sql.values import EvaluationContext

_UTC: Final = EvaluationContext("UTC", 0)
#: Digits of a second's fraction that Java prints: none, or all of a group.
_FRACTIONS: Final = (3, 6, 9)


class ChangePrintSink(Sink):
    """Prints ``+I[1, a]`` and so on.

    Args:
        types: of the columns.
        identifier: put before each line; empty: none.
        to_stderr: write to standard error.
    """

    input_form = Form.COLUMNAR

    def __init__(
        self, types: Sequence[SqlType], identifier: str = "", *, to_stderr: bool = False
    ) -> None:
        self.types = tuple(types)
        self.identifier = identifier
        self.to_stderr = to_stderr

    def create_writer(self, context: WriterContext) -> SinkWriter:
        """A writer for one subtask."""
        return _ChangeWriter(self.types, line_prefix(self.identifier, context), self.to_stderr)


class _ChangeWriter(PrintWriter):
    def __init__(self, types: Sequence[SqlType], prefix: str, to_stderr: bool) -> None:
        super().__init__(prefix, to_stderr)
        self._types = types

    def texts(self, batch: Batch) -> list[str]:
        """One text a row."""
        assert isinstance(batch, ColumnarBatch)
        rows = joined_rows(batch.data.columns, self._types, len(batch))
        if batch.kinds is None:
            return [f"+I[{row}]" for row in rows]
        kinds = [KIND_TEXTS[RowKind(k)] for k in batch.kinds.tolist()]
        return [f"{kind}[{row}]" for kind, row in zip(kinds, rows, strict=True)]


def joined_rows(columns: Sequence[pa.Array], types: Sequence[SqlType], rows: int) -> list[str]:
    """The values of each row as Java writes them, joined by commas."""
    if not columns:
        return [""] * rows
    texts = [java_texts(c, t) for c, t in zip(columns, types, strict=True)]
    return [", ".join(row) for row in zip(*texts, strict=True)]


def java_texts(array: pa.Array, kind: SqlType) -> list[str]:
    """Values as Java's ``toString`` of their external classes gives them; NULL is ``null``."""
    if kind.is_in(DATETIME):
        return _temporal(array, kind)
    if (nested := _NESTED.get(kind.root)) is not None:
        return nested(array, kind)
    if kind.is_in(BINARY_STRING):
        return _each(array, lambda b: f"[{', '.join(str((x + 128) % 256 - 128) for x in b)}]")
    if kind.root is TypeRoot.BOOLEAN:
        return _each(array, lambda b: "true" if b else "false")
    if kind.root is TypeRoot.DECIMAL:
        return _each(array, str)
    if kind.root is TypeRoot.DAY_TIME:
        return _each(array, _java_duration)
    if kind.root is TypeRoot.YEAR_MONTH:
        return _each(array, _java_period)
    if kind.is_in(INTERVAL) or kind.root is TypeRoot.NULL:
        return ["null"] * len(array)
    return _each(to_text(array, kind, _UTC), str)


def _each(array: pa.Array, text: Callable[[Any], str]) -> list[str]:
    return ["null" if v is None else text(v) for v in array.to_pylist()]


def _temporal(array: pa.Array, kind: SqlType) -> list[str]:
    if kind.root is TypeRoot.DATE:
        return _each(array, str)
    clock = pc.strftime(array, format="%H:%M:%S").to_pylist()
    if kind.root is TypeRoot.TIME:
        return ["null" if c is None else _shortest(c) for c in clock]
    days = pc.strftime(array, format="%Y-%m-%d").to_pylist()
    instant = kind.root is TypeRoot.TIMESTAMP_LTZ
    found = []
    for day, text in zip(days, clock, strict=True):
        if day is None:
            found.append("null")
        else:
            found.append(f"{day}T{_instant(text) if instant else _shortest(text)}")
    return found


def _fraction(text: str) -> tuple[str, str]:
    """Clock and fraction, the latter cut to as many digits as Java shows."""
    clock, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    if not fraction:
        return clock, ""
    digits = next(n for n in _FRACTIONS if n >= len(fraction))
    return clock, f".{fraction.ljust(digits, '0')}"


def _shortest(text: str) -> str:
    clock, fraction = _fraction(text)
    return clock[:5] if not fraction and clock.endswith(":00") else clock + fraction


def _instant(text: str) -> str:
    return "".join(_fraction(text)) + "Z"


def _java_duration(ms: int) -> str:
    if ms == 0:
        return "PT0S"
    sign, rest = ("-", -ms) if ms < 0 else ("", ms)
    hours, rest = divmod(rest, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    found = "PT"
    found += f"{sign}{hours}H" if hours else ""
    found += f"{sign}{minutes}M" if minutes else ""
    if rest:
        seconds = f"{rest // 1000}.{rest % 1000:03d}".rstrip("0").rstrip(".")
        found += f"{sign}{seconds}S"
    return found


def _java_period(months: int) -> str:
    if months == 0:
        return "P0D"
    sign = "-" if months < 0 else ""
    years, rest = divmod(abs(months), 12)
    return "P" + (f"{sign}{years}Y" if years else "") + (f"{sign}{rest}M" if rest else "")


def _row(array: pa.Array, kind: SqlType) -> list[str]:
    rows = joined_rows(array.flatten(), kind.children, len(array))
    valid = array.is_valid().to_pylist()
    return [f"+I[{r}]" if v else "null" for r, v in zip(rows, valid, strict=True)]


def _array(array: pa.Array, kind: SqlType) -> list[str]:
    texts = java_texts(array.flatten(), kind.element)
    return _per_list(array, texts, "[", "]")


def _map(array: pa.Array, kind: SqlType) -> list[str]:
    from lesto.sql.types import INT

    lists = pc.cast(array, entries_type(array.type))
    entries = lists.flatten()
    values = INT() if kind.root is TypeRoot.MULTISET else kind.children[1]
    pairs = [
        f"{k}={v}"
        for k, v in zip(
            java_texts(entries.field(0), kind.children[0]),
            java_texts(entries.field(1), values),
            strict=True,
        )
    ]
    return _per_list(lists, pairs, "{", "}")


def _per_list(array: pa.Array, texts: list[str], start: str, end: str) -> list[str]:
    found = []
    at = 0
    for length in pc.list_value_length(array).to_pylist():
        if length is None:
            found.append("null")
            continue
        found.append(start + ", ".join(texts[at : at + length]) + end)
        at += length
    return found


_NESTED: Final = {
    TypeRoot.ROW: _row,
    TypeRoot.ARRAY: _array,
    TypeRoot.MAP: _map,
    TypeRoot.MULTISET: _map,
}

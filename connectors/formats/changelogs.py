"""Changes as JSON objects: the envelopes of Debezium, Canal, Maxwell and GoldenGate."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.common.elements import Batch, ColumnarBatch, Form, RowKind
from lesto.connectors.formats.base import (
    BadMessage,
    Decoded,
    DeserializationSchema,
    Payload,
    SerializationSchema,
)
from lesto.connectors.formats.sql_json import JsonOptions, SqlJsonFormat
from lesto.connectors.formats.sql_values import batch_of
from lesto.sql.types import ROW, STRING, SqlType

_ADDED: Final = (RowKind.INSERT, RowKind.UPDATE_AFTER)


class ChangelogFormat(DeserializationSchema, SerializationSchema):
    """One change a message; an update gives two rows.

    Args:
        names: of the columns.
        types: of the columns.
        options: of JSON.
    """

    input_form = Form.COLUMNAR

    def __init__(
        self, names: Sequence[str], types: Sequence[SqlType], options: JsonOptions | None = None
    ) -> None:
        self.names = tuple(names)
        self.types = tuple(types)
        self.options = options or JsonOptions()
        self.skips_bad_messages = self.options.ignore_parse_errors
        self.rows = SqlJsonFormat(names, types, self.options)
        self.schema: pa.Schema = self.rows.schema

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.names, self.types, self.options))

    @property
    def row_type(self) -> SqlType:
        """The columns as a ROW."""
        return ROW(zip(self.names, self.types, strict=True))

    def encode(self, batch: Batch) -> list[Payload]:
        """A message a row."""
        assert isinstance(batch, ColumnarBatch)
        rows = self.rows.objects(batch.data)
        kinds = [RowKind.INSERT] * len(rows) if batch.kinds is None else batch.kinds.tolist()
        return self.rows.encoded(
            [self._envelope(r, added=k in _ADDED) for r, k in zip(rows, kinds, strict=True)]
        )

    @abstractmethod
    def _envelope(self, row: dict[str, Any], *, added: bool) -> dict[str, Any]:
        """The message of a row that is added, or removed."""


# ------------------------------------------------------- rows before and after, side by side


class _BeforeAfter(ChangelogFormat):
    """Objects with ``before``, ``after`` and an operation."""

    operation: ClassVar[str]
    inserts: ClassVar[frozenset[str]]
    updates: ClassVar[frozenset[str]]
    deletes: ClassVar[frozenset[str]]
    nested: bool = False

    def __init__(
        self, names: Sequence[str], types: Sequence[SqlType], options: JsonOptions | None = None
    ) -> None:
        super().__init__(names, types, options)
        row = self.row_type
        fields = [("before", row), ("after", row), (self.operation, STRING())]
        if self.nested:
            self._envelopes = SqlJsonFormat(["payload"], [ROW(fields)], self._reading())
        else:
            self._envelopes = SqlJsonFormat(
                [n for n, _ in fields], [k for _, k in fields], self._reading()
            )

    def _reading(self) -> JsonOptions:
        return JsonOptions(ignore_parse_errors=self.options.ignore_parse_errors)

    def decode(self, messages: Sequence[Payload]) -> Decoded:
        """Rows with their kinds; empty messages give none."""
        places = np.array([i for i, m in enumerate(messages) if m], np.int64)
        decoded = self._envelopes.decode([m for m in messages if m])
        bad = [BadMessage(int(places[b.index]), b.why) for b in decoded.bad]
        places = np.delete(places, [b.index for b in decoded.bad])
        assert isinstance(decoded.batch, ColumnarBatch)
        columns: Sequence[pa.Array] = decoded.batch.data.columns
        if self.nested:
            columns = columns[0].flatten()
        return self._changes(columns[0], columns[1], columns[2], places, bad)

    def _changes(
        self,
        before: pa.Array,
        after: pa.Array,
        operations: pa.Array,
        places: np.ndarray,
        bad: list[BadMessage],
    ) -> Decoded:
        count = len(places)
        insert = _is_one_of(operations, self.inserts)
        update = _is_one_of(operations, self.updates)
        delete = _is_one_of(operations, self.deletes)
        has_before, has_after = _valid(before), _valid(after)
        good = (insert & has_after) | (update & has_before & has_after) | (delete & has_before)
        bad += [
            BadMessage(int(places[i]), self._why(operations[i].as_py(), bool(has_before[i])))
            for i in np.flatnonzero(~good).tolist()
        ]
        # First the rows before, then those after, of each message.
        first = np.flatnonzero(good & (update | delete))
        second = np.flatnonzero(good & (insert | update))
        numbers = np.concatenate([first, second])
        order = np.argsort(numbers, kind="stable")
        picked = np.concatenate([first, second + count])[order]
        removed = np.where(update[first], RowKind.UPDATE_BEFORE, RowKind.DELETE)
        added = np.where(update[second], RowKind.UPDATE_AFTER, RowKind.INSERT)
        kinds = np.concatenate([removed, added]).astype(np.int8)[order]
        both = zip(before.flatten(), after.flatten(), strict=True)
        taken = [pa.concat_arrays(pair).take(pa.array(picked)) for pair in both]
        data = pa.RecordBatch.from_arrays(taken, schema=self.schema)
        bad.sort(key=lambda b: b.index)
        origins = places[numbers[order]]
        return Decoded(ColumnarBatch(data, None, kinds), bad, _among_good(origins, bad))

    def _why(self, operation: str | None, has_before: bool) -> str:
        known = self.inserts | self.updates | self.deletes
        if operation not in known:
            return f"'{self.operation}' is {operation!r}, not one of {', '.join(sorted(known))}"
        if operation not in self.inserts and not has_before:
            return (
                f"'before' is null in a change of kind {operation}: the database has to log whole"
                " rows (REPLICA IDENTITY FULL in PostgreSQL)"
            )
        return f"'after' is null in a change of kind {operation}"


def _is_one_of(values: pa.Array, wanted: frozenset[str]) -> np.ndarray:
    return np.asarray(pc.is_in(values, pa.array(sorted(wanted))), bool)


def _valid(values: pa.Array) -> np.ndarray:
    return np.asarray(values.is_valid(), bool)


def _among_good(origins: np.ndarray, bad: Sequence[BadMessage]) -> np.ndarray:
    """Numbers of messages among those that are not bad."""
    if not bad:
        return origins
    return origins - np.searchsorted(np.array([b.index for b in bad]), origins)


class DebeziumJsonFormat(_BeforeAfter):
    """Debezium: ``before``, ``after``, ``op``."""

    operation = "op"
    inserts = frozenset({"c", "r"})
    updates = frozenset({"u"})
    deletes = frozenset({"d"})

    def _envelope(self, row: dict[str, Any], *, added: bool) -> dict[str, Any]:
        if added:
            return {"before": None, "after": row, "op": "c"}
        return {"before": row, "after": None, "op": "d"}


class DebeziumJsonWithSchemaFormat(DebeziumJsonFormat):
    """Debezium with a schema in each message: the change is its ``payload``. It is only read."""

    nested = True


class OggJsonFormat(_BeforeAfter):
    """GoldenGate: ``before``, ``after``, ``op_type``."""

    operation = "op_type"
    inserts = frozenset({"I"})
    updates = frozenset({"U"})
    deletes = frozenset({"D"})

    def _envelope(self, row: dict[str, Any], *, added: bool) -> dict[str, Any]:
        if added:
            return {"before": None, "after": row, "op_type": "I"}
        return {"before": row, "after": None, "op_type": "D"}


# ----------------------------------------------- rows, and of updates what was different before


class _DataOld(ChangelogFormat):
    """Objects with ``data``, ``old`` (the fields that were different) and ``type``."""

    words: ClassVar[dict[str, str]]

    def __init__(
        self,
        names: Sequence[str],
        types: Sequence[SqlType],
        options: JsonOptions | None = None,
        database: str = "",
        table: str = "",
    ) -> None:
        super().__init__(names, types, options)
        self.database = database
        self.table = table
        self._wanted = [
            (field, re.compile(pattern))
            for field, pattern in (("database", database), ("table", table))
            if pattern
        ]

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.names, self.types, self.options, self.database, self.table))

    def decode(self, messages: Sequence[Payload]) -> Decoded:
        """Rows with their kinds; empty messages and other tables' give none."""
        values: list[dict[str, Any]] = []
        kinds: list[int] = []
        origins: list[int] = []
        bad: list[BadMessage] = []
        for index, message in enumerate(messages):
            if not message:
                continue
            try:
                found = self._changes(self.rows._parse(message))
            except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
                bad.append(BadMessage(index, str(error).split("\n", 1)[0]))
                continue
            for kind, row in found:
                values.append(row)
                kinds.append(kind)
                origins.append(index)
        data = ColumnarBatch(batch_of(values, self.schema), None, np.array(kinds, np.int8))
        return Decoded(data, bad, _among_good(np.array(origins, np.int64), bad))

    def _changes(self, message: Any) -> list[tuple[int, dict[str, Any]]]:
        if not isinstance(message, dict):
            msg = "not a JSON object"
            raise ValueError(msg)
        for field, pattern in self._wanted:
            if not pattern.fullmatch(str(message.get(field))):
                return []
        kind = message.get("type")
        known = {word: what for what, word in self.words.items()}
        if kind not in known:
            msg = f"'type' is {kind!r}, not one of {', '.join(sorted(known))}"
            raise ValueError(msg)
        if known[kind] == "create":
            return []
        rows = self._listed(message.get("data"), "data")
        read = self.rows._read
        if known[kind] == "insert":
            return [(RowKind.INSERT, read(r)) for r in rows]
        if known[kind] == "delete":
            return [(RowKind.DELETE, read(r)) for r in rows]
        old = self._listed(message.get("old"), "old")
        if len(old) != len(rows):
            msg = f"{len(rows)} rows in 'data', {len(old)} in 'old'"
            raise ValueError(msg)
        found: list[tuple[int, dict[str, Any]]] = []
        for row, before in zip(rows, old, strict=True):
            found.append((RowKind.UPDATE_BEFORE, read({**row, **before})))
            found.append((RowKind.UPDATE_AFTER, read(row)))
        return found

    def _listed(self, value: Any, field: str) -> list[dict[str, Any]]:
        rows = value if isinstance(value, list) else [value]
        if not all(isinstance(r, dict) for r in rows):
            msg = f"'{field}' has no rows"
            raise ValueError(msg)
        return rows


class CanalJsonFormat(_DataOld):
    """Canal: lists of rows in ``data`` and ``old``.

    Args:
        names: of the columns.
        types: of the columns.
        options: of JSON.
        database: pattern of the databases whose changes are read; empty: all.
        table: pattern of the tables; empty: all.
    """

    words: ClassVar = {
        "insert": "INSERT",
        "update": "UPDATE",
        "delete": "DELETE",
        "create": "CREATE",
    }

    def _envelope(self, row: dict[str, Any], *, added: bool) -> dict[str, Any]:
        return {"data": [row], "type": "INSERT" if added else "DELETE"}


class MaxwellJsonFormat(_DataOld):
    """Maxwell: one row in ``data``, and in ``old`` what was different."""

    words: ClassVar = {"insert": "insert", "update": "update", "delete": "delete"}

    def _envelope(self, row: dict[str, Any], *, added: bool) -> dict[str, Any]:
        return {"data": row, "type": "insert" if added else "delete"}

"""Rows of tables as entries of keyed state."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.types as pat

from lesto.kernels import jit
from lesto.state import codec
from lesto.state.accumulators import spec_of
from lesto.state.entries import (
    CapturedBytes,
    CapturedCells,
    CapturedTable,
    CapturedTimers,
    Entries,
    cell_tail,
    key_groups_of,
)
from lesto.state.entry_keys import prefixes
from lesto.state.errors import SavepointWriteError
from lesto.state.keyed_base import TABLE, TIMERS
from lesto.state.reader.columns import to_values, undictionaried
from lesto.state.reader.streams import KEY, MAP_KEY, NAMESPACE, TIMESTAMP, VALUE, WINDOW, about
from lesto.state.registry import StateMeta
from lesto.state.table import AccumulatorKind, AccumulatorSpec, StateTable, TableDescriptor
from lesto.state.timer_queue import Timer
from lesto.state.writer.tabular import batches, plain_key_type, require

#: Names that columnar operators give to accumulators.
_ACCUMULATOR: Final = re.compile(r"(count|sum|min|max|first|last)_\d+")
_COUNTS: Final = frozenset({"fired", "session_start", "session_end"})


@dataclass(frozen=True, slots=True)
class Part:
    """One state to be written.

    Attributes:
        meta: what the savepoint says of it.
        entries: its entries in runs, given state id and max parallelism; called once.
    """

    meta: StateMeta
    entries: Callable[[int, int], Iterator[Entries]]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns hold what.

    Attributes:
        key: the key's column, or several of which a tuple is the key.
        value: the value's.
        map_key: the map key's.
        timestamp: a timer's time, ms.
        window: start and end of a window, ms, used when both are there; empty: no windows.
        namespace: any other namespace; used when it is there.
    """

    key: str | Sequence[str] = KEY
    value: str = VALUE
    map_key: str = MAP_KEY
    timestamp: str = TIMESTAMP
    window: Sequence[str] = WINDOW
    namespace: str = NAMESPACE

    def keys(self, batch: pa.RecordBatch) -> list[Any]:
        """The keys, as the job's key selector gives them."""
        if isinstance(self.key, str):
            return column(batch, self.key)
        return list(zip(*(column(batch, name) for name in self.key), strict=True))

    def key_names(self) -> list[str]:
        """Columns of the key."""
        return [self.key] if isinstance(self.key, str) else list(self.key)

    def namespaces(self, batch: pa.RecordBatch) -> list[Any]:
        """The namespaces; None where there are none."""
        if self.window and all(name in batch.schema.names for name in self.window):
            pairs = zip(*(bounds(batch, name) for name in self.window), strict=True)
            return [None if None in pair else pair for pair in pairs]
        if self.namespace in batch.schema.names:
            return column(batch, self.namespace)
        return [None] * batch.num_rows


def column(batch: pa.RecordBatch, name: str) -> list[Any]:
    """The Python values of a column."""
    return to_values(batch.column(name), batch.schema.field(name))


def bounds(batch: pa.RecordBatch, name: str) -> list[int | None]:
    """A column of times as ms.

    Raises:
        SavepointWriteError: it has other values.
    """
    array = batch.column(name)
    if pat.is_timestamp(array.type):
        array = array.cast(pa.timestamp("ms", array.type.tz))
    try:
        found: list[int | None] = array.cast(pa.int64()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        msg = f"column '{name}' ({array.type}) is no time in milliseconds: {error}"
        raise SavepointWriteError(msg, remedy="give int64 milliseconds or a timestamp") from error
    return found


def refuse_flattened(schema: pa.Schema) -> None:
    """Tables in which pickled objects were made rows are for people.

    Raises:
        SavepointWriteError: this is one.
    """
    if about(schema).get("pickles_loaded"):
        msg = "the table was read with allow_pickle: objects in it have become rows or texts"
        raise SavepointWriteError(msg, remedy="read it without allow_pickle; pickles stay whole")


def _by_namespace(namespaces: Sequence[Any]) -> Iterator[tuple[Any, list[int] | None]]:
    """Each namespace and its rows; None: all of them."""
    rows: dict[Any, list[int]] = {}
    for row, namespace in enumerate(namespaces):
        rows.setdefault(namespace, []).append(row)
    if len(rows) == 1:
        yield next(iter(rows)), None
        return
    yield from rows.items()


def cell_part(
    name: str,
    kind: str,
    reader: pa.RecordBatchReader,
    columns: Columns,
    *,
    extra: dict[str, Any],
    types: tuple[str, ...] = (),
) -> Part:
    """Value, list, reducing or aggregating state.

    Raises:
        SavepointWriteError: a column is missing; later: a value is.
    """
    require(reader.schema, [*columns.key_names(), columns.value])
    refuse_flattened(reader.schema)

    def entries(state_id: int, groups: int) -> Iterator[Entries]:
        for batch in batches(reader):
            keys, values = columns.keys(batch), column(batch, columns.value)
            if kind == "list":
                values = _lists(name, values)
            elif None in values:
                at = values.index(None)
                msg = f"state '{name}': key {keys[at]!r} has no value"
                raise SavepointWriteError(msg, remedy="leave rows without a value out")
            for namespace, rows in _by_namespace(columns.namespaces(batch)):
                own_keys = keys if rows is None else [keys[i] for i in rows]
                own = values if rows is None else [values[i] for i in rows]
                captured = CapturedCells(state_id, namespace, own_keys, own, groups)
                yield _without_nothing(*captured.encode())

    return Part(StateMeta(name, kind, types, extra), _named(name, entries))


def _lists(name: str, values: list[Any]) -> list[Any]:
    """Lists; an empty one is the same as none."""
    odd = next((v for v in values if v is not None and not isinstance(v, list | tuple)), None)
    if odd is not None:
        msg = f"list state '{name}' is made from a column of lists, not of {type(odd).__name__}"
        raise SavepointWriteError(msg, remedy="group the values of a key into a list")
    return [list(value) if value else None for value in values]


def _without_nothing(keys: pa.Array, values: pa.Array) -> Entries:
    if values.null_count == 0:
        return keys, values
    kept = values.is_valid()
    return keys.filter(kept), values.filter(kept)


def map_part(
    name: str,
    reader: pa.RecordBatchReader,
    columns: Columns,
    *,
    extra: dict[str, Any],
    types: tuple[str, ...] = (),
) -> Part:
    """Map state: a row for each entry.

    Raises:
        SavepointWriteError: a column is missing.
    """
    require(reader.schema, [*columns.key_names(), columns.map_key, columns.value])
    refuse_flattened(reader.schema)

    def entries(state_id: int, groups: int) -> Iterator[Entries]:
        heads = prefixes(groups, state_id)
        for batch in batches(reader):
            keys = columns.keys(batch)
            tails = zip(
                key_groups_of(keys, groups),
                keys,
                columns.namespaces(batch),
                column(batch, columns.map_key),
                strict=True,
            )
            whole = [
                heads[group] + cell_tail(key, namespace) + codec.encode_key(map_key)
                for group, key, namespace, map_key in tails
            ]
            values = codec.encode_all(column(batch, columns.value))
            yield CapturedBytes(whole, values).encode()

    return Part(StateMeta(name, "map", types, extra), _named(name, entries))


def timer_part(domain: str, reader: pa.RecordBatchReader, columns: Columns) -> Part:
    """Timers.

    Raises:
        SavepointWriteError: a column is missing; later: a time is.
    """
    require(reader.schema, [*columns.key_names(), columns.timestamp])

    def entries(state_id: int, groups: int) -> Iterator[Entries]:
        for batch in batches(reader):
            times = bounds(batch, columns.timestamp)
            if None in times:
                msg = f"a timer has no time (column '{columns.timestamp}')"
                raise SavepointWriteError(msg, remedy="leave the row out")
            rows = zip(times, columns.keys(batch), columns.namespaces(batch), strict=True)
            timers = cast("list[Timer]", list(rows))
            yield CapturedTimers(state_id, timers, [], groups).encode()

    name = f"__timers__{domain}"
    return Part(StateMeta(name, TIMERS), _named(name, entries))


# ------------------------------------------------------------------------------------ state tables


@dataclass(slots=True)
class TablePlan:
    """The state table that a table of users describes."""

    descriptor: TableDescriptor
    key_columns: list[str]
    namespace_column: str | None
    accumulators: dict[str, str] = field(default_factory=dict)  # accumulator -> column

    @staticmethod
    def of(
        name: str,
        schema: pa.Schema,
        keys: Sequence[str] | None,
        accumulators: dict[str, AccumulatorKind] | None,
    ) -> TablePlan:
        """From columns as the reader gives them, or named by the caller.

        Raises:
            SavepointWriteError: a column is missing, or no accumulator.
        """
        told = about(schema) if about(schema).get("kind") == TABLE else {}
        key_columns = list(keys or told.get("key_columns", ()))
        if not key_columns:
            msg = f"state table '{name}': which columns are the key?"
            raise SavepointWriteError(msg, remedy="name them with keys=[...], in the job's order")
        require(schema, key_columns)
        names = told["keys"] if told and keys is None else key_columns
        stored = [
            schema.field(column).with_name(key).with_type(plain_key_type(schema.field(column).type))
            for key, column in zip(names, key_columns, strict=True)
        ]
        key_schema = pa.schema([f.with_nullable(True).remove_metadata() for f in stored])
        spaced = next((n for n in ("window_start", NAMESPACE) if n in schema.names), None)
        specs = _specs(name, schema, key_columns, accumulators, told)
        require(schema, [spec.name for spec in specs])
        return TablePlan(
            TableDescriptor(name, key_schema, specs, spaced is not None, told.get("window_ms")),
            key_columns,
            spaced,
        )

    def rows(self, batch: pa.RecordBatch, groups: int) -> StateTable:
        """A state table with the rows of a batch.

        Raises:
            SavepointWriteError: a number does not fit.
        """
        table = StateTable(self.descriptor, max_parallelism=groups)
        keys = [
            undictionaried(batch.column(name)).cast(field.type)
            for name, field in zip(self.key_columns, self.descriptor.key_schema, strict=True)
        ]
        spaces = None
        if self.namespace_column is not None:
            spaces = np.array(bounds(batch, self.namespace_column), np.int64)
        slots, new = table.upsert(keys, spaces)
        if len(new) < batch.num_rows:
            raise twice(self.descriptor.name)
        for spec in self.descriptor.accumulators:
            acc = table.accumulator(spec.name)
            numbers = _numbers(batch.column(spec.name), spec)
            acc.values[slots] = numbers.fill_null(0).to_numpy(zero_copy_only=False)
            if spec.kind != "count":
                acc.seen[slots] = numbers.is_valid().to_numpy(zero_copy_only=False)
            elif numbers.null_count:
                msg = f"column '{spec.name}' is a count and has no value in some rows"
                raise SavepointWriteError(msg, remedy="give 0")
        return table


def _specs(
    name: str,
    schema: pa.Schema,
    key_columns: Sequence[str],
    kinds: dict[str, AccumulatorKind] | None,
    told: dict[str, Any],
) -> tuple[AccumulatorSpec, ...]:
    if kinds is None and told:
        return tuple(spec_of(spec) for spec in told["accumulators"])
    specs = []
    reserved = {*key_columns, *WINDOW, NAMESPACE}
    for column in schema.names if kinds is None else kinds:
        if kinds is None and column in reserved:
            continue
        require(schema, [column])
        found = _ACCUMULATOR.fullmatch(column)
        kind = (kinds or {}).get(column) or (found[1] if found else "")
        kind = "count" if column in _COUNTS else kind
        if not kind:
            msg = f"state table '{name}': what does column '{column}' accumulate?"
            raise SavepointWriteError(
                msg,
                remedy="name columns as the job does (sum_0, count_1, ..., see `lesto state read`) "
                "or give accumulators={'column': 'sum'}",
            )
        dtype = "float64" if pat.is_floating(schema.field(column).type) else "int64"
        specs.append(AccumulatorSpec(column, cast("AccumulatorKind", kind), dtype))  # type: ignore[arg-type]
    return tuple(specs)


def _numbers(array: pa.Array, spec: AccumulatorSpec) -> pa.Array:
    if pat.is_temporal(array.type) and not pat.is_date32(array.type):
        array = array.cast(pa.int64())
    elif pat.is_date32(array.type):
        array = array.cast(pa.int32())
    try:
        return array.cast(pa.int64() if spec.dtype == "int64" else pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        msg = f"column '{spec.name}' ({array.type}) does not fit {spec.dtype}: {error}"
        raise SavepointWriteError(msg, remedy="give numbers") from error


def table_part(name: str, reader: pa.RecordBatchReader, plan: TablePlan) -> Part:
    """A state table of a columnar operator."""

    def entries(state_id: int, groups: int) -> Iterator[Entries]:
        jit.warm(("hashing", "hashindex", "rowkeys"))
        for batch in batches(reader):
            rows = plan.rows(batch, groups).all_entries()
            none = pa.array([], pa.large_binary())
            yield CapturedTable(state_id, rows, [], none, groups).encode()

    meta = StateTable(plan.descriptor, max_parallelism=1).meta()
    return Part(StateMeta(name, TABLE, extra=dict(meta)), _named(name, entries))


def twice(name: str) -> SavepointWriteError:
    """A key stands in the data more than once."""
    msg = f"state '{name}': a key (with its window or map key) is in the data more than once"
    return SavepointWriteError(msg, remedy="combine the rows of a key into one")


def _named(
    name: str, entries: Callable[[int, int], Iterator[Entries]]
) -> Callable[[int, int], Iterator[Entries]]:
    """The entries, with an error of the encoding said in the state's name."""

    def named(state_id: int, groups: int) -> Iterator[Entries]:
        try:
            yield from entries(state_id, groups)
        except (TypeError, OverflowError) as error:  # a key without a stable hash, say
            msg = f"state '{name}' cannot be written: {error}"
            raise SavepointWriteError(msg, remedy="change the keys or values") from error

    return named

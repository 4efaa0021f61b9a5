"""What a query asks of a connector, and what it gets.

Columns are addressed by position. A source gives batches whose columns are exactly those of
``ScanRequest.projection``, of the Arrow types of ``SqlType.to_arrow()``; a sink takes batches with
a column for each of ``SinkRequest.columns``, whatever their names are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.sink import Sink
from lesto.common.source import Source
from lesto.sql.expressions import Expression
from lesto.sql.types import SqlType

RowNumbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TableField:
    """A column that a connector reads or writes.

    Attributes:
        name: the column.
        type: its type.
        metadata: the connector's key of a metadata column; empty for a physical one.
    """

    name: str
    type: SqlType
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """A table is read.

    Attributes:
        options: of WITH and of hints, with ``connector``.
        columns: all that the table can give: physical and metadata columns, in order.
        projection: positions in ``columns`` that are read, in order.
        nested: for each of ``projection`` the names of a ROW's fields that are read, or None for
            all of them. A field that is not read may be NULL. Empty: all of everything.
        filters: conditions over the columns read (input references count ``projection``). The
            source may use them to skip rows; see ``ScanPlan.filters``.
        limit: rows that are enough; None: all.
        time_zone: of the session.
        bounded: the source must end (batch execution).
        primary_key: names of the key's columns.
        partition_keys: names of the partition columns.
        source: the Python object behind the table.
        table: its name, for messages.
    """

    options: Mapping[str, str]
    columns: tuple[TableField, ...]
    projection: tuple[int, ...]
    nested: tuple[frozenset[str] | None, ...] = ()
    filters: tuple[Expression, ...] = ()
    limit: int | None = None
    time_zone: str = "UTC"
    bounded: bool = False
    primary_key: tuple[str, ...] = ()
    partition_keys: tuple[str, ...] = ()
    source: Any = None
    table: str = ""

    @property
    def read(self) -> tuple[TableField, ...]:
        """The columns that are read, in order."""
        return tuple(self.columns[i] for i in self.projection)

    @property
    def schema(self) -> pa.Schema:
        """Schema of the batches that the source gives."""
        return arrow_schema(self.read)

    @property
    def physical(self) -> tuple[TableField, ...]:
        """The columns that are in the data."""
        return tuple(c for c in self.columns if not c.metadata)

    def fields_read(self, at: int) -> frozenset[str] | None:
        """The fields that are read of the ROW in ``projection[at]``; None: all."""
        return self.nested[at] if self.nested else None


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """How a table is read.

    Attributes:
        source: gives columnar batches of ``ScanRequest.schema``, with kinds if it gives changes.
        filters: positions in ``ScanRequest.filters`` of the conditions that all rows meet.
        limited: no subtask gives more than ``ScanRequest.limit`` rows.
        parallelism: ``scan.parallelism``, if it is set.
    """

    source: Source
    filters: tuple[int, ...] = ()
    limited: bool = False
    parallelism: int | None = None


@dataclass(frozen=True, slots=True)
class SinkRequest:
    """A table is written.

    Attributes:
        options: of WITH and of hints, with ``connector``.
        columns: the columns written, in order: a column of the batches for each.
        primary_key: positions in ``columns``.
        partition_keys: positions in ``columns``.
        kinds: of ``I``, ``UB``, ``UA``, ``D``: those that may come.
        overwrite: INSERT OVERWRITE.
        time_zone: of the session.
        bounded: the input ends (batch execution).
        table: its name, for messages.
    """

    options: Mapping[str, str]
    columns: tuple[TableField, ...]
    primary_key: tuple[int, ...] = ()
    partition_keys: tuple[int, ...] = ()
    kinds: frozenset[str] = frozenset({"I"})
    overwrite: bool = False
    time_zone: str = "UTC"
    bounded: bool = False
    table: str = ""

    @property
    def schema(self) -> pa.Schema:
        """Schema of the batches with the table's names."""
        return arrow_schema(self.columns)


@dataclass(frozen=True, slots=True)
class SinkPlan:
    """How a table is written.

    Attributes:
        sink: takes columnar batches, with kinds if changes may come.
        parallelism: ``sink.parallelism``, if it is set.
        shuffle: positions of columns; rows of equal values should come to one subtask. Empty: no
            matter.
    """

    sink: Sink
    parallelism: int | None = None
    shuffle: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """Rows of a table are looked up by some of its columns.

    Attributes:
        options: of WITH and of hints, with ``connector``.
        columns: all columns that the table can give, in order.
        keys: positions in ``columns`` that are equal to given values.
        projection: positions in ``columns`` that are read, in order.
        time_zone: of the session.
        table: its name, for messages.
        partition_keys: names of the partition columns.
    """

    options: Mapping[str, str]
    columns: tuple[TableField, ...]
    keys: tuple[int, ...]
    projection: tuple[int, ...]
    time_zone: str = "UTC"
    table: str = ""
    partition_keys: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """Schema of the rows that are found."""
        return arrow_schema(tuple(self.columns[i] for i in self.projection))


class LookupFunction(ABC):
    """Looks up rows by keys; picklable until it is opened, used by one thread at a time.

    Attributes:
        local: whether it looks into memory and never waits. Such a function is opened again to
            read its table anew.
    """

    local: bool = False

    def open(self) -> None:  # noqa: B027 - optional hook
        """Connect; called once where it runs."""

    @abstractmethod
    def lookup(self, keys: pa.RecordBatch) -> tuple[RowNumbers, pa.RecordBatch]:
        """The rows with these keys.

        Args:
            keys: a column for each of ``LookupRequest.keys``; no value is NULL.

        Returns:
            For each row found the number of its key (int64[m], ascending), and the rows, of
            ``LookupRequest.schema``.
        """

    def close(self) -> None:  # noqa: B027 - optional hook
        """Disconnect."""


@dataclass(frozen=True, slots=True)
class LookupPlan:
    """How rows are looked up.

    Attributes:
        function: finds them.
        options: Flink's options ``lookup.*`` of cache and retries, as the operator needs them.
    """

    function: LookupFunction
    options: Mapping[str, Any] = field(default_factory=dict)


def arrow_schema(columns: tuple[TableField, ...]) -> pa.Schema:
    """Names and Arrow types of columns."""
    return pa.schema([pa.field(c.name, c.type.to_arrow()) for c in columns])

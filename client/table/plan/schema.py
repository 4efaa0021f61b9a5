"""Names, types and time attributes of the rows that a plan's nodes give."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from lesto.sql.types import SqlType


class TimeKind(enum.Enum):
    """What a time attribute counts: the rows' own time, or that of the machine."""

    ROWTIME = "ROWTIME"
    PROCTIME = "PROCTIME"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a schema; ``time`` if it is a time attribute."""

    name: str
    type: SqlType
    time: TimeKind | None = None

    def summary(self) -> str:
        """As DESCRIBE shows the type: ``TIMESTAMP(3) *ROWTIME*``."""
        return self.type.summary() + (f" *{self.time.value}*" if self.time else "")

    def plain(self) -> Column:
        """The column without being a time attribute."""
        return replace(self, time=None) if self.time else self


@dataclass(frozen=True, slots=True)
class Schema:
    """Columns in order."""

    columns: tuple[Column, ...]

    @staticmethod
    def of(columns: Iterable[Column]) -> Schema:
        """A schema of columns."""
        return Schema(tuple(columns))

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __getitem__(self, index: int) -> Column:
        return self.columns[index]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(c.name for c in self.columns)

    @property
    def types(self) -> tuple[SqlType, ...]:
        """The columns' types."""
        return tuple(c.type for c in self.columns)

    def index(self, name: str) -> int:
        """Position of a column, -1 if there is none."""
        names = self.names
        return names.index(name) if name in names else -1

    def to_arrow(self) -> pa.Schema:
        """The batches' schema."""
        return pa.schema(
            [pa.field(c.name, c.type.to_arrow(), nullable=c.type.nullable) for c in self.columns]
        )

    def __add__(self, other: Schema) -> Schema:
        return Schema(self.columns + other.columns)

    def nullable(self) -> Schema:
        """The same where all may be NULL, as the outer side of a join."""
        return Schema(tuple(replace(c, type=c.type.with_nullable(True)) for c in self.columns))

    def __str__(self) -> str:
        return ", ".join(f"{c.name} {c.summary()}" for c in self.columns)

"""What translation gives: streams of columns, and how rows are spread among subtasks."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from lesto.client.datastream.transformations import Partition, Partitioning, Upstream
from lesto.client.table.plan.schema import Schema
from lesto.common.keys import KeySpec

#: Column of a stream that has none: rows must be countable.
ROW_COLUMN: Final = "__row"


class Spread(enum.Enum):
    """How rows reach an operator."""

    FORWARD = "forward"
    HASH = "hash"
    SINGLE = "single"
    BROADCAST = "broadcast"


@dataclass(frozen=True, slots=True)
class Distribution:
    """How rows reach an operator; ``keys`` are positions, for HASH."""

    spread: Spread
    keys: tuple[int, ...] = ()


#: To the subtask of the same number; the operator gets the parallelism of its input.
FORWARD: Final = Distribution(Spread.FORWARD)
#: All rows to one subtask, the operator has but one.
SINGLE: Final = Distribution(Spread.SINGLE)
#: Each row to every subtask.
BROADCAST: Final = Distribution(Spread.BROADCAST)


def hashed(keys: Sequence[int]) -> Distribution:
    """Rows of equal keys to the same subtask; without keys all to one."""
    return Distribution(Spread.HASH, tuple(keys)) if keys else SINGLE


@dataclass(frozen=True, slots=True)
class PhysicalStream:
    """A translated node.

    Attributes:
        upstreams: several for a union.
        schema: columns; positions as in the node's schema, names unique.
        parallelism: of the operator that gives it; None: the job's.
    """

    upstreams: tuple[Upstream, ...]
    schema: pa.Schema
    parallelism: int | None = None

    def spread(self, how: Distribution, input_index: int = 0) -> tuple[Upstream, ...]:
        """Its rows on their way to an operator."""
        match how.spread:
            case Spread.HASH:
                names = tuple(self.schema.field(i).name for i in how.keys)
                partitioning = Partitioning(Partition.HASH, KeySpec(columns=names))
            case Spread.SINGLE:
                partitioning = Partitioning(Partition.GLOBAL)
            case Spread.BROADCAST:
                partitioning = Partitioning(Partition.BROADCAST)
            case _:
                partitioning = Partitioning()
        return tuple(
            replace(u, partitioning=partitioning, input_index=input_index, schema=self.schema)
            for u in self.upstreams
        )


def physical_schema(schema: Schema) -> pa.Schema:
    """Columns as batches have them: by position, all nullable, with unique names.

    >>> from lesto.client.table.plan.schema import Column
    >>> from lesto.sql import types as t
    >>> physical_schema(Schema.of([Column("a", t.INT()), Column("a", t.STRING())])).names
    ['a', 'a0']
    >>> physical_schema(Schema.of([])).names
    ['__row']
    """
    taken: set[str] = set()
    fields = []
    for column in schema:
        name, n = column.name, 0
        while name in taken:
            name, n = f"{column.name}{n}", n + 1
        taken.add(name)
        fields.append(pa.field(name, column.type.to_arrow()))
    return pa.schema(fields or [pa.field(ROW_COLUMN, pa.int8())])

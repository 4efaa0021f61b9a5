"""What the API calls leave behind: a graph of transformations, one for each operator."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lesto.common.keys import KeySpec

if TYPE_CHECKING:
    from lesto.common.source import Source
    from lesto.taskmanager.operators.base import OperatorFactory

DEFAULT_SLOT_SHARING_GROUP = "default"


class Kind(enum.Enum):
    """Whether records enter, pass or leave."""

    SOURCE = "source"
    TRANSFORM = "transform"
    SINK = "sink"


class Partition(enum.Enum):
    """How records go from the subtasks of one operator to those of the next."""

    #: forward when parallelism is equal, else rebalance.
    AUTO = "auto"
    FORWARD = "forward"
    HASH = "hash"
    REBALANCE = "rebalance"
    RESCALE = "rescale"
    BROADCAST = "broadcast"
    GLOBAL = "global"
    SHUFFLE = "shuffle"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Partitioning:
    """A partition with what it needs.

    Attributes:
        kind: the partition.
        key: the key, for HASH and CUSTOM.
        function: callable (key, channels) -> channel, for CUSTOM.
        location: the user's call that asked for it.
    """

    kind: Partition = Partition.AUTO
    key: KeySpec | None = None
    function: Callable[[Any, int], int] | None = None
    location: str = ""


class Chaining(enum.Enum):
    """Whether an operator may share a task with its neighbours."""

    ALWAYS = "always"
    #: with its consumers only.
    HEAD = "head"
    NEVER = "never"


@dataclass(frozen=True, slots=True, eq=False)
class Upstream:
    """One input of an operator: an output of another, partitioned.

    Attributes:
        node: the producer.
        side_tag: side output; empty: the main one.
        partitioning: how records are spread.
        schema: columns, or None for rows.
        input_index: which of the consumer's inputs it feeds; several may feed one (a union).
    """

    node: Transformation
    side_tag: str = ""
    partitioning: Partitioning = field(default_factory=Partitioning)
    schema: pa.Schema | None = None
    input_index: int = 0


@dataclass(slots=True, eq=False)
class Transformation:
    """An operator to be.

    Attributes:
        position: order of creation; inputs always have smaller ones.
        label: what it is ("Map"), independent of the user's name for it; part of generated uids.
        factory: makes the operator factory; called when the graph is built, so that building a job
            imports no operator before.
        output_schema: columns of the main output, or None for rows.
        user_functions: by role, for error messages about what cannot be pickled.
    """

    position: int
    kind: Kind
    label: str
    factory: Callable[[], OperatorFactory]
    inputs: tuple[Upstream, ...] = ()
    output_schema: pa.Schema | None = None
    keyed: bool = False
    source: Source | None = None
    location: str = ""
    user_functions: tuple[Any, ...] = ()
    name: str = ""
    description: str = ""
    uid: str | None = None
    uid_hash: str | None = None
    parallelism: int | None = None
    max_parallelism: int | None = None
    parallelism_fixed: bool = False
    chaining: Chaining = Chaining.ALWAYS
    slot_sharing_group: str | None = None
    buffer_timeout_ms: int | None = None

    def __post_init__(self) -> None:
        if not self.name:
            self.name = self.label

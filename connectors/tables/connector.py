"""What a connector of tables is."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from lesto.connectors.tables.options import Described, TableOptions
from lesto.connectors.tables.requests import (
    LookupPlan,
    LookupRequest,
    ScanPlan,
    ScanRequest,
    SinkPlan,
    SinkRequest,
    TableField,
)


class Formats(enum.Enum):
    """Which formats a connector asks for."""

    NONE = "none"
    FORMAT = "format"
    KEY_AND_VALUE = "key and value"


@dataclass(frozen=True, slots=True)
class TableConnector:
    """A connector of tables.

    Attributes:
        described: its options.
        formats: whether ``format`` is one of them.
        scan: makes sources; None: it cannot be read.
        write: makes sinks; None: it cannot be written.
        find: makes lookups; None: it has none.
        check: checks options that depend on each other.
        steady: columns whose every value keeps coming as time goes by. Rows may be left out by
            them in front of the watermarks, which the others then give as well.
        split_watermarks: whether rows come from several splits at once, as a topic's partitions,
            each in its own order: watermarks are then made of each by itself.
    """

    described: Described
    formats: Formats = Formats.NONE
    scan: Callable[[ScanRequest], ScanPlan] | None = None
    write: Callable[[SinkRequest], SinkPlan] | None = None
    find: Callable[[LookupRequest], LookupPlan] | None = None
    check: Callable[[TableOptions, tuple[TableField, ...]], None] | None = None
    steady: frozenset[str] = frozenset()
    split_watermarks: bool = False

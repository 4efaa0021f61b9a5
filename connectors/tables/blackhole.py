"""``'connector' = 'blackhole'``: takes everything and keeps nothing."""

from __future__ import annotations

from typing import Final

from lesto.connectors.memory.blackhole import BlackholeSink
from lesto.connectors.tables.connector import TableConnector
from lesto.connectors.tables.options import SINK_PARALLELISM, Described, TableOptions
from lesto.connectors.tables.requests import SinkPlan, SinkRequest


def _write(request: SinkRequest) -> SinkPlan:
    options = TableOptions(request.options, request.table)
    return SinkPlan(BlackholeSink(), options.of(SINK_PARALLELISM))


CONNECTOR: Final = TableConnector(
    Described("blackhole", "Drops all rows.", optional=(SINK_PARALLELISM,)), write=_write
)

"""``'connector' = 'print'``: rows on the standard output of the slots, as Flink prints them."""

from __future__ import annotations

from typing import Final

from lesto.common.option_types import ConfigOption
from lesto.connectors.console.changes import ChangePrintSink
from lesto.connectors.tables.connector import TableConnector
from lesto.connectors.tables.options import SINK_PARALLELISM, Described, TableOptions
from lesto.connectors.tables.requests import SinkPlan, SinkRequest

IDENTIFIER: Final = ConfigOption("print-identifier", str, "", "Put in front of each line.")
STANDARD_ERROR: Final = ConfigOption(
    "standard-error", bool, False, "Print on standard error instead of standard output."
)


def _write(request: SinkRequest) -> SinkPlan:
    options = TableOptions(request.options, request.table)
    sink = ChangePrintSink(
        tuple(c.type for c in request.columns),
        options.of(IDENTIFIER),
        to_stderr=options.of(STANDARD_ERROR),
    )
    return SinkPlan(sink, options.of(SINK_PARALLELISM))


CONNECTOR: Final = TableConnector(
    Described(
        "print",
        "Prints rows as +I[...], -U[...], +U[...], -D[...].",
        optional=(IDENTIFIER, STANDARD_ERROR, SINK_PARALLELISM),
    ),
    write=_write,
)

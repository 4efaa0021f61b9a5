"""``'connector' = 'nexmark'``: the events of the Nexmark benchmark, with its options."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Final

import pyarrow as pa

from lesto.common.errors import did_you_mean
from lesto.common.option_types import ConfigOption, MemorySize
from lesto.connectors.errors import (
    ConnectorConfigError,
    SchemaMismatchError,
    UnsupportedTableUseError,
)
from lesto.connectors.nexmark.config import AUCTION, BASE_TIME_MS, BID, PERSON, NexmarkConfig
from lesto.connectors.nexmark.fields import FIELDS
from lesto.connectors.nexmark.generator import ALL_KINDS, EventColumn
from lesto.connectors.nexmark.source import NexmarkSource
from lesto.connectors.tables.connector import TableConnector
from lesto.connectors.tables.options import SCAN_PARALLELISM, Described, TableOptions
from lesto.connectors.tables.requests import ScanPlan, ScanRequest, TableField
from lesto.sql.evaluator import compile_expressions, is_deterministic
from lesto.sql.expressions import Call, Expression
from lesto.sql.rewrite import input_refs
from lesto.sql.types import INT, TypeRoot
from lesto.sql.values import EvaluationContext

_TYPE: Final = "event_type"
_KINDS: Final = {"person": PERSON, "auction": AUCTION, "bid": BID}


class RateShape(enum.Enum):
    """How the rate moves between the first and the next one; here both are equal."""

    SQUARE = "SQUARE"
    SINE = "SINE"


def _count(key: str, default: int, description: str) -> ConfigOption[int]:
    return ConfigOption(key, int, default, description, minimum=0)


EVENTS: Final = _count("events.num", 0, "Number of events; 0: without end.")
STOP_AT: Final = ConfigOption(
    "stop-at", int, -1, "End behind so many events, if this is less than events.num; -1: do not."
)
KEEP_ALIVE: Final = ConfigOption(
    "keep-alive", bool, False, "Do not end behind the last event, but wait."
)
RATE: Final = ConfigOption(
    "first-event.rate",
    int,
    10_000,
    "Events a second in event time, of all subtasks together.",
    minimum=1,
)
NEXT_RATE: Final = ConfigOption(
    "next-event.rate", int, None, "Must be equal to first-event.rate, if it is set.", minimum=1
)
SHAPE: Final = ConfigOption(
    "rate.shape", RateShape, RateShape.SQUARE, "Accepted: the rate does not change."
)
PERIOD: Final = ConfigOption(
    "rate.period", timedelta, timedelta(minutes=10), "Accepted: the rate does not change."
)
LIMITED: Final = ConfigOption(
    "rate.limited", bool, False, "Give events when they are due, not as fast as they are taken."
)
MAX_SPEED: Final = ConfigOption(
    "max-emit-speed", bool, True, "false does the same as rate.limited = true."
)
PEOPLE: Final = _count("person.proportion", 1, "People among the events.")
AUCTIONS: Final = _count("auction.proportion", 3, "Auctions among the events.")
BIDS: Final = _count("bid.proportion", 46, "Bids among the events.")
PERSON_SIZE: Final = ConfigOption(
    "person.avg-size", MemorySize, MemorySize(200), "Bytes of a person, on average."
)
AUCTION_SIZE: Final = ConfigOption(
    "auction.avg-size", MemorySize, MemorySize(500), "Bytes of an auction, on average."
)
BID_SIZE: Final = ConfigOption(
    "bid.avg-size", MemorySize, MemorySize(100), "Bytes of a bid, on average."
)
HOT_AUCTIONS: Final = ConfigOption(
    "bid.hot-ratio.auctions",
    int,
    2,
    "One of so many bids is for any auction, the others for the hot one.",
    minimum=1,
)
HOT_BIDDERS: Final = ConfigOption(
    "bid.hot-ratio.bidders",
    int,
    4,
    "One of so many bids is by any person, the others by the hot one.",
    minimum=1,
)
HOT_SELLERS: Final = ConfigOption(
    "auction.hot-ratio.sellers",
    int,
    4,
    "One of so many auctions is by any person, the others by the hot one.",
    minimum=1,
)
BASE_TIME: Final = ConfigOption(
    "base-time",
    int,
    BASE_TIME_MS,
    "Event time of the first event, in ms since 1970: each run has the same events (Lesto's own).",
    minimum=0,
)
SEED: Final = ConfigOption(
    "seed", int, 0, "Other events of the same distributions (Lesto's own).", minimum=0
)

_OPTIONS: Final = (
    *(EVENTS, STOP_AT, KEEP_ALIVE, RATE, NEXT_RATE, SHAPE, PERIOD, LIMITED, MAX_SPEED),
    *(PEOPLE, AUCTIONS, BIDS, PERSON_SIZE, AUCTION_SIZE, BID_SIZE),
    *(HOT_AUCTIONS, HOT_BIDDERS, HOT_SELLERS, BASE_TIME, SEED, SCAN_PARALLELISM),
)


def config_of(options: TableOptions) -> NexmarkConfig:
    """The stream that options describe.

    Raises:
        ConnectorConfigError: they make no sense.
    """
    rate = options.of(RATE)
    following = options.of(NEXT_RATE)
    if following is not None and following != rate:
        raise options.refuse(
            NEXT_RATE,
            f"the rate does not change, and first-event.rate is {rate}",
            "give both the same value",
        )
    events, stop_at = options.of(EVENTS), options.of(STOP_AT)
    if stop_at >= 0:
        events = min(events, stop_at) if events else stop_at
        if events == 0:
            raise options.refuse(STOP_AT, "there would be no events", "give at least 1")
    return NexmarkConfig(
        events=events,
        rate=rate,
        proportions=(options.of(PEOPLE), options.of(AUCTIONS), options.of(BIDS)),
        sizes=(options.of(PERSON_SIZE), options.of(AUCTION_SIZE), options.of(BID_SIZE)),
        hot_auctions=options.of(HOT_AUCTIONS),
        hot_bidders=options.of(HOT_BIDDERS),
        hot_sellers=options.of(HOT_SELLERS),
        base_time_ms=options.of(BASE_TIME),
        seed=options.of(SEED),
        limited=options.of(LIMITED) or not options.of(MAX_SPEED),
        keep_alive=options.of(KEEP_ALIVE),
    )


def _check(options: TableOptions, columns: tuple[TableField, ...]) -> None:
    config_of(options)
    for column in columns:
        _check_column(column, options.table)


def _check_column(column: TableField, table: str) -> None:
    if column.metadata:
        msg = f"table {table}: nexmark has no metadata, and '{column.name}' is a metadata column"
        raise ConnectorConfigError(msg, remedy="remove the column")
    if column.name == _TYPE:
        if column.type.root is not TypeRoot.INTEGER:
            raise _mismatch(column, table, "INT")
        return
    if column.name not in _KINDS:
        names = (_TYPE, *_KINDS)
        msg = f"table {table}: nexmark has no column '{column.name}'"
        raise SchemaMismatchError(
            msg + did_you_mean(column.name, names), remedy=f"it has {', '.join(names)}"
        )
    fields = FIELDS[_KINDS[column.name]]
    if column.type.root is not TypeRoot.ROW:
        raise _mismatch(column, table, f"ROW<{', '.join(fields)}>")
    for name, kind in zip(column.type.names, column.type.children, strict=True):
        if name not in fields:
            msg = f"table {table}: a {column.name} of nexmark has no field '{name}'"
            raise SchemaMismatchError(
                msg + did_you_mean(name, fields), remedy=f"its fields are {', '.join(fields)}"
            )
        made, wanted = fields[name].type, kind.to_arrow()
        same_time = pa.types.is_timestamp(made) and pa.types.is_timestamp(wanted)
        if made != wanted and not same_time:
            shown = {pa.int64(): "BIGINT", pa.string(): "STRING"}.get(made, "TIMESTAMP(3)")
            raise _mismatch(TableField(f"{column.name}.{name}", kind), table, shown)


def _mismatch(column: TableField, table: str, wanted: str) -> SchemaMismatchError:
    msg = f"table {table}: nexmark's '{column.name}' is {wanted}, not {column.type.summary()}"
    return SchemaMismatchError(msg, remedy=f"declare it as {wanted}")


def _scan(request: ScanRequest) -> ScanPlan:
    options = TableOptions(request.options, request.table)
    config = config_of(options)
    if request.bounded and (not config.events or config.keep_alive):
        msg = f"table {request.table or '?'} has events without end, which a batch cannot read"
        raise UnsupportedTableUseError(msg, remedy="add 'events.num' = '...' to its options")
    for column in request.read:
        _check_column(column, request.table)
    columns = [
        EventColumn(c.name, c.type.to_arrow(), _KINDS.get(c.name), request.fields_read(i))
        for i, c in enumerate(request.read)
    ]
    kinds, taken = _kinds_kept(request, config)
    return ScanPlan(
        NexmarkSource(config, columns, kinds), taken, parallelism=options.of(SCAN_PARALLELISM)
    )


def _kinds_kept(
    request: ScanRequest, config: NexmarkConfig
) -> tuple[frozenset[int], tuple[int, ...]]:
    """Kinds of events of which the conditions may be true, and the conditions decided so."""
    every = frozenset(k for k in ALL_KINDS if config.proportions[k])
    names = [c.name for c in request.read]
    at = names.index(_TYPE) if _TYPE in names else -1
    kept = every
    for condition in request.filters:
        kept &= _may_be_true(condition, request, at)
    # A stream of nothing has no positions to go by: its rows are dropped behind the source.
    if not kept:
        return every, ()
    return kept, tuple(i for i, e in enumerate(request.filters) if _is_of_type(e, at))


def _is_of_type(condition: Expression, at: int) -> bool:
    """Whether a condition is one on the type of an event alone."""
    return input_refs(condition) == {at} and is_deterministic(condition)


def _may_be_true(condition: Expression, request: ScanRequest, at: int) -> frozenset[int]:
    """Kinds of events for which a condition is not surely false."""
    if isinstance(condition, Call) and condition.function in {"AND", "OR"}:
        parts = [_may_be_true(a, request, at) for a in condition.args]
        together = frozenset.intersection if condition.function == "AND" else frozenset.union
        return together(*parts)
    if not _is_of_type(condition, at):
        return ALL_KINDS
    kinds = sorted(ALL_KINDS)
    columns = [
        pa.array(kinds, INT().to_arrow()) if i == at else pa.nulls(len(kinds), c.type.to_arrow())
        for i, c in enumerate(request.read)
    ]
    batch = pa.RecordBatch.from_arrays(columns, schema=request.schema)
    context = EvaluationContext(request.time_zone)
    mask = compile_expressions([condition]).mask(batch, context)
    return frozenset(k for k, keep in zip(kinds, mask.to_pylist(), strict=True) if keep)


CONNECTOR: Final = TableConnector(
    Described(
        "nexmark", "Events of the Nexmark benchmark, made where they are read.", (), _OPTIONS
    ),
    scan=_scan,
    check=_check,
    steady=frozenset({_TYPE}),
)

"""``'connector' = 'upsert-kafka'``: topics with a primary key: a key's last message counts."""

from __future__ import annotations

from typing import Final

from lesto.connectors.errors import UnsupportedTableUseError
from lesto.connectors.kafka.offsets import KafkaOffsetsInitializer
from lesto.connectors.tables import kafka_options as o
from lesto.connectors.tables.connector import Formats, TableConnector
from lesto.connectors.tables.formats import key_format, table_format
from lesto.connectors.tables.kafka import layout_of, sink_of, source_of
from lesto.connectors.tables.options import (
    KEY_FORMAT,
    SCAN_PARALLELISM,
    SINK_PARALLELISM,
    VALUE_FORMAT,
    Described,
    TableOptions,
)
from lesto.connectors.tables.requests import (
    ScanPlan,
    ScanRequest,
    SinkPlan,
    SinkRequest,
    TableField,
)

_REQUIRED: Final = (o.ONE_TOPIC, o.SERVERS, KEY_FORMAT, VALUE_FORMAT)
_OPTIONS: Final = (
    *(o.GROUP, o.KEY_PREFIX, o.INCLUDE, *o.BOUNDED_OPTIONS, o.DISCOVERY, *o.SINK_OPTIONS),
    *(o.FLUSH_ROWS, o.FLUSH_INTERVAL, SCAN_PARALLELISM, SINK_PARALLELISM),
)


def _no_key(table: str) -> UnsupportedTableUseError:
    msg = f"table {table or '?'} (connector upsert-kafka) needs a primary key"
    return UnsupportedTableUseError(msg, remedy="add PRIMARY KEY (...) NOT ENFORCED")


def _scan(request: ScanRequest) -> ScanPlan:
    if not request.primary_key:
        raise _no_key(request.table)
    layout = layout_of(request, list(request.primary_key), upsert=True)
    return source_of(request, layout, KafkaOffsetsInitializer.earliest())


def _write(request: SinkRequest) -> SinkPlan:
    if not request.primary_key:
        raise _no_key(request.table)
    keys = [request.columns[i].name for i in request.primary_key]
    key = key_format(TableOptions(request.options, request.table))
    return sink_of(request, keys, key, upsert=True)


def _check(options: TableOptions, columns: tuple[TableField, ...]) -> None:
    topics = options.of(o.TOPIC) or []
    if len(topics) != 1:
        raise options.refuse(o.TOPIC, "there is one topic", "give one topic")
    for option in (KEY_FORMAT, VALUE_FORMAT):
        if table_format(options[option.key], options.table).changelog:
            raise options.refuse(
                option, "its records say themselves what they change", "use the connector kafka"
            )
    o.stopping(options)
    o.guarantee_of(options)
    o.check_metadata(options.table, columns)


CONNECTOR: Final = TableConnector(
    Described(
        "upsert-kafka",
        "Messages of Kafka, of which the last one of a key counts; without a value it deletes.",
        _REQUIRED,
        _OPTIONS,
        (o.PROPERTIES,),
    ),
    Formats.KEY_AND_VALUE,
    scan=_scan,
    write=_write,
    check=_check,
    split_watermarks=True,
)

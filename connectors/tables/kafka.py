"""``'connector' = 'kafka'``: topics as tables."""

from __future__ import annotations

from typing import Any, Final

from lesto.connectors.errors import MissingTableOptionError, UnsupportedTableUseError
from lesto.connectors.kafka.sink import KafkaSink
from lesto.connectors.kafka.tables import (
    WRITTEN_METADATA,
    MessageColumn,
    MessageLayout,
    TableKafkaSource,
    TableSerializer,
)
from lesto.connectors.tables import kafka_options as o
from lesto.connectors.tables.connector import Formats, TableConnector
from lesto.connectors.tables.formats import ChosenFormat, key_format, value_format
from lesto.connectors.tables.options import (
    KEY_FORMAT,
    SCAN_PARALLELISM,
    SINK_PARALLELISM,
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

_OPTIONS: Final = (
    *(o.TOPIC, o.PATTERN, o.GROUP, o.STARTUP, o.START_OFFSETS, o.START_TIME, *o.BOUNDED_OPTIONS),
    *(o.DISCOVERY, o.KEY_FIELDS, o.KEY_PREFIX, o.INCLUDE, o.PARTITIONER, *o.SINK_OPTIONS),
    *(SCAN_PARALLELISM, SINK_PARALLELISM),
)


def split_columns(
    options: TableOptions, columns: tuple[TableField, ...], keys: list[str]
) -> tuple[list[TableField], list[TableField]]:
    """The columns of the keys, under their names in messages, and those of the values."""
    physical = [c for c in columns if not c.metadata]
    prefix = options.of(o.KEY_PREFIX)
    by_name = {c.name: c for c in physical}
    key = [TableField(n.removeprefix(prefix), by_name[n].type) for n in keys]
    except_key = options.of(o.INCLUDE) is o.Include.EXCEPT_KEY
    value = [c for c in physical if not (except_key and c.name in keys)]
    return key, value


def layout_of(request: ScanRequest, keys: list[str], *, upsert: bool = False) -> MessageLayout:
    """How rows are made of messages: only the parts that are read are decoded."""
    options = TableOptions(request.options, request.table)
    formats = Formats.KEY_AND_VALUE
    key_fields, value_fields = split_columns(options, request.columns, keys)
    read = {c.name for c in request.read}
    in_value = {c.name for c in value_fields}
    chosen = value_format(formats, options)
    key = key_format(options)
    # A deleted row has its key alone, so that the key's columns come from there.
    from_key = set(keys) if key is not None and (upsert or not in_value.issuperset(keys)) else set()
    if chosen.name == "json":
        value_fields = [c for c in value_fields if c.name in read - from_key] or value_fields[:1]
    names = [c.name for c in value_fields]
    columns = []
    for c in request.read:
        arrow = c.type.to_arrow()
        if c.metadata:
            columns.append(MessageColumn(c.name, arrow, "metadata", metadata=c.metadata))
        elif c.name in from_key:
            columns.append(MessageColumn(c.name, arrow, "key", keys.index(c.name)))
        else:
            columns.append(MessageColumn(c.name, arrow, "value", names.index(c.name)))
    key_reader = None
    if key is not None and read & from_key:
        key_reader = key.reader(key_fields, request.time_zone)
    value_reader = chosen.reader(value_fields, request.time_zone)
    return MessageLayout(tuple(columns), value_reader, key_reader, upsert)


def source_of(request: ScanRequest, layout: MessageLayout, start: Any) -> ScanPlan:
    """A source of the options' topics."""
    options = TableOptions(request.options, request.table)
    stop = o.stopping(options)
    if request.bounded and stop is None:
        msg = f"table {request.table or '?'} reads a topic without end, which a batch cannot"
        raise UnsupportedTableUseError(msg, remedy="add 'scan.bounded.mode' = 'latest-offset'")
    properties = o.properties_of(options)
    properties.pop("auto.offset.reset", None)
    interval = options.of(o.DISCOVERY)
    source = TableKafkaSource(
        layout,
        topics=o.topics_of(options),
        bootstrap_servers=options.needed(o.SERVERS),
        start=start,
        stop=stop,
        group_id=properties.pop("group.id", None),
        discovery_interval_ms=int(interval.total_seconds() * 1000) or None,
        properties=properties,
    )
    return ScanPlan(source, parallelism=options.of(SCAN_PARALLELISM))


def _keys(options: TableOptions, columns: tuple[TableField, ...]) -> list[str]:
    keys = o.key_columns(options, columns)
    if bool(keys) != options.has(KEY_FORMAT):
        missing = o.KEY_FIELDS if not keys else KEY_FORMAT
        msg = f"table {options.table or '?'}: key.format and key.fields go together"
        raise MissingTableOptionError(msg, remedy=f"add '{missing.key}' = '...', or none of them")
    return keys


def _scan(request: ScanRequest) -> ScanPlan:
    options = TableOptions(request.options, request.table)
    layout = layout_of(request, _keys(options, request.columns))
    return source_of(request, layout, o.startup(options))


def sink_of(
    request: SinkRequest,
    keys: list[str],
    key: ChosenFormat | None,
    *,
    upsert: bool = False,
) -> SinkPlan:
    """A sink of the options' topic."""
    options = TableOptions(request.options, request.table)
    topics = options.of(o.TOPIC) or []
    if len(topics) != 1:
        raise options.refuse(o.TOPIC, "one topic is written", "give one topic")
    key_fields, value_fields = split_columns(options, request.columns, keys)
    places = {c.name: i for i, c in enumerate(request.columns)}
    prefix = options.of(o.KEY_PREFIX)
    metadata = {c.metadata: i for i, c in enumerate(request.columns) if c.metadata}
    for what in metadata:
        if what not in WRITTEN_METADATA:
            msg = f"table {request.table or '?'}: the metadata '{what}' cannot be written"
            raise UnsupportedTableUseError(msg, remedy="declare the column METADATA VIRTUAL")
    serializer = TableSerializer(
        topics[0],
        value_format(Formats.KEY_AND_VALUE, options).writer(value_fields, request.time_zone),
        [(places[c.name], c.name) for c in value_fields],
        None if key is None else key.writer(key_fields, request.time_zone),
        [(places[k], k.removeprefix(prefix)) for k in keys],
        metadata,
        upsert=upsert,
    )
    guarantee, id_prefix = o.guarantee_of(options)
    properties = o.properties_of(options)
    properties.pop("group.id", None)
    if options.get(o.PARTITIONER.key) is not None and (
        options.of(o.PARTITIONER) is o.Partitioner.ROUND_ROBIN
    ):
        properties["partitioner"] = "random"
    sink = KafkaSink(
        bootstrap_servers=options.needed(o.SERVERS),
        serializer=serializer,
        delivery_guarantee=guarantee,
        transactional_id_prefix=id_prefix,
        properties=properties,
    )
    return SinkPlan(sink, options.of(SINK_PARALLELISM))


def _write(request: SinkRequest) -> SinkPlan:
    options = TableOptions(request.options, request.table)
    return sink_of(request, _keys(options, request.columns), key_format(options))


def _check(options: TableOptions, columns: tuple[TableField, ...]) -> None:
    o.topics_of(options)
    o.stopping(options)
    o.guarantee_of(options)
    if options.of(o.STARTUP) is not o.Startup.GROUP_OFFSETS:
        o.startup(options)
    if columns:
        _keys(options, columns)
        o.check_metadata(options.table, columns)


CONNECTOR: Final = TableConnector(
    Described("kafka", "Messages of Kafka.", (o.SERVERS,), _OPTIONS, (o.PROPERTIES,)),
    Formats.KEY_AND_VALUE,
    scan=_scan,
    write=_write,
    check=_check,
    split_watermarks=True,
)

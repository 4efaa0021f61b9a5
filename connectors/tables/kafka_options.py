"""Options of ``kafka`` and ``upsert-kafka``, with Flink's names."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from lesto.common.errors import did_you_mean
from lesto.common.option_types import ConfigOption
from lesto.connectors.errors import ConnectorConfigError, InvalidTableOptionError
from lesto.connectors.kafka.offsets import (
    KafkaOffsetResetStrategy,
    KafkaOffsetsInitializer,
    KafkaTopicPartition,
)
from lesto.connectors.kafka.sink import DeliveryGuarantee
from lesto.connectors.kafka.tables import TABLE_METADATA
from lesto.connectors.tables.options import Prefix, TableOptions
from lesto.connectors.tables.requests import TableField


class Startup(enum.Enum):
    """Where reading begins."""

    EARLIEST_OFFSET = "earliest-offset"
    LATEST_OFFSET = "latest-offset"
    GROUP_OFFSETS = "group-offsets"
    TIMESTAMP = "timestamp"
    SPECIFIC_OFFSETS = "specific-offsets"


class Bounded(enum.Enum):
    """Where reading ends."""

    UNBOUNDED = "unbounded"
    LATEST_OFFSET = "latest-offset"
    GROUP_OFFSETS = "group-offsets"
    TIMESTAMP = "timestamp"
    SPECIFIC_OFFSETS = "specific-offsets"


class Include(enum.Enum):
    """Which columns are in the values."""

    ALL = "ALL"
    EXCEPT_KEY = "EXCEPT_KEY"


class Partitioner(enum.Enum):
    """How messages are spread over the partitions."""

    DEFAULT = "default"
    ROUND_ROBIN = "round-robin"


TOPIC: Final = ConfigOption("topic", list, None, "Topic, or for reading several: a;b.")
ONE_TOPIC: Final = ConfigOption("topic", list, None, "Topic.")
PATTERN: Final = ConfigOption(
    "topic-pattern", str, None, "Topics whose whole name matches are read (re's syntax)."
)
SERVERS: Final = ConfigOption("properties.bootstrap.servers", str, "", "host:port,...")
GROUP: Final = ConfigOption("properties.group.id", str, None, "Consumer group.")
STARTUP: Final = ConfigOption(
    "scan.startup.mode",
    Startup,
    Startup.GROUP_OFFSETS,
    "Where reading begins without a checkpoint.",
)
START_OFFSETS: Final = ConfigOption(
    "scan.startup.specific-offsets", str, None, "partition:0,offset:42;partition:1,offset:300"
)
START_TIME: Final = ConfigOption(
    "scan.startup.timestamp-millis", int, None, "In ms since 1970.", minimum=0
)
BOUNDED: Final = ConfigOption(
    "scan.bounded.mode", Bounded, Bounded.UNBOUNDED, "Where reading ends."
)
END_OFFSETS: Final = ConfigOption(
    "scan.bounded.specific-offsets", str, None, "As scan.startup.specific-offsets."
)
END_TIME: Final = ConfigOption(
    "scan.bounded.timestamp-millis", int, None, "In ms since 1970.", minimum=0
)
DISCOVERY: Final = ConfigOption(
    "scan.topic-partition-discovery.interval",
    timedelta,
    timedelta(minutes=5),
    "Look for new partitions this often; 0: do not.",
)
KEY_FIELDS: Final = ConfigOption(
    "key.fields", list, None, "Columns that are in the key: a;b. Needs key.format."
)
KEY_PREFIX: Final = ConfigOption(
    "key.fields-prefix",
    str,
    "",
    "What the names of the key's columns begin with in the table, but not in the messages.",
)
INCLUDE: Final = ConfigOption(
    "value.fields-include", Include, Include.ALL, "Whether the key's columns are in the values too."
)
PARTITIONER: Final = ConfigOption(
    "sink.partitioner",
    Partitioner,
    Partitioner.DEFAULT,
    "default: by key as Java does, without keys any; round-robin: any.",
)
GUARANTEE: Final = ConfigOption(
    "sink.delivery-guarantee",
    DeliveryGuarantee,
    DeliveryGuarantee.AT_LEAST_ONCE,
    "exactly-once writes in transactions and needs sink.transactional-id-prefix.",
)
ID_PREFIX: Final = ConfigOption(
    "sink.transactional-id-prefix", str, None, "Of no other running sink."
)
FLUSH_ROWS: Final = ConfigOption(
    "sink.buffer-flush.max-rows", int, 0, "Accepted: batches are written as they come.", minimum=0
)
FLUSH_INTERVAL: Final = ConfigOption(
    "sink.buffer-flush.interval",
    timedelta,
    timedelta(0),
    "Accepted: batches are written as they come.",
)
PROPERTIES: Final = Prefix("properties.", "Properties of librdkafka, as Java's are mostly called.")

BOUNDED_OPTIONS: Final = (BOUNDED, END_OFFSETS, END_TIME)
SINK_OPTIONS: Final = (GUARANTEE, ID_PREFIX)


def properties_of(options: TableOptions) -> dict[str, str]:
    """What is passed on to librdkafka."""
    return dict(options.under(PROPERTIES.prefix))


def startup(options: TableOptions) -> KafkaOffsetsInitializer:
    """Where reading begins.

    Raises:
        InvalidTableOptionError: the mode needs another option.
    """
    match options.of(STARTUP):
        case Startup.EARLIEST_OFFSET:
            return KafkaOffsetsInitializer.earliest()
        case Startup.LATEST_OFFSET:
            return KafkaOffsetsInitializer.latest()
        case Startup.TIMESTAMP:
            return KafkaOffsetsInitializer.timestamp(_with(options, STARTUP, START_TIME))
        case Startup.SPECIFIC_OFFSETS:
            return _specific(options, STARTUP, START_OFFSETS)
    if not options.has(GROUP):
        raise options.refuse(
            STARTUP,
            "group-offsets, which is the default, needs 'properties.group.id'",
            "give the group, or 'scan.startup.mode' = 'earliest-offset'",
        )
    reset = options.get("properties.auto.offset.reset", "none").upper()
    known = {"EARLIEST": "EARLIEST", "LATEST": "LATEST", "SMALLEST": "EARLIEST"}
    strategy = KafkaOffsetResetStrategy[known.get(reset, "NONE")]
    return KafkaOffsetsInitializer.committed_offsets(strategy)


def stopping(options: TableOptions) -> KafkaOffsetsInitializer | None:
    """Where reading ends; None: never.

    Raises:
        InvalidTableOptionError: the mode needs another option.
    """
    match options.of(BOUNDED):
        case Bounded.UNBOUNDED:
            return None
        case Bounded.LATEST_OFFSET:
            return KafkaOffsetsInitializer.latest()
        case Bounded.TIMESTAMP:
            return KafkaOffsetsInitializer.timestamp(_with(options, BOUNDED, END_TIME))
        case Bounded.SPECIFIC_OFFSETS:
            return _specific(options, BOUNDED, END_OFFSETS)
    if not options.has(GROUP):
        raise options.refuse(BOUNDED, "it needs 'properties.group.id'", "give the group")
    return KafkaOffsetsInitializer.committed_offsets(KafkaOffsetResetStrategy.NONE)


def _with(options: TableOptions, mode: ConfigOption[Any], other: ConfigOption[Any]) -> Any:
    if not options.has(other):
        raise options.refuse(mode, f"it needs '{other.key}'", f"add '{other.key}' = '...'")
    return options.of(other)


def _specific(
    options: TableOptions, mode: ConfigOption[Any], other: ConfigOption[Any]
) -> KafkaOffsetsInitializer:
    text = _with(options, mode, other)
    topics = options.of(TOPIC) or []
    if len(topics) != 1:
        raise options.refuse(mode, "it needs exactly one topic", "give one topic")
    offsets = {}
    for part in filter(None, text.split(";")):
        match = re.fullmatch(r"\s*partition:(\d+)\s*,\s*offset:(\d+)\s*", part)
        if match is None:
            raise options.refuse(
                other, f"'{part}' is not partition:n,offset:m", "partition:0,offset:42;..."
            )
        offsets[KafkaTopicPartition(topics[0], int(match[1]))] = int(match[2])
    return KafkaOffsetsInitializer.offsets(offsets)


def topics_of(options: TableOptions) -> Any:
    """Names, or a compiled pattern.

    Raises:
        InvalidTableOptionError: neither or both, or no pattern.
    """
    names, pattern = options.of(TOPIC), options.of(PATTERN)
    if bool(names) == (pattern is not None):
        raise options.refuse(
            TOPIC, "one of topic and topic-pattern is needed", "give one of the two"
        )
    if pattern is None:
        return names
    try:
        return re.compile(pattern)
    except re.error as error:
        raise options.refuse(PATTERN, str(error), "give a regular expression") from None


def key_columns(options: TableOptions, columns: Sequence[TableField]) -> list[str]:
    """Names of the columns in the key, as ``key.fields`` has them.

    Raises:
        InvalidTableOptionError: a column that there is not, or a name without the prefix.
    """
    names = [c.name for c in columns if not c.metadata]
    keys: list[str] = options.of(KEY_FIELDS) or []
    prefix = options.of(KEY_PREFIX)
    for name in keys:
        if name not in names:
            near = did_you_mean(name, names)
            raise options.refuse(
                KEY_FIELDS, f"there is no column '{name}'{near}", f"there are {', '.join(names)}"
            )
        if not name.startswith(prefix):
            raise options.refuse(
                KEY_FIELDS,
                f"'{name}' does not begin with key.fields-prefix '{prefix}'",
                "rename the column, or leave the prefix out",
            )
    if prefix and options.of(INCLUDE) is not Include.EXCEPT_KEY:
        raise options.refuse(
            KEY_PREFIX,
            "the values have the key's columns too",
            "add 'value.fields-include' = 'EXCEPT_KEY'",
        )
    return keys


def check_metadata(
    table: str, columns: Sequence[TableField], known: Mapping[str, Any] = TABLE_METADATA
) -> None:
    """Refuse metadata that messages do not have.

    Raises:
        ConnectorConfigError: unknown metadata.
    """
    for column in columns:
        if column.metadata and column.metadata not in known:
            near = did_you_mean(column.metadata, known)
            msg = f"table {table or '?'}: messages have no metadata '{column.metadata}'{near}"
            raise ConnectorConfigError(msg, remedy=f"there are: {', '.join(known)}")


def guarantee_of(options: TableOptions) -> tuple[DeliveryGuarantee, str | None]:
    """The guarantee and the prefix of transactional ids.

    Raises:
        InvalidTableOptionError: exactly-once without a prefix.
    """
    found, prefix = options.of(GUARANTEE), options.of(ID_PREFIX)
    if found is DeliveryGuarantee.EXACTLY_ONCE and not prefix:
        error: InvalidTableOptionError = options.refuse(
            GUARANTEE,
            f"it needs '{ID_PREFIX.key}'",
            f"add '{ID_PREFIX.key}' = '...', which no other running sink has",
        )
        raise error
    return found, prefix

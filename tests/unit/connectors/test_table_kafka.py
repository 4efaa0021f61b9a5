"""Options of kafka and upsert-kafka, and how messages become rows; no broker is asked."""

import pytest

from lesto.connectors.errors import (
    ConnectorConfigError,
    InvalidTableOptionError,
    MissingTableOptionError,
    UnknownTableOptionError,
    UnsupportedTableUseError,
)
from lesto.connectors.kafka import DeliveryGuarantee
from lesto.connectors.tables.factory import check_options
from tests.unit.connectors.table_helpers import fields, scan, sink

KAFKA = {
    "connector": "kafka",
    "topic": "t",
    "properties.bootstrap.servers": "localhost:1",
    "format": "json",
    "scan.startup.mode": "earliest-offset",
}
UPSERT = {
    "connector": "upsert-kafka",
    "topic": "t",
    "properties.bootstrap.servers": "localhost:1",
    "key.format": "json",
    "value.format": "json",
}
pytest.importorskip("confluent_kafka")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"topic": None}, InvalidTableOptionError, "one of topic and topic-pattern"),
        ({"topic-pattern": "x.*"}, InvalidTableOptionError, "one of topic and topic-pattern"),
        ({"topic": None, "topic-pattern": "("}, InvalidTableOptionError, "topic-pattern"),
        ({"format": None}, MissingTableOptionError, "'format' or 'value.format'"),
        ({"properties.bootstrap.servers": None}, MissingTableOptionError, "bootstrap.servers"),
        ({"key.fields": "a"}, MissingTableOptionError, "key.format and key.fields go together"),
        ({"key.format": "raw"}, MissingTableOptionError, "key.format and key.fields go together"),
        (
            {"key.format": "raw", "key.fields": "aa"},
            InvalidTableOptionError,
            "no column 'aa'",
        ),
        (
            {"key.format": "raw", "key.fields": "a", "key.fields-prefix": "k_"},
            InvalidTableOptionError,
            "does not begin with key.fields-prefix 'k_'",
        ),
        (
            {"key.format": "raw", "key.fields": "a", "key.fields-prefix": "a"},
            InvalidTableOptionError,
            "the values have the key's columns too",
        ),
        ({"scan.startup.mode": "earliest"}, InvalidTableOptionError, "mean 'earliest-offset'"),
        ({"scan.startup.mode": "timestamp"}, InvalidTableOptionError, "it needs 'scan.startup.tim"),
        (
            {
                "scan.startup.mode": "specific-offsets",
                "scan.startup.specific-offsets": "partition:0,offset:x",
            },
            InvalidTableOptionError,
            "is not partition:n,offset:m",
        ),
        ({"scan.bounded.mode": "group-offsets"}, InvalidTableOptionError, "group.id"),
        (
            {"sink.delivery-guarantee": "exactly-once"},
            InvalidTableOptionError,
            "it needs 'sink.transactional-id-prefix'",
        ),
        ({"sink.partitioner": "fixed"}, InvalidTableOptionError, "sink.partitioner"),
        ({"value.json.x": "1"}, UnknownTableOptionError, "kafka has no option 'value.json.x'"),
        ({"json.fail": "1"}, UnknownTableOptionError, "format json has no option 'fail'"),
        (
            {"json.ignore-parse-errors": "true", "json.fail-on-missing-field": "true"},
            InvalidTableOptionError,
            "it excludes fail-on-missing-field",
        ),
        ({"format": "parquet"}, UnsupportedTableUseError, "'parquet' is one of whole files"),
    ],
)
def test_options_of_kafka_that_are_wrong(change, error, message):
    given = {k: v for k, v in {**KAFKA, **change}.items() if v is not None}
    with pytest.raises(error, match=message):
        check_options(given, table="t", columns=fields("a INT; b STRING"))


def test_metadata_that_messages_do_not_have():
    with pytest.raises(ConnectorConfigError, match=r"no metadata 'ofset'.*did you mean 'offset'"):
        check_options(KAFKA, table="t", columns=fields("a INT; o BIGINT METADATA ofset"))


def test_reading_from_the_groups_offsets_needs_a_group():
    given = {k: v for k, v in KAFKA.items() if k != "scan.startup.mode"}
    check_options(given, table="t", columns=fields("a INT"))  # for writing it is of no matter
    with pytest.raises(
        InvalidTableOptionError, match=r"cannot be left out: .* needs 'properties.group.id'"
    ):
        scan(given, "a INT")
    plan = scan({**given, "properties.group.id": "g", "scan.parallelism": "3"}, "a INT")
    assert plan.source.group_id == "g"
    assert plan.parallelism == 3


def test_a_batch_needs_an_end():
    with pytest.raises(UnsupportedTableUseError, match="without end"):
        scan(KAFKA, "a INT", bounded=True)
    scan({**KAFKA, "scan.bounded.mode": "latest-offset"}, "a INT", bounded=True)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"value.format": None}, MissingTableOptionError, "value.format"),
        ({"topic": "a;b"}, InvalidTableOptionError, "there is one topic"),
        ({"scan.startup.mode": "earliest-offset"}, UnknownTableOptionError, "scan.startup.mode"),
    ],
)
def test_options_of_upsert_kafka_that_are_wrong(change, error, message):
    given = {k: v for k, v in {**UPSERT, **change}.items() if v is not None}
    with pytest.raises(error, match=message):
        check_options(given, table="t", columns=fields("a INT; b STRING"))


def test_upsert_kafka_needs_a_primary_key():
    for use in (scan, sink):
        with pytest.raises(UnsupportedTableUseError, match="needs a primary key"):
            use(UPSERT, "a INT; b STRING")


def test_what_a_sink_promises():
    assert sink(KAFKA, "a INT").sink.guarantee is DeliveryGuarantee.AT_LEAST_ONCE
    exact = {"sink.delivery-guarantee": "exactly-once", "sink.transactional-id-prefix": "p"}
    made = sink({**KAFKA, **exact}, "a INT").sink
    assert made.guarantee is DeliveryGuarantee.EXACTLY_ONCE
    assert made.prefix == "p"


def test_metadata_that_cannot_be_written():
    with pytest.raises(UnsupportedTableUseError, match="'offset' cannot be written"):
        sink(KAFKA, "a INT; o BIGINT METADATA offset")


def test_raw_is_one_column():
    with pytest.raises(UnsupportedTableUseError, match="one column, not a, b"):
        scan({**KAFKA, "format": "raw"}, "a STRING; b STRING")

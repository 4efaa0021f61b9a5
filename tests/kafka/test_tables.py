"""Tables of kafka and upsert-kafka against a real broker."""

import json

import numpy as np
import pyarrow as pa
import pytest

from lesto.common.elements import ColumnarBatch, RowKind
from lesto.table import EnvironmentSettings, TableEnvironment
from tests.kafka.driving import Driven, WriterContext
from tests.unit.connectors.table_helpers import scan, sink

INSERT, AFTER, DELETE = RowKind.INSERT, RowKind.UPDATE_AFTER, RowKind.DELETE


def options(broker, topic, **more):
    found = {
        "connector": "kafka",
        "topic": topic,
        "properties.bootstrap.servers": broker.address,
        "format": "json",
        "scan.startup.mode": "earliest-offset",
        "scan.bounded.mode": "latest-offset",
    }
    return {k: v for k, v in {**found, **more}.items() if v is not None}


def upsert(broker, topic, **more):
    given = options(broker, topic, connector="upsert-kafka", **{"key.format": "json"})
    del given["scan.startup.mode"], given["format"]
    return {**given, "value.format": "json", **more}


def write(made, data, kinds=None):
    writer = made.create_writer(WriterContext())
    try:
        writer.write(ColumnarBatch(data, None, None if kinds is None else np.array(kinds, np.int8)))
        committables = writer.prepare_commit(1)
        if (committer := made.create_committer()) is not None:
            committer.commit(committables)
            committer.close()
    finally:
        writer.close()


def rows(plan):
    found = []
    with Driven(plan.source) as driven:
        for result in driven.batches():
            kinds = result.batch.kinds
            values = result.batch.data.to_pylist()
            names = ["I"] * len(values) if kinds is None else [RowKind(k).name for k in kinds]
            found += list(zip(names, values, strict=True))
    return found


def test_keys_values_and_metadata(broker, topic):
    columns = """k_id BIGINT; name STRING; at TIMESTAMP_LTZ(3) METADATA timestamp
        h MAP<STRING, BYTES> METADATA headers"""
    more = {
        "key.format": "json",
        "key.fields": "k_id",
        "key.fields-prefix": "k_",
        "value.fields-include": "EXCEPT_KEY",
    }
    data = pa.record_batch(
        [
            pa.array([1, 2], pa.int64()),
            pa.array(["x", None]),
            pa.array([1_000, 2_000], pa.timestamp("ms", "UTC")),
            pa.array([[("a", b"1")], []], pa.map_(pa.string(), pa.binary())),
        ],
        names=list("wxyz"),
    )
    write(sink(options(broker, topic, **more), columns).sink, data)
    raw = sorted(broker.read(topic), key=lambda m: m.key())
    assert [(m.key(), m.value()) for m in raw] == [
        (b'{"id":1}', b'{"name":"x"}'),
        (b'{"id":2}', b'{"name":null}'),
    ]
    read = (
        columns
        + "\ntopic STRING METADATA topic\np INT METADATA partition\no BIGINT METADATA offset"
    )
    found = sorted(rows(scan(options(broker, topic, **more), read)), key=lambda r: r[1]["k_id"])
    first = found[0][1]
    assert (first["k_id"], first["name"], first["topic"]) == (1, "x", topic)
    assert first["at"].timestamp() == 1
    assert first["h"] == [("a", b"1")]
    some = rows(scan(options(broker, topic, **more), read, ["o", "k_id"]))
    assert {r["k_id"] for _, r in some} == {1, 2}
    assert set(some[0][1]) == {"o", "k_id"}


def test_upserts_and_deletes_go_there_and_back(broker, topic):
    columns = "id INT; name STRING"
    data = pa.record_batch(
        [pa.array([1, 2, 1, 2], pa.int32()), pa.array(["a", "b", "c", "b"])], names=["p", "q"]
    )
    write(sink(upsert(broker, topic), columns, ["id"]).sink, data, [INSERT, INSERT, AFTER, DELETE])
    raw = broker.read(topic)
    assert {m.key(): m.value() for m in raw} == {
        b'{"id":1}': b'{"id":1,"name":"c"}',
        b'{"id":2}': None,
    }
    found = rows(scan(upsert(broker, topic), columns, primary_key=("id",)))
    by_key = {}
    for kind, row in found:
        by_key.setdefault(row["id"], []).append((kind, row["name"]))
    assert by_key == {
        1: [("UPDATE_AFTER", "a"), ("UPDATE_AFTER", "c")],
        2: [("UPDATE_AFTER", "b"), ("DELETE", None)],
    }


def test_a_message_without_a_value_is_no_row(broker, topic):
    broker.produce(topic, [b'{"a": 1}', None, b'{"a": 3}'], keys=[b"x", b"x", b"x"])
    found = rows(scan(options(broker, topic), "a INT; o BIGINT METADATA offset"))
    assert [(r["a"], r["o"]) for _, r in found] == [(1, 0), (3, 2)]


def test_exactly_once_is_visible_behind_the_commit(broker, topic):
    exact = {"sink.delivery-guarantee": "exactly-once", "sink.transactional-id-prefix": "sql"}
    made = sink(options(broker, topic, **exact), "a INT").sink
    write(made, pa.record_batch([pa.array([7], pa.int32())], names=["a"]))
    assert [json.loads(m.value()) for m in broker.read(topic)] == [{"a": 7}]


@pytest.mark.parametrize("ends", [3, 5])
def test_reading_between_offsets(broker, topic, ends):
    broker.produce(topic, [str(i).encode() for i in range(10)], partition=0)
    more = {
        "format": "raw",
        "scan.startup.mode": "specific-offsets",
        "scan.startup.specific-offsets": "partition:0,offset:2;partition:1,offset:0",
        "scan.bounded.mode": "specific-offsets",
        "scan.bounded.specific-offsets": f"partition:0,offset:{ends};partition:1,offset:0",
    }
    found = rows(scan(options(broker, topic, **more), "line STRING"))
    assert [r["line"] for _, r in found] == [str(i) for i in range(2, ends)]


def test_partitions_that_are_far_apart_in_time_make_no_rows_late(broker, topic):
    """Each partition is in order, and the second one an hour behind the first."""
    for partition, hour in ((0, 3_600_000), (1, 0)):
        values = [{"epoch": hour + n * 1_000, "n": n} for n in range(40)]
        broker.produce(topic, [json.dumps(v).encode() for v in values], partition=partition)
    env = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    env.get_config().set("parallelism.default", "1")
    given = ", ".join(f"'{k}' = '{v}'" for k, v in options(broker, topic).items())
    env.execute_sql(
        "CREATE TABLE t (epoch BIGINT, n INT, ts AS TO_TIMESTAMP_LTZ(epoch, 3),"
        f" WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) WITH ({given})"
    )
    query = (
        "SELECT window_start, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts),"
        " INTERVAL '10' SECOND)) GROUP BY window_start, window_end"
    )
    found = env.execute_sql(query).to_arrow()
    assert found.column("c").to_pylist() == [10] * 8

"""The Kafka sink's transactions against a real broker, across kill -9 of the writer's process."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lesto.common.elements import ColumnarBatch, RowBatch
from lesto.connectors.errors import (
    KafkaRefusedError,
    ProducerFencedError,
    TransactionLostError,
    TransactionTimedOutError,
)
from lesto.connectors.kafka import (
    DeliveryGuarantee,
    KafkaRecordSerializationSchema,
    KafkaSink,
)
from lesto.connectors.kafka.client import transaction_client
from lesto.connectors.kafka.committing import decode
from lesto.connectors.kafka.transactions import NothingToEndError
from tests.kafka.driving import WriterContext

ROOT = Path(__file__).parent.parent.parent


class Process:
    """``writer_process.py``."""

    def __init__(self, broker, topic, *, prefix, attempt="1-0", subtask=0, parallelism=1,
                 timeout_ms=60_000):  # fmt: skip
        arguments = [broker.address, topic, prefix, attempt, subtask, parallelism, timeout_ms]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.kafka.writer_process", *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip

    def ask(self, *line):
        self.process.stdin.write(" ".join(map(str, line)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        return answer

    def prepare(self, checkpoint):
        answer = self.ask("prepare", checkpoint)
        assert not answer.startswith("error"), answer
        return [bytes.fromhex(c) for c in answer.split()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def prefix(topic):
    return f"p-{topic}"


def sink(broker, topic, prefix, **options):
    options.setdefault("format", "string")
    return KafkaSink(topic, broker.address, transactional_id_prefix=prefix, **options)


def commit(broker, topic, prefix, committables, **options):
    committer = sink(broker, topic, prefix, **options).create_committer()
    try:
        committer.commit(committables)
    finally:
        committer.close()


def numbers(broker, topic, **options):
    return sorted(int(m.value()) for m in broker.read(topic, **options))


def in_time(check, seconds=20):
    """Until a check holds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_a_transaction_is_committed_by_another_process_after_its_producer_was_killed(
    broker, topic, prefix
):
    with Process(broker, topic, prefix=prefix) as writer:
        assert writer.ask("write", 0, 750) == "ok"
        committables = writer.prepare(1)
        writer.kill()
    assert numbers(broker, topic) == []
    assert numbers(broker, topic, isolation="read_uncommitted") == list(range(750))
    commit(broker, topic, prefix, committables)
    in_time(lambda: numbers_are(broker, topic, range(750)))
    commit(broker, topic, prefix, committables)  # a restore commits again
    commit(broker, topic, prefix, committables)
    assert numbers(broker, topic) == list(range(750))


def numbers_are(broker, topic, expected):
    assert numbers(broker, topic) == list(expected)


def test_what_was_not_prepared_is_aborted_by_the_next_attempts_first_commit(broker, topic, prefix):
    with Process(broker, topic, prefix=prefix) as writer:
        writer.ask("write", 0, 100)
        committables = writer.prepare(1)
        writer.ask("write", 100, 200)
        writer.ask("flush")
        writer.kill()
    commit(broker, topic, prefix, committables)  # the restore
    with Process(broker, topic, prefix=prefix, attempt="1-1") as again:
        again.ask("write", 100, 150)
        second = again.prepare(2)
        # The transaction left open holds the readers back, for up to its timeout.
        assert numbers(broker, topic) == list(range(100))
        assert again.ask("commit", *(c.hex() for c in second)) == "ok"
        in_time(lambda: numbers_are(broker, topic, range(150)))


def test_an_attempt_that_writes_nothing_clears_up_too(broker, topic, prefix):
    with Process(broker, topic, prefix=prefix) as writer:
        writer.ask("write", 0, 10)
        writer.ask("flush")
        writer.kill()
    broker.produce(topic, [b"77"], partition=0)
    broker.produce(topic, [b"77"], partition=1)
    with Process(broker, topic, prefix=prefix, attempt="2-0") as again:
        committables = again.prepare(5)
        assert again.ask("commit", *(c.hex() for c in committables)) == "ok"
        in_time(lambda: numbers_are(broker, topic, [77, 77]))
        assert again.prepare(6) == [], "once is enough"


def test_open_transactions_of_a_higher_former_parallelism_are_aborted(broker, topic, prefix):
    with Process(broker, topic, prefix=prefix, subtask=3, parallelism=4) as writer:
        writer.ask("write", 0, 10)
        writer.ask("flush")
        writer.kill()
    broker.produce(topic, [b"5"] * 2, partition=0)
    with Process(broker, topic, prefix=prefix, attempt="1-1", subtask=0, parallelism=2) as other:
        committables = other.prepare(1)
        other.ask("commit", *(c.hex() for c in committables))
        with Process(broker, topic, prefix=prefix, attempt="1-1", subtask=1, parallelism=2) as own:
            committables = own.prepare(1)
            own.ask("commit", *(c.hex() for c in committables))
            in_time(lambda: numbers_are(broker, topic, [5, 5]))


def test_clearing_up_touches_neither_prepared_nor_living_transactions(broker, topic, prefix):
    """Two subtasks: the first is a checkpoint ahead and clears up; the second loses nothing."""
    with (
        Process(broker, topic, prefix=prefix, subtask=0, parallelism=2) as first,
        Process(broker, topic, prefix=prefix, subtask=1, parallelism=2) as second,
    ):
        first.ask("write", 0, 10)
        second.ask("write", 10, 20)
        one, two = first.prepare(1), second.prepare(1)
        second.ask("write", 20, 30)
        assert first.ask("commit", *(c.hex() for c in one)) == "ok"
        assert second.ask("commit", *(c.hex() for c in two)) == "ok"
        three = second.prepare(2)
        assert second.ask("commit", *(c.hex() for c in three)) == "ok"
        in_time(lambda: numbers_are(broker, topic, range(30)))


def test_a_zombie_is_fenced_and_none_of_its_records_becomes_visible(broker, topic, prefix):
    with Process(broker, topic, prefix=prefix) as zombie:
        zombie.ask("write", 0, 10)
        committables = zombie.prepare(1)
        zombie.ask("write", 10, 20)
        zombie.ask("flush")
        zombie.process.send_signal(signal.SIGSTOP)
        commit(broker, topic, prefix, committables)
        with Process(broker, topic, prefix=prefix, attempt="1-1") as again:
            again.ask("write", 10, 20)
            second = again.prepare(2)
            assert again.ask("commit", *(c.hex() for c in second)) == "ok"
        zombie.process.send_signal(signal.SIGCONT)
        answers = [zombie.ask("write", 20, 30), zombie.ask("flush"), zombie.ask("prepare", 2)]
        assert any(a.startswith("error LESTO-3025") for a in answers), answers
        in_time(lambda: numbers_are(broker, topic, range(20)))


def test_an_outage_longer_than_the_transaction_timeout_is_declared(broker, topic, prefix):
    with Process(broker, topic, prefix=prefix, timeout_ms=1_000) as writer:
        writer.ask("write", 0, 10)
        committables = writer.prepare(7)
        writer.kill()
    (committable,) = map(decode, committables)
    client = transaction_client({"bootstrap.servers": broker.address}, 10)
    try:
        in_time(lambda: aborted(client, committable.transactional_id))
    finally:
        client.close()
    with pytest.raises(TransactionLostError, match="checkpoint 7") as caught:
        commit(broker, topic, prefix, committables)
    assert committable.transactional_id in caught.value.message
    assert "transaction.timeout.ms of 1000" in caught.value.message
    assert not caught.value.retryable
    assert numbers(broker, topic) == []
    # Who knows what he restores may go on.
    commit(
        broker, topic, prefix, committables,
        properties={"lesto.restored.transactions.unknown": "ignore"},
    )  # fmt: skip


def aborted(client, transactional_id):
    assert client.describe(transactional_id).state == "CompleteAbort"


def test_a_transaction_that_timed_out_before_its_checkpoint_fails_the_checkpoint(
    broker, topic, prefix
):
    options = {"properties": {"transaction.timeout.ms": 1_000}}
    writer = sink(broker, topic, prefix, **options).create_writer(WriterContext())
    try:
        writer.write(RowBatch(["1"]))
        writer._current[2].flush()
        in_time(lambda: aborted(writer._client, writer._current[0]))
        with pytest.raises((TransactionTimedOutError, ProducerFencedError)):
            writer.prepare_commit(1)
    finally:
        writer.close()


def test_a_transaction_timeout_above_the_brokers_is_refused_by_name(broker, topic, prefix):
    options = {"properties": {"transaction.timeout.ms": 3_600_000}}
    writer = sink(broker, topic, prefix, **options).create_writer(WriterContext())
    try:
        with pytest.raises(KafkaRefusedError, match="INVALID_TRANSACTION_TIMEOUT") as caught:
            writer.write(RowBatch(["1"]))
        assert "transaction.max.timeout.ms" in caught.value.remedy
    finally:
        writer.close()


def test_transactional_ids_are_used_again_each_time_with_a_new_epoch(broker, topic, prefix):
    made = sink(broker, topic, prefix)
    writer, committer = made.create_writer(WriterContext()), made.create_committer()
    used = []
    try:
        for checkpoint in range(1, 13):
            writer.write(RowBatch([str(checkpoint)]))
            committables = writer.prepare_commit(checkpoint)
            used += map(decode, committables)
            committer.commit(committables)
    finally:
        writer.close()
        committer.close()
    assert len({c.transactional_id for c in used}) <= 6, "ids are pooled"
    assert len({(c.producer_id, c.epoch) for c in used}) == 12, "an epoch for each transaction"
    in_time(lambda: numbers_are(broker, topic, range(1, 13)))


def test_an_idle_checkpoint_opens_no_transaction(broker, topic, prefix):
    made = sink(broker, topic, prefix)
    writer, committer = made.create_writer(WriterContext()), made.create_committer()
    try:
        committer.commit(writer.prepare_commit(1))
        assert writer.prepare_commit(2) == ()
    finally:
        writer.close()
        committer.close()


@pytest.mark.parametrize("guarantee", list(DeliveryGuarantee))
def test_key_value_time_headers_partition_and_topic_arrive(broker, topic, prefix, guarantee):
    schema = pa.schema([("id", pa.int64()), ("name", pa.string())])
    made = sink(
        broker, lambda row: topic, prefix, format="json", key="name", value_columns=["id"],
        delivery_guarantee=guarantee, partition=lambda row: row.id % 2,
        headers=lambda row: [("h", b"%d" % row.id)],
    )  # fmt: skip
    data = pa.record_batch([pa.array([1, 2]), pa.array(["a", "b"])], schema=schema)
    times = np.array([1_000, 2_000], np.int64)
    writer, committer = made.create_writer(WriterContext(schema=schema)), made.create_committer()
    try:
        writer.write(ColumnarBatch(data, times))
        committables = writer.prepare_commit(1)
        assert bool(committables) == (guarantee is DeliveryGuarantee.EXACTLY_ONCE)
        if committer is not None:
            committer.commit(committables)
            committer.close()
        elif guarantee is DeliveryGuarantee.NONE:
            writer._producer.flush()
    finally:
        writer.close()

    def check():
        found = sorted(broker.read(topic), key=lambda m: m.value())
        facts = [(json.loads(m.value()), m.key(), m.partition(), m.headers()) for m in found]
        assert facts == [
            ({"id": 1}, b"a", 1, [("h", b"1")]),
            ({"id": 2}, b"b", 0, [("h", b"2")]),
        ]
        assert [m.timestamp()[1] for m in found] == [1_000, 2_000]

    in_time(check)


def test_a_record_too_large_fails_the_checkpoint_by_name(broker, topic, prefix):
    made = sink(broker, topic, prefix, delivery_guarantee="at-least-once")
    writer = made.create_writer(WriterContext())
    try:
        with pytest.raises(KafkaRefusedError, match="MSG_SIZE_TOO_LARGE"):  # noqa: PT012
            writer.write(RowBatch(["x" * 2_000_000]))
            writer.prepare_commit(1)
    finally:
        writer.close()


def test_a_topic_that_is_not_there_fails_by_name(broker, prefix):
    soon = {"topic.metadata.propagation.max.ms": 200}
    made = sink(broker, "nowhere", prefix, delivery_guarantee="at-least-once", properties=soon)
    writer = made.create_writer(WriterContext())
    try:
        with pytest.raises(KafkaRefusedError, match="nowhere"):  # noqa: PT012
            for _ in range(100):
                writer.write(RowBatch(["x"]))
                writer.prepare_commit(1)
                time.sleep(0.02)
    finally:
        writer.close()


def test_flinks_serializer_builder(broker, topic, prefix):
    from lesto.common.serialization import SimpleStringSchema

    serializer = (
        KafkaRecordSerializationSchema.builder()
        .set_topic(topic)
        .set_value_serialization_schema(SimpleStringSchema())
        .set_key_serialization_schema(SimpleStringSchema())
        .build()
    )
    made = (
        KafkaSink.builder()
        .set_bootstrap_servers(broker.address)
        .set_record_serializer(serializer)
        .set_delivery_guarantee(DeliveryGuarantee.AT_LEAST_ONCE)
        .set_property("linger.ms", "1")
        .build()
    )
    writer = made.create_writer(WriterContext())
    try:
        writer.write(RowBatch(["1", "2"]))
        writer.prepare_commit(1)
    finally:
        writer.close()
    assert sorted((m.key(), m.value()) for m in broker.read(topic)) == [(b"1", b"1"), (b"2", b"2")]


def test_a_delayed_end_of_an_old_transaction_does_not_touch_a_later_one(broker, topic, prefix):
    """Jepsen's case (KIP-890): the request arrives when its id has been used again."""
    made = sink(broker, topic, prefix)
    writer, committer = made.create_writer(WriterContext()), made.create_committer()
    client = transaction_client({"bootstrap.servers": broker.address}, 10)
    used = {}
    try:
        for checkpoint in range(1, 20):
            writer.write(RowBatch([str(checkpoint)]))
            if writer._current[0] in used:
                break
            committables = writer.prepare_commit(checkpoint)
            committer.commit(committables)
            (committable,) = map(decode, committables)
            used[committable.transactional_id] = committable
        writer._current[2].flush()
        old = used[writer._current[0]]
        for end in (client.commit, client.abort):
            with pytest.raises(NothingToEndError):
                end(old.transactional_id, old.producer_id, old.epoch)
        assert str(checkpoint) not in {m.value().decode() for m in broker.read(topic)}
        committer.commit(writer.prepare_commit(checkpoint))
        in_time(lambda: numbers_are(broker, topic, range(1, checkpoint + 1)))
    finally:
        client.close()
        writer.close()
        committer.close()

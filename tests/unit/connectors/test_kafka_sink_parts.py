"""Pure parts of the Kafka sink: names of transactions, their reuse, committables, configuration."""

import sys

import pytest

from lesto.connectors.errors import (
    ConnectorConfigError,
    MissingExtraError,
    PublishError,
    TransactionLostError,
)
from lesto.connectors.formats.avro import AvroFormat
from lesto.connectors.kafka import DeliveryGuarantee, KafkaSink, KafkaSource
from lesto.connectors.kafka.committing import (
    WRITERS,
    Committable,
    KafkaCommitter,
    LiveWriter,
    decode,
    encode,
)
from lesto.connectors.kafka.ids import Owner, is_left_over, parse
from lesto.connectors.kafka.transactional import Slots
from lesto.connectors.kafka.transactions import NothingToEndError, Transaction

JOB = "0123456789abcdef"


def owner(attempt="1-0", subtask=0, prefix="p", job=JOB, uid="sink"):
    return Owner.of(prefix, job, uid, attempt, subtask)


def test_an_id_tells_whose_it_is():
    made = owner(attempt="12-3", subtask=4, prefix="my-app-1")
    assert parse(made.transactional_id(7), "my-app-1") == made
    assert parse(made.transactional_id(7), "my-app") is None
    assert parse("my-app-1-whatever", "my-app-1") is None


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (owner("1-4"), True),
        (owner("1-9"), True),  # as numbers: 9 is before 10
        (owner("1-10"), False),
        (owner("2-0"), False),
        (owner("1-4", subtask=1), False),
        (owner("1-4", subtask=2), True),  # nobody has this index any more
        (owner("1-4", subtask=3), False),
        (owner("1-4", uid="another"), False),
        (owner("1-4", job="f" * 16), True),
        (owner("99-0", job="f" * 16), True),
    ],
)
def test_what_a_writer_clears_up(found, expected):
    mine = owner("1-10")
    assert is_left_over(found, mine, 2, foreign_jobs=True) is expected


def test_other_jobs_are_left_alone_without_a_prefix_of_the_users():
    assert not is_left_over(owner(job="f" * 16), owner("1-10"), 2, foreign_jobs=False)


def test_a_slot_is_free_when_no_recovery_can_ask_for_its_transaction():
    slots = Slots()
    assert slots.take() == 0
    first = slots.prepared()  # of slot 0
    assert slots.take() == 1
    second = slots.prepared()
    slots.committed(0)  # between the barriers 2 and 3
    slots.completed(first)
    slots.completed(second)
    assert slots.take() == 2, "checkpoints begun before the commit hold the transaction"
    third = slots.prepared()
    slots.completed(third)
    assert slots.take() == 3, "one barrier of slack: the operator forgets by mail"
    slots.completed(slots.prepared())
    assert slots.take() == 0


def test_a_slot_whose_commit_is_not_known_stays_taken():
    slots = Slots()
    slots.take()
    for _ in range(5):
        slots.completed(slots.prepared())
    assert slots.take() == 1


class Coordinator:
    """Answers as told."""

    def __init__(self, *, gone=(), opened=()):
        self.gone, self.opened = set(gone), list(opened)
        self.committed, self.fenced = [], []

    def commit(self, transactional_id, producer_id, epoch):
        if transactional_id in self.gone:
            raise NothingToEndError(47)
        self.committed.append((transactional_id, producer_id, epoch))

    def describe(self, transactional_id):
        return Transaction(transactional_id, 1, 9, "CompleteAbort")

    def open_transactions(self):
        return self.opened

    def fence(self, transactional_id):
        self.fenced.append(transactional_id)

    def close(self):
        pass


def committable(transactional_id="x", writer="nobody", prepare=1):
    return Committable(transactional_id, 5, 2, 3, 0, 60_000, writer, 0, prepare)


def test_committables_survive_their_encoding_and_garbage_is_named():
    made = committable()
    assert decode(encode(made)) == made
    with pytest.raises(PublishError):
        decode(b"\xc1")


def test_a_restored_committable_clears_up_nothing():
    """Subtasks restore side by side: what one of them must yet commit looks left over to others."""
    mine = owner("1-1")
    coordinator = Coordinator(opened=[owner("1-0").transactional_id(0)])
    KafkaCommitter(lambda: coordinator).commit([encode(committable(writer="dead"))])
    assert coordinator.fenced == []
    assert coordinator.committed == [("x", 5, 2)]
    live = LiveWriter("alive", mine, 1, foreign_jobs=True)
    WRITERS.add(live)
    try:
        committer = KafkaCommitter(lambda: coordinator)
        committer.commit([encode(committable(writer="alive"))])
        assert coordinator.fenced == [owner("1-0").transactional_id(0)]
        committer.commit([encode(committable(writer="alive", prepare=2))])
        assert len(coordinator.fenced) == 1, "once a life"
    finally:
        WRITERS.remove("alive")


def test_a_transaction_that_is_gone_is_loud_and_never_retried():
    committer = KafkaCommitter(lambda: Coordinator(gone=["x"]))
    with pytest.raises(TransactionLostError, match="checkpoint 3") as caught:
        committer.commit([encode(committable())])
    assert not caught.value.retryable


def test_only_restored_transactions_may_be_unknown():
    coordinator = Coordinator(gone=["x"])
    committer = KafkaCommitter(lambda: coordinator, ignore_unknown=True)
    committer.commit([encode(committable())])
    live = LiveWriter("alive", owner(), 1, foreign_jobs=False)
    WRITERS.add(live)
    try:
        with pytest.raises(TransactionLostError):
            committer.commit([encode(committable(writer="alive"))])
    finally:
        WRITERS.remove("alive")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bootstrap_servers": ""}, "bootstrap_servers"),
        ({"topic": None}, "topic"),
        ({"delivery_guarantee": "twice"}, "delivery_guarantee='twice'"),
        ({"properties": {"transactional.id": "x"}}, "transactional.id"),
        ({"format": "jsn"}, "did you mean 'json'"),
        ({"properties": {"security.protocol": "SASL_SSL"}}, "GSSAPI"),
        ({"properties": {"security.protocol": "carrier-pigeon"}}, "carrier-pigeon"),
        ({"properties": {"lesto.restored.transactions.unknown": "maybe"}}, "'maybe'"),
    ],
)
def test_options_that_do_not_go_together_are_named_at_once(options, message):
    given = {"topic": "t", "bootstrap_servers": "127.0.0.1:9", **options}
    with pytest.raises(ConnectorConfigError, match=message):
        KafkaSink(**given)


def test_exactly_once_is_the_default():
    made = KafkaSink("t", "127.0.0.1:9")
    assert made.guarantee is DeliveryGuarantee.EXACTLY_ONCE
    assert made.properties["transaction.timeout.ms"] == 900_000
    assert made.create_committer() is not None
    assert KafkaSink("t", "h:1", delivery_guarantee="none").create_committer() is None


@pytest.mark.parametrize(
    ("package", "extra", "build"),
    [
        ("confluent_kafka", "kafka", lambda: KafkaSink("t", "h:1")),
        ("confluent_kafka", "kafka", lambda: KafkaSource("t", "h:1")),
        ("fastavro", "avro", lambda: AvroFormat('{"type":"record","name":"R","fields":[]}')),
    ],
)
def test_a_missing_extra_names_the_pip_command(monkeypatch, package, extra, build):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError) as caught:
        build()
    assert caught.value.remedy == f"pip install 'lesto[{extra}]'"

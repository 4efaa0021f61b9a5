"""Reads what the demo's job commits and says whether each order counted exactly once.

A customer's orders are numbered 1, 2, 3, ..., and keep their order: a number that comes again is a
duplicate, one that is passed over is lost, and a count that is not the number is wrong state. The
sums of a second in `revenue` must be those of the orders of that second.

Prints a line every DEMO_SECONDS. With DEMO_ORDERS it ends when all have come, or nothing comes for
DEMO_PATIENCE seconds; exit status 1: something was not exactly once.
"""

import json
import os
import sys
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

KAFKA = os.environ.get("DEMO_KAFKA", "kafka:9092")
ORDERS = int(os.environ.get("DEMO_ORDERS", "0"))
SECONDS = float(os.environ.get("DEMO_SECONDS", "5"))
PATIENCE = float(os.environ.get("DEMO_PATIENCE", "120"))


class Ledger:
    """What has been seen of `counted` and `revenue`."""

    def __init__(self) -> None:
        self.last: Counter[str] = Counter()
        self.counted = self.lost = self.duplicated = self.wrong = 0
        self.sums: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
        self.windows: dict[int, list[int]] = {}
        self.windows_again = 0

    def order(self, value: dict, at_ms: int) -> None:
        """One record of `counted`."""
        customer, number = value["customer"], value["number"]
        before = self.last[customer]
        if number <= before:
            self.duplicated += 1
            return
        self.lost += number - before - 1
        self.last[customer] = number
        self.counted += 1
        self.wrong += value["count"] != number
        second = self.sums[at_ms // 1000]
        second[0] += 1
        second[1] += value["cents"]

    def window(self, value: dict) -> None:
        """One record of `revenue`."""
        start = datetime.fromisoformat(value["window_start"]).replace(tzinfo=UTC)
        second = int(start.timestamp())
        self.windows_again += second in self.windows
        self.windows[second] = [value["orders"], value["cents"]]

    def wrong_windows(self) -> int:
        """How many windows' sums are not those of their orders, of those whose orders are here.

        The two topics are read side by side: only seconds well before the last order are compared.
        """
        done = max(self.sums, default=0) - 10
        return sum(
            self.windows[second] != self.sums[second] for second in self.windows if second < done
        )

    def sentence(self, sent: int) -> str:
        """The verdict so far."""
        return (
            f"{sent} sent, {self.counted} counted, {self.lost} lost, {self.duplicated} duplicated, "
            f"{self.wrong} wrong counts; {len(self.windows)} windows, "
            f"{self.wrong_windows() + self.windows_again} wrong"
        )

    @property
    def exact(self) -> bool:
        """Whether nothing is wrong."""
        return not (
            self.lost or self.duplicated or self.wrong or self.wrong_windows() or self.windows_again
        )


def reader() -> Consumer:
    """Return a consumer of what is committed, from the beginning."""
    consumer = Consumer({
        "bootstrap.servers": KAFKA, "group.id": "demo-verifier", "log_level": 0,
        "isolation.level": "read_committed", "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "topic.metadata.refresh.interval.ms": 1000,
    })  # fmt: skip
    while True:  # the generator makes the topics
        try:
            known = consumer.list_topics(timeout=10).topics
        except KafkaException:
            known = {}
        if {"orders", "counted", "revenue"} <= known.keys():
            break
        time.sleep(0.5)
    consumer.assign([
        TopicPartition(topic, partition, 0)
        for topic in ("counted", "revenue")
        for partition in known[topic].partitions
    ])  # fmt: skip
    return consumer


def sent_orders(consumer: Consumer) -> int:
    """How many orders the broker has."""
    partitions = consumer.list_topics("orders", timeout=10).topics["orders"].partitions
    ends = (
        consumer.get_watermark_offsets(TopicPartition("orders", p), timeout=10) for p in partitions
    )
    return sum(end[1] for end in ends)


def take(ledger: Ledger, messages: list) -> int:
    """Put messages into the ledger; returns how many there were."""
    taken = 0
    for message in messages:
        error = message.error()
        if error is not None:
            if error.code() not in {KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT}:
                raise KafkaException(error)
            continue
        value = json.loads(message.value())
        if message.topic() == "revenue":
            ledger.window(value)
        else:
            ledger.order(value, message.timestamp()[1])
        taken += 1
    return taken


def main() -> int:
    """Read and tell."""
    consumer, ledger = reader(), Ledger()
    told = heard = time.monotonic()
    while not ORDERS or ledger.counted < ORDERS:
        now = time.monotonic()
        if take(ledger, consumer.consume(5_000, 0.2)):
            heard = now
        elif ORDERS and now - heard > PATIENCE:
            break
        if now - told >= SECONDS:
            told = now
            print(f"verifier: {ledger.sentence(sent_orders(consumer))}", flush=True)
    # A duplicate would come behind the last record.
    until = time.monotonic() + 5
    while time.monotonic() < until:
        take(ledger, consumer.consume(5_000, 0.2))
    sent = sent_orders(consumer)
    ledger.lost += sent - ledger.counted - ledger.lost
    print(f"verifier: {ledger.sentence(sent)}", flush=True)
    print(f"verifier: {'EXACTLY ONCE' if ledger.exact else 'NOT exactly once'}", flush=True)
    return 0 if ledger.exact else 1


if __name__ == "__main__":
    sys.exit(main())

"""Writes the demo's orders at a steady rate, numbered for each customer, so that losses show.

DEMO_ORDERS orders (0: without end), DEMO_RATE a second. Started again, it goes on where each
customer's last order was. Makes the demo's topics first; with --only-topics nothing else.
"""

import json
import os
import random
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

KAFKA = os.environ.get("DEMO_KAFKA", "kafka:9092")
ORDERS = int(os.environ.get("DEMO_ORDERS", "0"))
RATE = int(os.environ.get("DEMO_RATE", "1000"))
CUSTOMERS = int(os.environ.get("DEMO_CUSTOMERS", "500"))
PARTITIONS = 4
TOPICS = ("orders", "counted", "revenue")
STEP_SECONDS = 0.05
WAIT_SECONDS = 60


def make_topics() -> None:
    """Make what is not there."""
    admin = AdminClient({"bootstrap.servers": KAFKA, "log_level": 0})
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        wanted = [NewTopic(name, PARTITIONS, replication_factor=1) for name in TOPICS]
        try:
            for made in admin.create_topics(wanted, request_timeout=10).values():
                try:
                    made.result()
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                        raise
            return
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def numbers_so_far() -> list[int]:
    """Return each customer's last order number, from the topic."""
    last = [0] * CUSTOMERS
    reader = Consumer({
        "bootstrap.servers": KAFKA, "group.id": "demo-generator", "log_level": 0,
        "enable.auto.commit": False, "enable.partition.eof": True,
    })  # fmt: skip
    reader.assign([TopicPartition("orders", p, 0) for p in range(PARTITIONS)])
    ends = set()
    while len(ends) < PARTITIONS:
        for message in reader.consume(10_000, 1.0):
            if message.error() is None:
                order = json.loads(message.value())
                customer = int(order["customer"][1:])
                last[customer] = max(last[customer], order["number"])
            elif message.error().code() == KafkaError._PARTITION_EOF:
                ends.add(message.partition())
            else:
                raise KafkaException(message.error())
    reader.close()
    return last


def main() -> None:
    """Write until all are written, or until a signal."""
    stopped = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.append(True))
    make_topics()
    if sys.argv[1:] == ["--only-topics"]:
        return
    last = numbers_so_far()
    print(f"generator: {sum(last)} orders are there; {RATE} a second from here on", flush=True)
    failures = []
    producer = Producer({
        "bootstrap.servers": KAFKA, "enable.idempotence": True, "linger.ms": 5, "log_level": 0,
        "partitioner": "murmur2_random", "delivery.timeout.ms": 300_000,
        "on_delivery": lambda error, _: failures.append(error) if error else None,
    })  # fmt: skip
    begin, written, already = time.monotonic(), 0, sum(last)
    while not stopped and (not ORDERS or already + written < ORDERS):
        due = int((time.monotonic() - begin) * RATE)
        due = min(due, ORDERS - already) if ORDERS else due
        while written < due:
            customer = random.randrange(CUSTOMERS)
            order = {
                "customer": f"c{customer}",
                "number": last[customer] + 1,
                "cents": random.randrange(100, 10_000),
            }
            try:
                producer.produce("orders", json.dumps(order), order["customer"])
            except BufferError:
                producer.poll(0.1)
                continue
            last[customer] += 1
            written += 1
        producer.poll(0)
        if failures:
            sys.exit(f"generator: {failures[0]}")
        time.sleep(STEP_SECONDS)
    if producer.flush(WAIT_SECONDS) or failures:
        sys.exit(f"generator: orders were not taken: {failures[:3]}")
    print(f"generator: {already + written} orders sent in all", flush=True)


if __name__ == "__main__":
    main()

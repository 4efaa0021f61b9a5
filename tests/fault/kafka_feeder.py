"""Writes the input of ``tests/kafka/job.py`` at a rate, until its standard input is closed.

Record ``i`` has key ``i % keys`` and number ``i // keys + 1`` in that key; a key's records are all
in one partition, in order. Idempotent, so that no fault of the broker loses or doubles one. Prints
how many there are.
"""

import argparse
import json
import sys
import threading
import time

from confluent_kafka import Producer

STEP_SECONDS = 0.02
FLUSH_SECONDS_MAX = 300


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--keys", type=int, required=True)
    parser.add_argument("--rows", type=int, default=2**60)
    args = parser.parse_args()
    failures = []

    def report(error, message):
        if error is not None:
            failures.append(str(error))

    producer = Producer({
        "bootstrap.servers": args.bootstrap, "enable.idempotence": True, "linger.ms": 5,
        "delivery.timeout.ms": FLUSH_SECONDS_MAX * 1000, "queue.buffering.max.messages": 5_000_000,
        "queue.buffering.max.kbytes": 1 << 20, "on_delivery": report, "log_level": 0,
        "delivery.report.only.error": True, "partitioner": "murmur2_random",
    })  # fmt: skip
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    keys = [f"k{k}" for k in range(args.keys)]
    begin, sent = time.monotonic(), 0
    while not stop.is_set() and sent < args.rows:
        due = min(args.rows, int((time.monotonic() - begin) * args.rate))
        for i in range(sent, due):
            key = keys[i % args.keys]
            text = f'{{"id":{i},"key":"{key}","seq":{i // args.keys + 1}}}'
            while True:
                try:
                    producer.produce(args.topic, text, key)
                    break
                except BufferError:
                    producer.poll(0.1)
        sent = max(sent, due)
        producer.poll(0)
        assert not failures, failures[:3]
        time.sleep(STEP_SECONDS)
    left = producer.flush(FLUSH_SECONDS_MAX)
    assert left == 0, f"{left} records of the input are not acknowledged"
    assert not failures, failures[:3]
    print(json.dumps({"fed": sent, "seconds": time.monotonic() - begin}), flush=True)


main()

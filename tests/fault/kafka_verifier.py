"""Reads a job's output as a read_committed consumer while the job runs, and keeps a ledger.

In a process of its own, outside the engine, with SQLite. Writes how many distinct records it has
seen into the progress file. A line on standard input says how many records there are to come; when
they are seen, or nothing more comes, it prints the verdict as JSON.

lost        ids that never came.
duplicated  ids that came again.
reordered   a number of a key that came behind a larger one.
wrong_state a record whose count, kept by the job in state, is not its number in its key.
"""

import argparse
import json
import mmap
import sqlite3
import struct
import sys
import threading
import time

import msgspec
from confluent_kafka import Consumer, KafkaError, TopicPartition

#: Nothing new for this long once the input is complete: what is missing is lost.
SILENCE_SECONDS = 60


class Record(msgspec.Struct):
    id: int
    key: str
    seq: int
    count: int


class Ledger:
    """What has been seen."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("CREATE TABLE seen (id INTEGER PRIMARY KEY, at TEXT)")
        self.distinct = self.duplicated = self.reordered = self.wrong_state = 0
        self.newest = {}
        self.examples = []

    def add(self, messages):
        decode = msgspec.json.Decoder(Record).decode
        rows = []
        for m in messages:
            r = decode(m.value())
            rows.append((r.id, f"{m.partition()}:{m.offset()}"))
            before = self.newest.get(r.key, 0)
            if r.seq < before:
                self.reordered += 1
                self._example("reordered", m)
            self.newest[r.key] = max(before, r.seq)
            if r.count != r.seq:
                self.wrong_state += 1
                self._example("wrong state", m)
        self.db.execute("BEGIN")
        before = self.db.total_changes
        self.db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", rows)
        new = self.db.total_changes - before
        self.db.execute("COMMIT")
        if new != len(rows):
            self._example("duplicated among", messages[0])
        self.distinct += new
        self.duplicated += len(rows) - new

    def _example(self, what, m):
        if len(self.examples) < 5:
            place = f"{m.partition()}:{m.offset()}"
            self.examples.append(f"{what} {place} {m.value().decode()}")

    def lost(self, expected):
        """How many of the ids 0..expected-1 never came, and how many came that were never fed."""
        query = "SELECT COUNT(*) FROM seen WHERE id >= 0 AND id < ?"
        (known,) = self.db.execute(query, (expected,)).fetchone()
        return expected - known, self.distinct - known


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("ledger")
    parser.add_argument("progress")
    args = parser.parse_args()
    with open(args.progress, "wb") as file:
        file.write(bytes(8))
    with open(args.progress, "r+b") as file:
        progress = mmap.mmap(file.fileno(), 8)
    expected = []
    threading.Thread(
        target=lambda: expected.append(int(sys.stdin.readline() or 0)), daemon=True
    ).start()
    consumer = Consumer({
        "bootstrap.servers": args.bootstrap, "group.id": "verifier", "log_level": 0,
        "isolation.level": "read_committed", "enable.auto.commit": False,
        "auto.offset.reset": "error", "fetch.queue.backoff.ms": 10,
        "reconnect.backoff.max.ms": 500,
    })  # fmt: skip
    found = consumer.list_topics(args.topic, timeout=30).topics[args.topic].partitions
    consumer.assign([TopicPartition(args.topic, p, 0) for p in found])
    ledger = Ledger(args.ledger)
    heard = time.monotonic()
    while not expected or (
        ledger.distinct < expected[0] and time.monotonic() - heard < SILENCE_SECONDS
    ):
        messages = []
        for m in consumer.consume(10_000, 0.1):
            if m.error() is None:
                messages.append(m)
            elif m.error().code() == KafkaError._AUTO_OFFSET_RESET:
                raise AssertionError(m.error().str())
        if messages:
            ledger.add(messages)
            heard = time.monotonic()
            progress[:8] = struct.pack("<q", ledger.distinct)
        elif not expected:
            heard = time.monotonic()
    # A duplicate would come behind the last record.
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        messages = [m for m in consumer.consume(10_000, 0.1) if m.error() is None]
        if messages:
            ledger.add(messages)
    consumer.close()
    lost, invented = ledger.lost(expected[0])
    verdict = {
        "records": ledger.distinct, "lost": lost, "invented": invented,
        "duplicated": ledger.duplicated, "reordered": ledger.reordered,
        "wrong_state": ledger.wrong_state, "examples": ledger.examples,
    }  # fmt: skip
    print(json.dumps(verdict), flush=True)


main()

"""Judges a run of ``job.py`` from outside: own process, own ledger (SQLite), own model.

It imports nothing of Lesto. While the job runs it records each published file once, at first
sight, and whether a completed checkpoint covered it by then, and follows the job's log in storage
(``fence.py``). At the end (its standard input closes) it compares the ledger with the model and
prints one JSON object of counts. All fields of a record follow from its id, so the model knows
them: a changed byte shows as a corrupted, lost or doubled record. ``id % lanes`` is the source's
partition, ``id // lanes`` the sequence in it.

    python -m tests.fault.verifier OUTPUT CHECKPOINTS LEDGER --rows N --lanes P
"""

import argparse
import contextlib
import json
import os
import re
import sqlite3
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tests.fault.fence import Fence

KEYS = 1_000
EVENTS_PER_SECOND = 10_000
WINDOW_MS = 5_000
POLL_SECONDS = 0.02
CHECKPOINT_POLL_SECONDS = 0.005
_NAME = re.compile(r"part-\w+-\w+-(?P<subtask>\d+)-(?P<checkpoint>\d+)-(?P<number>\d+)\.\w+$")
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def scatter(ids, seed):
    """splitmix64, the published algorithm: what the generated fields are defined by."""
    z = ids.astype(np.uint64) + np.uint64((seed * _GOLDEN + _GOLDEN) & _MASK)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def model(rows, *, hot=False):
    """key number, value and event time of each id; ``hot``: nine of ten have the key of id 0."""
    ids = np.arange(rows, dtype=np.uint64)
    drawn = np.where(ids % np.uint64(10) == 0, ids, np.uint64(0)) if hot else ids
    keys = (scatter(drawn, 3) % np.uint64(KEYS)).astype(np.int64)
    values = (scatter(ids, 1) % np.uint64(100)).astype(np.int64)
    times = ids.astype(np.int64) * 1000 // EVENTS_PER_SECOND
    return keys, values, times


class Ledger:
    """What was seen, in order of sight."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, check_same_thread=False)
        self.db.executescript(
            """
            CREATE TABLE files (path TEXT PRIMARY KEY, sink TEXT, subtask INT, checkpoint_id INT,
                                number INT, size INT, mtime_ns INT, premature INT);
            CREATE TABLE running (file INT, position INT, id INT, key INT, value INT, number INT,
            total INT);
            CREATE TABLE windows (file INT, key INT, start INT, number INT, total INT);
            """
        )

    def add(self, path, sink, premature):
        """Record one published file and its rows."""
        name = _NAME.match(path.name)
        assert name is not None, f"unexpected file name {path.name}"
        stat = path.stat()
        row = (
            str(path), sink, int(name["subtask"]), int(name["checkpoint"]), int(name["number"]),
            stat.st_size, stat.st_mtime_ns, int(premature),
        )  # fmt: skip
        file = self.db.execute("INSERT INTO files VALUES (?,?,?,?,?,?,?,?)", row).lastrowid
        if sink == "running":
            with path.open() as lines:
                rows = [json.loads(line) for line in lines]
            self.db.executemany(
                "INSERT INTO running VALUES (?,?,?,?,?,?,?)",
                [
                    (file, i, r["id"], int(r["key"][4:]), r["value"], r["number"], r["total"])
                    for i, r in enumerate(rows)
                ],
            )
        else:
            table = pq.read_table(path)
            start = table["start"].cast("int64").to_pylist()
            self.db.executemany(
                "INSERT INTO windows VALUES (?,?,?,?,?)",
                [
                    (file, int(k[4:]), s, n, t)
                    for k, s, n, t in zip(
                        table["key"].to_pylist(), start, table["number"].to_pylist(),
                        table["total"].to_pylist(), strict=True,
                    )
                ],
            )  # fmt: skip
        self.db.commit()

    def records(self):
        """Records of the sink ``running`` in the order in which they were published."""
        query = (
            "SELECT id, key, value, r.number, total FROM running r JOIN files f ON f.rowid = r.file"
            " ORDER BY f.checkpoint_id, f.number, r.position"
        )
        return np.array(self.db.execute(query).fetchall(), dtype=np.int64).reshape(-1, 5)

    def premature(self):
        """Files that were seen before a checkpoint that covers them was complete."""
        return self.db.execute("SELECT count(*) FROM files WHERE premature").fetchone()[0]


class Watcher:
    """Notices files as they are published."""

    def __init__(self, output, checkpoints, ledger):
        self.output, self.checkpoints, self.ledger = output, checkpoints, ledger
        self.seen = set()
        self.latest = 0
        self.lock = threading.Lock()
        self.fence = Fence(checkpoints)

    def watch_checkpoints(self):
        """Note completed checkpoints for ever: a finished job deletes its own soon."""
        while True:
            self.latest_checkpoint()
            time.sleep(CHECKPOINT_POLL_SECONDS)

    def latest_checkpoint(self):
        """The highest number of a complete checkpoint seen so far."""
        with self.lock:
            self.fence.look()
            logged = self.fence.newest
            self.latest = max(self.latest, self._listed() if logged is None else logged)
        return self.latest

    def _listed(self):
        """By names alone: clusters without a durable log."""
        found = 0
        # Folders vanish while we look: old checkpoints, and the whole root of a finished job.
        with contextlib.suppress(FileNotFoundError):
            for job in os.scandir(self.checkpoints):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    for entry in os.scandir(job.path):
                        complete = entry.name.startswith("chk-") and os.path.exists(
                            os.path.join(entry.path, "_metadata")
                        )
                        if complete:
                            found = max(found, int(entry.name[4:]))
        return found

    def step(self):
        """Look once."""
        for sink in ("running", "windows"):
            for path in sorted((self.output / sink).glob("part-*")):
                if path not in self.seen:
                    self.seen.add(path)
                    checkpoint = int(_NAME.match(path.name)["checkpoint"])
                    # A file seen before a checkpoint that covers it is complete was published too
                    # early.
                    premature = self.latest_checkpoint() < checkpoint
                    self.ledger.add(path, sink, premature)


def judge_records(seen, rows, lanes, *, hot=False):
    """Counts over records (id, key, value, number, total) in the order in which they came."""
    keys, values, _ = model(rows, hot=hot)
    ids = seen[:, 0]
    inside = ids[(ids >= 0) & (ids < rows)]
    counts = np.bincount(inside, minlength=rows)
    wrong = (keys[inside] != seen[: len(inside), 1]) | (values[inside] != seen[: len(inside), 2])
    return {
        "lost": int((counts == 0).sum()),
        "duplicated": int((counts - 1).clip(min=0).sum()) + int(len(ids) - len(inside)),
        "corrupted": int(wrong.sum()) if len(inside) == len(ids) else len(ids),
        "reordered": _reordered(seen, lanes),
        "wrong_state": _wrong_state(seen),
    }


def judge(ledger, rows, lanes, *, hot=False):
    """Counts of everything that must not be."""
    keys, values, times = model(rows, hot=hot)
    db = ledger.db
    report = {"rows": rows, "files": db.execute("SELECT count(*) FROM files").fetchone()[0]}
    report["premature"] = ledger.premature()
    changed = 0
    for path, size, mtime in db.execute("SELECT path, size, mtime_ns FROM files"):
        now = Path(path).stat() if Path(path).exists() else None
        changed += now is None or (now.st_size, now.st_mtime_ns) != (size, mtime)
    report["changed_after_publishing"] = changed

    report.update(judge_records(ledger.records(), rows, lanes, hot=hot))
    report.update(_judge_windows(db, keys, values, times))
    return report


def _reordered(seen, lanes):
    """Records of one key and source lane that came out of order, as published and as processed."""
    bad = 0
    for by_state in (False, True):
        part = seen[np.lexsort((seen[:, 3], seen[:, 1]))] if by_state else seen
        group = part[:, 1] * lanes + part[:, 0] % lanes
        index = np.argsort(group, kind="stable")
        g, i = group[index], part[index, 0]
        bad += int(((g[1:] == g[:-1]) & (i[1:] <= i[:-1])).sum())
    return bad


def _wrong_state(seen):
    """Records whose count or total is not that of a state updated once per record."""
    part = seen[np.lexsort((seen[:, 3], seen[:, 1]))]
    if not len(part):
        return 0
    first = np.r_[True, part[1:, 1] != part[:-1, 1]]
    start = np.maximum.accumulate(np.where(first, np.arange(len(part)), 0))
    number = np.arange(len(part)) - start + 1
    sums = np.cumsum(part[:, 2])
    total = sums - (sums[start] - part[start, 2])
    return int(((number != part[:, 3]) | (total != part[:, 4])).sum())


def _judge_windows(db, keys, values, times):
    expected = {}
    windows = times // WINDOW_MS * WINDOW_MS
    group = keys * (10**13) + windows
    unique, inverse = np.unique(group, return_inverse=True)
    number = np.bincount(inverse)
    total = np.bincount(inverse, weights=values).astype(np.int64)
    for g, n, t in zip(unique.tolist(), number.tolist(), total.tolist(), strict=True):
        expected[(g // 10**13, g % 10**13)] = (n, t)
    lost, duplicated, wrong = set(expected), 0, 0
    for key, start, n, t in db.execute("SELECT key, start, number, total FROM windows"):
        where = (key, start)
        if where not in lost:
            duplicated += 1
            continue
        lost.discard(where)
        wrong += expected[where] != (n, t)
    return {"windows_lost": len(lost), "windows_duplicated": duplicated, "windows_wrong": wrong}


def main():
    """Watch until standard input closes, then judge."""
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("checkpoints", type=Path)
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--lanes", type=int, required=True)
    parser.add_argument("--hot", action="store_true")
    args = parser.parse_args()
    watcher = Watcher(args.output, args.checkpoints, Ledger(args.ledger))
    closed = threading.Event()

    def wait_for_end():
        sys.stdin.read()
        closed.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    threading.Thread(target=watcher.watch_checkpoints, daemon=True).start()
    while not closed.is_set():
        begin = time.monotonic()
        watcher.step()
        # A long run has many files: looking takes a quarter of a core at most.
        time.sleep(max(POLL_SECONDS, 3 * (time.monotonic() - begin)))
    watcher.step()
    report = judge(watcher.ledger, args.rows, args.lanes, hot=args.hot)
    stale = watcher.fence.verdict()
    report.update(stale_writes=len(stale), stale_names=stale[:10], epochs=watcher.fence.epochs)
    print(json.dumps(report))


if __name__ == "__main__":
    main()

"""Rescaling in place over topologies and parallelisms (T19).

    python -m tests.fault.rescale_matrix

Each case holds a bounded job in its middle, rescales it there, lets it end, and compares what the
sink published with a plain model: each record counted once, in its key's order, the counts of each
key 1..n without a gap (so each key group's state is in one place, whole). A gate file holds the
source; nothing depends on time.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.minicluster import MiniCluster
from lesto.common import Configuration, Time, WatermarkStrategy
from lesto.datastream import (
    KeyedProcessFunction,
    MapFunction,
    ProcessWindowFunction,
    StreamExecutionEnvironment,
)
from lesto.datastream.state import ListStateDescriptor, ValueStateDescriptor
from lesto.datastream.window import TumblingEventTimeWindows
from tests.golden.harness import Stage, environment, finish, published, wait_for, write

BATCHES = 24  # of each split
SPLITS = 6
#: Event times of a split, one a record; all splits have the same.
SPAN = BATCHES * 4
WINDOW = 10
TIME = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(
    lambda value, _: value[1] % SPAN
)


@dataclass(frozen=True)
class Case:
    """One cell of the matrix.

    Attributes:
        topology: ``pipeline``, ``union``, ``windows`` or ``forward``.
        start: parallelism at the start.
        then: parallelisms it is rescaled to.
        keys: number of keys; fewer than subtasks leave some without any.
        max_parallelism: key groups; few leave empty ranges.
        skew: share of records with the first key.
        backend: of keyed state.
    """

    topology: str
    start: int
    then: tuple[int, ...]
    keys: int = 40
    max_parallelism: int = 128
    skew: float = 0.0
    backend: str = "hashmap"

    def __str__(self):
        steps = "-".join(map(str, (self.start, *self.then)))
        return f"{self.topology}-{steps}-k{self.keys}-m{self.max_parallelism}-{self.backend}"


#: Those of the suite: each topology, both directions, both backends, and the edges.
SHORT = (
    Case("pipeline", 1, (2,)),
    Case("pipeline", 2, (3, 1), backend="rocksdb"),
    Case("union", 3, (2,)),
    Case("windows", 2, (3,), backend="rocksdb"),
    Case("forward", 3, (1, 2)),
    Case("pipeline", 2, (3,), keys=2),  # more subtasks than keys
    Case("pipeline", 3, (2,), max_parallelism=3),  # one key group a subtask, then uneven ranges
    Case("union", 1, (3,), skew=0.9),
)
_PAIRS = ((1, 2), (2, 1), (2, 3), (3, 2), (3, 5), (5, 3), (1, 7), (7, 1), (6, 7), (7, 4))
LONG = (
    *(Case(t, a, (b,)) for t in ("pipeline", "union", "windows") for a, b in _PAIRS[:8]),
    Case("pipeline", 6, (7, 4), backend="rocksdb"),
    Case("windows", 7, (4, 5), backend="rocksdb"),
    Case("pipeline", 2, (7,), keys=3, backend="rocksdb"),
    Case("pipeline", 7, (5, 6), max_parallelism=7),
    Case("union", 4, (6,), skew=0.9, backend="rocksdb"),
    Case("forward", 5, (2, 7)),
)


class Number(KeyedProcessFunction):
    """Numbers the records of a key, in value state, and keeps the last three in list state."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count"))
        self.last = runtime_context.get_list_state(ListStateDescriptor("last"))

    def process_element(self, value, ctx):
        number = (self.count.value() or 0) + 1
        self.count.update(number)
        kept = [*(self.last.get() or ()), value[1]][-3:]
        self.last.update(kept)
        yield value[0], value[1], number, tuple(kept)


class Gathered(ProcessWindowFunction):
    """Key, start and records of a window."""

    def process(self, key, context, elements):
        yield key, context.window().start, tuple(sorted(e[1] for e in elements))


class Same(MapFunction):
    """A task that exchanges its records one to one."""

    def map(self, value):
        return value


def records(case, source):
    """(key, id) of one source, cut into splits of batches."""
    splits = []
    for split in range(SPLITS):
        rows = []
        for position in range(SPAN):
            number = (source * SPLITS + split) * SPAN + position
            hot = case.skew and number % 100 < case.skew * 100
            rows.append((f"k{0 if hot else number * 7 % case.keys}", number))
        splits.append([rows[i : i + 4] for i in range(0, len(rows), 4)])
    return splits


def sources_of(case):
    """How many the topology has."""
    return 2 if case.topology == "union" else 1


def build(case, stage):
    """The stream of results."""
    time = TIME if case.topology == "windows" else None
    streams = [
        stage.source(records(case, i), name=f"gated-{i}", strategy=time)
        for i in range(sources_of(case))
    ]
    if case.topology == "forward":
        # Not chained, so that its forward edges connect tasks.
        return streams[0].map(Same()).disable_chaining()
    merged = streams[0].union(*streams[1:]) if streams[1:] else streams[0]
    keyed = merged.key_by(lambda v: v[0])
    if case.topology == "windows":
        return keyed.window(TumblingEventTimeWindows.of(Time.milliseconds(WINDOW))).process(
            Gathered()
        )
    return keyed.process(Number())


def problems(case, results):
    """What is wrong with what was published; empty: nothing."""
    given = [v for i in range(sources_of(case)) for s in records(case, i) for b in s for v in b]
    if case.topology == "windows":
        return window_problems(given, results)
    found = Counter((r[0], r[1]) for r in results)
    out = []
    if found != Counter(given):
        lost, extra = Counter(given) - found, found - Counter(given)
        out.append(f"{lost.total()} lost, {extra.total()} doubled")
    if case.topology == "forward":
        return out
    numbered = defaultdict(dict)
    for key, record, number, kept in results:
        numbered[key][number] = (record, kept)
    for key, by_number in numbered.items():
        if sorted(by_number) != list(range(1, len(by_number) + 1)):
            out.append(f"the counts of {key} have gaps")
            continue
        order = [by_number[n][0] for n in sorted(by_number)]
        last_of_split = {}
        for position, record in enumerate(order):
            split = record // SPAN
            if record <= last_of_split.get(split, -1):
                out.append(f"{key}: {record} out of order")
            last_of_split[split] = record
            if by_number[position + 1][1] != tuple(order[max(0, position - 2) : position + 1]):
                out.append(f"{key}: list state is wrong at {position + 1}")
    return out


def window_problems(given, results):
    """Each window of each key once, with all its records."""
    model = defaultdict(list)
    for key, record in given:
        model[key, record % SPAN // WINDOW * WINDOW].append(record)
    wanted = Counter((key, start, tuple(sorted(ids))) for (key, start), ids in model.items())
    found = Counter(results)
    return [f"{(wanted - found).total()} lost, {(found - wanted).total()} wrong"] * (
        wanted != found
    )


def run(case, cluster, folder):
    """One case; its pauses in ms. Raises AssertionError when the sink is wrong."""
    options = {
        "state.backend.type": case.backend,
        "execution.checkpointing.interval": "100 ms",
    }
    env: StreamExecutionEnvironment = environment(cluster, parallelism=case.start, **options)
    env.set_max_parallelism(case.max_parallelism)
    marker, gate, output = folder / "marker", folder / "gate", folder / "out"
    stage = Stage(env, folder, hold=0.5, marker=marker, release=gate)
    write(build(case, stage), output, "text")
    pauses = []
    with (
        env.execute_async(str(case)) as job,
        JobManagerClient(cluster.address, cluster.token) as client,
    ):
        wait_for(lambda: published(output, "text"), job, what="results")
        for width in case.then:
            pauses.append(client.rescale(job.job_id, width).pause_ms)
            assert {v.parallelism for v in client.job(job.job_id).vertices} == {width}
        gate.touch()
        details = finish(job)
    assert details.summary.restarts == 0
    wrong = problems(case, published(output, "text"))
    assert not wrong, f"{case}: {wrong[:5]}"
    assert not list(output.glob(".pending/*")), "files left unpublished"
    return pauses


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=7)
    args = parser.parse_args()
    failed = 0
    with MiniCluster(Configuration.from_dict({"log.level": "ERROR"}), slots=args.slots) as cluster:
        cluster.wait_ready()
        for case in LONG:
            begin = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="lesto-rescale-") as folder:
                try:
                    words = f"exact, paused {run(case, cluster, Path(folder))} ms"
                except AssertionError as error:
                    failed, words = failed + 1, f"VIOLATED: {error}"
            print(f"{case}: {words} ({time.monotonic() - begin:.1f} s)", flush=True)
    print(f"{len(LONG) - failed} of {len(LONG)} cases exact")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

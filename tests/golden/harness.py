"""Runs one job three ways and compares what reached the sink with a plain Python model.

Straight at parallelism 1; then at parallelism 2 with frequent checkpoints until it is stopped in
the middle (with a savepoint, or cancelled); then restored at parallelism 3 and run to the end.
"""

import csv
import json
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from lesto.client.job_client import JobStatus, failure_error
from lesto.client.run_options import RunOptions
from lesto.common import Configuration, WatermarkStrategy
from lesto.connectors.files import Encoder, FileSink
from lesto.datastream import StreamExecutionEnvironment
from tests.golden.gated_source import GatedSource

SLOTS = 3
WAIT_SECONDS = 90  # of a busy machine
CHECKPOINT_INTERVAL = "60 ms"
_LITERALS = {"__builtins__": {}, "inf": math.inf, "nan": math.nan}


def environment(cluster, *, parallelism=1, savepoint="", **options):
    """An environment that submits to the cluster; a failure ends its jobs unless told else."""
    values = {
        "security.token": cluster.token,
        "restart-strategy.type": "none",
        "execution.checkpointing.interval": "0 ms",
        **options,
    }
    run = RunOptions(jobmanager=cluster.address, parallelism=parallelism, savepoint=savepoint)
    return StreamExecutionEnvironment(Configuration.from_dict(values), run)


@dataclass
class Stage:
    """One of the three runs: what a job needs to build itself."""

    env: StreamExecutionEnvironment
    folder: Path
    hold: float | None = None
    pause_ms: int = 0
    marker: Path | None = None
    release: Path | None = None

    @property
    def held(self):
        """Whether this run is to be stopped before its end."""
        return self.hold is not None

    def source(self, splits, *, schema=None, strategy=None, name="gated"):
        """A stream of gated splits: each a list of batches of records."""
        marker = ""
        if self.marker is not None:
            folder = self.marker / name
            folder.mkdir(parents=True, exist_ok=True)
            marker = str(folder)
        source = GatedSource(
            splits,
            hold=self.hold,
            pause_ms=self.pause_ms,
            marker=marker,
            schema=schema,
            release=str(self.release or ""),
        )
        strategy = strategy or WatermarkStrategy.no_watermarks()
        return self.env.from_source(source, strategy, name).name(name)


class Brake:
    """Makes a source that ends by itself slow, so that there is a middle to stop in."""

    def __init__(self, stage, milliseconds):
        self.seconds = milliseconds / 1000 if stage.held else 0

    def __call__(self, value):
        if self.seconds:
            time.sleep(self.seconds)
        return True


@dataclass(frozen=True)
class Golden:
    """A job and its model.

    Attributes:
        build: from a Stage to the stream of results.
        expected: results by the model.
        sink: ``text`` for rows (a repr a line), or a format of columns.
        backends: state backend of the run that is stopped, and of the restored one.
        view: from results to what is compared, where the order of a key's records is open.
        middle: share of the expected results to see before stopping.
        hold: share of each split at which the gated source waits for ever when stopped.
        at_hold: stop exactly at the hold instead of while data flows.
        from_checkpoint: cancel, and restore from the retained checkpoint, instead of a savepoint.
        collect: take the straight run's results by execute_and_collect.
        max_parallelism: key groups; None: derived.
        pause_ms: between batches while the run is to be stopped.
        end_pause_ms: between batches of the other runs.
        options: of all three runs.
    """

    name: str
    build: Callable[[Stage], Any]
    expected: Callable[[], list[Any]]
    sink: str = "text"
    backends: tuple[str, str] = ("hashmap", "hashmap")
    view: Callable[[list[Any]], list[Any]] = list
    middle: float = 0.15
    hold: float = 0.8
    at_hold: bool = False
    from_checkpoint: bool = False
    collect: bool = False
    max_parallelism: int | None = None
    pause_ms: int = 6
    end_pause_ms: int = 0
    options: dict[str, str] = field(default_factory=dict)

    def __str__(self):
        return self.name


def plain(value):
    """Rows and lists as tuples, all the way down."""
    if isinstance(value, dict):
        return tuple(plain(v) for v in value.values())
    if isinstance(value, (list, tuple)):
        return tuple(plain(v) for v in value)
    return value


def counted(results):
    """A multiset that tells 1 from 1.0 and True."""
    return Counter(repr(plain(r)) for r in results)


def published(output, sink):
    """The records in the published files."""
    found = []
    for path in sorted(Path(output).glob("part-*")):
        match sink:
            case "text":
                text = path.read_text("utf-8")
                found += [eval(line, {**_LITERALS}) for line in text.split("\n") if line]
            case "parquet":
                found += pq.read_table(path).to_pylist()
            case "jsonl":
                found += [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            case "csv":
                with path.open(newline="") as file:
                    found += list(csv.DictReader(file))
    return [plain(record) for record in found]


def write(stream, output, sink):
    """End the stream in a file sink."""
    if sink == "text":
        text = FileSink.for_row_format(str(output), Encoder.simple_string_encoder()).build()
        return stream.map(lambda value: repr(_untyped(value))).sink_to(text)
    return stream.sink_to(FileSink(str(output), sink))


def _untyped(value):
    if isinstance(value, (list, tuple)):
        return tuple(_untyped(v) for v in value)
    return value


def wait_for(condition, job=None, seconds=WAIT_SECONDS, what="condition"):
    """Poll until it holds; fail at once when the job fails meanwhile."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if job is not None:
            status = job.status()
            if status is JobStatus.FAILED:
                error = failure_error(job.client.job(job.job_id))
                raise AssertionError(f"{error}\n{error.full_traceback}")
            assert not status.is_globally_terminal_state(), f"{status} while waiting for {what}"
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.01)
    return value


def stop(job, folder):
    """Stop with a savepoint, without drain; its path. Says why when the job failed instead."""
    try:
        path = job.stop_with_savepoint(False, str(folder)).result(WAIT_SECONDS)
    except Exception as error:
        failures = job.client.job(job.job_id).failures
        told = "\n".join(f.failure.full_traceback or f.failure.message for f in failures)
        raise AssertionError(f"{error}\n{told}") from error
    assert job.status() is JobStatus.FINISHED
    return path


def finish(job):
    """Wait for the job's end; its details."""
    try:
        return job.wait().details
    except Exception as error:
        trace = getattr(error, "full_traceback", "")
        raise AssertionError(f"{error}\n{trace}") from error


class Run:
    """The three ways of one job."""

    def __init__(self, cluster, golden, folder):
        self.cluster = cluster
        self.golden = golden
        self.folder = folder
        self.expected = counted(golden.expected())
        self.size = sum(self.expected.values())

    def _stage(self, name, parallelism, backend, *, savepoint="", interval="0 ms", **stage):
        golden = self.golden
        options = {
            "state.backend.type": backend,
            "execution.checkpointing.interval": interval,
            **golden.options,
        }
        env = environment(self.cluster, parallelism=parallelism, savepoint=savepoint, **options)
        if golden.max_parallelism:
            env.set_max_parallelism(golden.max_parallelism)
        return Stage(env, self.folder, **stage), f"{golden.name}-{name}"

    def check(self, results):
        """Compare with the model."""
        actual = counted(self.golden.view(results))
        missing, extra = self.expected - actual, actual - self.expected
        assert actual == self.expected, (
            f"{sum(missing.values())} missing: {list(missing.items())[:5]}\n"
            f"{sum(extra.values())} too many: {list(extra.items())[:5]}"
        )

    def straight(self):
        """To the end at parallelism 1."""
        golden = self.golden
        stage, name = self._stage("straight", 1, golden.backends[0], pause_ms=golden.end_pause_ms)
        stream = golden.build(stage)
        if golden.collect:
            with stream.execute_and_collect(name) as rows:
                self.check([plain(row) for row in rows])
            return
        output = self.folder / "straight"
        write(stream, output, golden.sink)
        finish(stage.env.execute_async(name))
        self.check(published(output, golden.sink))

    def stopped(self):
        """At parallelism 2, ended in the middle; the path to restore from."""
        golden = self.golden
        marker = self.folder / "marker"
        stage, name = self._stage(
            "stopped", 2, golden.backends[0], interval=CHECKPOINT_INTERVAL,
            hold=golden.hold, pause_ms=golden.pause_ms, marker=marker,
        )  # fmt: skip
        output = self.folder / "restored"
        write(golden.build(stage), output, golden.sink)
        job = stage.env.execute_async(name)
        with job:
            least = max(1, int(self.size * golden.middle))
            wait_for(
                lambda: len(published(output, golden.sink)) >= least, job, what=f"{least} results"
            )
            if golden.at_hold:
                wait_for(lambda: _all_marked(marker), job, what="the source at its hold")
            path = self._end(job)
        seen = len(published(output, golden.sink))
        assert least <= seen < self.size, f"{seen} of {self.size} results when stopped"
        return path

    def rescaled(self):
        """At parallelism 2, 3, 1 of one job that never stops."""
        golden = self.golden
        gate = self.folder / "gate"
        stage, name = self._stage(
            "rescaled", 2, golden.backends[0], interval=CHECKPOINT_INTERVAL,
            hold=golden.hold, pause_ms=golden.pause_ms, release=gate,
        )  # fmt: skip
        output = self.folder / "rescaled"
        write(golden.build(stage), output, golden.sink)
        with stage.env.execute_async(name) as job:
            least = max(1, int(self.size * golden.middle))
            wait_for(
                lambda: len(published(output, golden.sink)) >= least, job, what=f"{least} results"
            )
            for width in (3, 1):
                answer = job.client.rescale(job.job_id, width)
                assert set(answer.vertices.values()) <= {width, 1}, answer
            gate.touch()
            details = finish(job)
        assert details.summary.restarts == 0
        assert {v.parallelism for v in details.vertices} == {1}
        self.check(published(output, golden.sink))

    def _end(self, job):
        if self.golden.from_checkpoint:
            job.cancel_and_wait()
            assert job.status() is JobStatus.CANCELED
            return job.client.job(job.job_id).checkpoints.latest_completed.path
        return stop(job, self.folder / "savepoints")

    def restored(self, path):
        """At parallelism 3 from ``path`` to the end."""
        golden = self.golden
        stage, name = self._stage(
            "restored", 3, golden.backends[1], savepoint=path, pause_ms=golden.end_pause_ms
        )
        output = self.folder / "restored"
        write(golden.build(stage), output, golden.sink)
        details = finish(stage.env.execute_async(name))
        assert details.checkpoints.restored == 1, details.checkpoints
        assert details.checkpoints.latest_restored.path.rstrip("/").endswith(Path(path).name)
        self.check(published(output, golden.sink))
        if not golden.from_checkpoint:  # a cancelled job leaves what it had not published
            assert not list(output.glob(".pending/*")), "files left unpublished"


def _all_marked(marker):
    folders = list(marker.iterdir())
    return folders and all(any(f.iterdir()) for f in folders)


def batches(records, rows):
    """Lists of ``rows`` records."""
    return [records[i : i + rows] for i in range(0, len(records), rows)]


def split_by_key(records, key, splits, rows):
    """Splits such that a key's records are in one of them, in order, cut into batches."""
    keys = sorted({repr(key(r)) for r in records})
    place = {k: i % splits for i, k in enumerate(keys)}
    parts = [[] for _ in range(splits)]
    for record in records:
        parts[place[repr(key(record))]].append(record)
    return [batches(part, rows) for part in parts]


def deal(records, splits, rows):
    """Splits that take the records in turn, cut into batches."""
    return [batches(records[i::splits], rows) for i in range(splits)]

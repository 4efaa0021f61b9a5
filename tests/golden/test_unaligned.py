"""Unaligned checkpoints under backpressure: ended in the middle, restored at other parallelisms.

The consumers are slow and the channels small, so that the checkpoint a job goes on from has
in-flight data; the sink must have what a plain Python model says all the same.
"""

import dataclasses
import time
from types import SimpleNamespace

import pytest

from lesto.client.job_client import JobStatus
from lesto.common.errors import LestoError
from lesto.datastream import MapFunction
from tests.golden import columnar_jobs, window_jobs
from tests.golden.harness import (
    CHECKPOINT_INTERVAL,
    Golden,
    Run,
    Stage,
    environment,
    finish,
    published,
    split_by_key,
    wait_for,
    write,
)
from tests.golden.row_jobs import Concatenate

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("one cluster serves all golden tests; its end is checked there"),
]
UNALIGNED = {
    "execution.checkpointing.unaligned.enabled": "true",
    "taskmanager.network.channel-credit": "4 kb",
    "taskmanager.batch.bytes": "1 kb",
}
PAIRS = [(f"k{i * 7 % 23}", i) for i in range(2_400)]


class Slow(MapFunction):
    """Takes its time a record, while the run is to be ended."""

    def __init__(self, stage, milliseconds):
        self.seconds = milliseconds / 1000 if stage.held else 0

    def map(self, value):
        if self.seconds:
            time.sleep(self.seconds)
        return value


def ordered(stage):
    """Slow and sensitive to the order within a key, behind one hash edge and before another."""
    source = stage.source(split_by_key(PAIRS, lambda r: r[0], 3, 40))
    folded = source.key_by(lambda r: r[0]).map(Slow(stage, 1)).key_by(lambda r: r[0])
    return folded.reduce(Concatenate())


def ordered_model():
    last, out = {}, []
    for key, value in PAIRS:
        last[key] = last[key] * 3 % 1_000_003 + value if key in last else value
        out.append((key, last[key]))
    return out


def united(stage):
    """Two sources into one keyed operator, and a stream that has no order at all."""
    half = [r for r in PAIRS if int(r[0][1:]) % 2]
    rest = [r for r in PAIRS if not int(r[0][1:]) % 2]
    one = stage.source(split_by_key(half, lambda r: r[0], 2, 40), name="odd")
    two = stage.source(split_by_key(rest, lambda r: r[0], 2, 40), name="even")
    keyed = one.union(two).key_by(lambda r: r[0]).reduce(Concatenate())
    return keyed.rebalance().map(Slow(stage, 1)).union(one.shuffle().map(lambda r: ("raw", r[1])))


def united_model():
    return ordered_model() + [("raw", v) for k, v in PAIRS if int(k[1:]) % 2]


ORDERED = Golden("unaligned_ordered", ordered, ordered_model, from_checkpoint=True, hold=0.9)
UNITED = Golden("unaligned_united", united, united_model, from_checkpoint=True, hold=0.9)


def slowed(golden, milliseconds, **changes):
    """The same job; its last task takes its time a result."""

    def build(stage):
        stream = golden.build(stage)
        return stream.map(Slow(stage, milliseconds))

    return dataclasses.replace(
        golden, name=f"unaligned_{golden.name}", build=build, sink="text", **changes
    )


WINDOWS = {golden.name: golden for golden in (*window_jobs.JOBS, *columnar_jobs.JOBS)}


def until_in_flight(job):
    """Wait for a complete checkpoint with in-flight data; its statistics."""

    def look():
        latest = job.client.job(job.job_id).checkpoints.latest_completed
        return latest if latest.in_flight_bytes > 0 else None

    return wait_for(look, job, what="a checkpoint with in-flight data")


def ended_in_the_middle(cluster, golden, output, folder, *, parallelism, savepoint="", options):
    """Run with unaligned checkpoints until one has in-flight data, cancel; where to go on from."""
    values = {"execution.checkpointing.interval": CHECKPOINT_INTERVAL, **options}
    env = environment(cluster, parallelism=parallelism, savepoint=savepoint, **values)
    if golden.max_parallelism:
        env.set_max_parallelism(golden.max_parallelism)
    write(golden.build(Stage(env, folder, hold=golden.hold)), output, golden.sink)
    with env.execute_async(f"{golden.name}-{parallelism}") as job:
        seen = len(published(output, golden.sink))
        until_in_flight(job)
        wait_for(lambda: len(published(output, golden.sink)) > seen, job, what="results")
        until_in_flight(job)
        job.cancel_and_wait()
        assert job.status() is JobStatus.CANCELED
        return job.client.job(job.job_id).checkpoints.latest_completed


def to_the_end(cluster, golden, output, folder, *, parallelism, savepoint, options):
    env = environment(cluster, parallelism=parallelism, savepoint=savepoint, **options)
    if golden.max_parallelism:
        env.set_max_parallelism(golden.max_parallelism)
    write(golden.build(Stage(env, folder)), output, golden.sink)
    finish(env.execute_async(f"{golden.name}-{parallelism}"))


def chain(cluster, golden, folder, widths, options):
    """Ended in the middle at every parallelism but the last, where it ends; the results."""
    options = {**UNALIGNED, **golden.options, **options}
    output, path = folder / "out", ""
    for width in widths[:-1]:
        latest = ended_in_the_middle(
            cluster, golden, output, folder, parallelism=width, savepoint=path, options=options
        )
        assert latest.unaligned
        path = latest.path
    to_the_end(
        cluster, golden, output, folder, parallelism=widths[-1], savepoint=path, options=options
    )
    return published(output, golden.sink)


@pytest.mark.parametrize(
    ("golden", "widths"),
    [(ORDERED, (2, 3, 1)), (ORDERED, (1, 2, 3)), (UNITED, (2, 3, 1))],
    ids=str,
)
def test_in_flight_data_survives_at_another_parallelism(cluster, tmp_path, golden, widths):
    results = chain(cluster, golden, tmp_path, widths, {})
    Run(cluster, golden, tmp_path).check(results)


def test_a_job_is_rescaled_in_place_while_data_is_in_flight(cluster, jobmanager, tmp_path):
    options = {**UNALIGNED, "execution.checkpointing.interval": CHECKPOINT_INTERVAL}
    env = environment(cluster, parallelism=2, **options)
    stage = Stage(env, tmp_path)
    source = stage.source(split_by_key(PAIRS, lambda r: r[0], 3, 40))
    slow = Slow(SimpleNamespace(held=True), 1)
    keyed = source.key_by(lambda r: r[0]).map(slow).key_by(lambda r: r[0])
    write(keyed.reduce(Concatenate()), tmp_path / "out", "text")
    with env.execute_async("rescaled") as job:
        until_in_flight(job)
        jobmanager.rescale(job.job_id, 3)
        details = finish(job)
    assert details.checkpoints.restored == 1
    Run(cluster, ORDERED, tmp_path).check(published(tmp_path / "out", "text"))


def forwarded(stage):
    """One to one into a task of its own."""
    source = stage.source(split_by_key(PAIRS, lambda r: r[0], 3, 40))
    return source.map(Slow(stage, 1)).disable_chaining().map(tuple)


FORWARDED = Golden("unaligned_forward", forwarded, lambda: PAIRS, from_checkpoint=True, hold=0.9)
FORCED = {"execution.checkpointing.unaligned.forced": "true"}


def test_a_forward_edge_takes_part_when_forced_and_restores_at_the_same_parallelism(
    cluster, tmp_path
):
    results = chain(cluster, FORWARDED, tmp_path, (2, 2), FORCED)
    Run(cluster, FORWARDED, tmp_path).check(results)


def test_data_of_a_forward_edge_does_not_restore_at_another_parallelism(cluster, tmp_path):
    options = {**UNALIGNED, **FORCED}
    latest = ended_in_the_middle(
        cluster, FORWARDED, tmp_path / "out", tmp_path, parallelism=2, options=options
    )
    with pytest.raises(AssertionError, match=r"forward edge to .*had 2 subtasks.*LESTO-5103"):
        to_the_end(
            cluster, FORWARDED, tmp_path / "out", tmp_path,
            parallelism=3, savepoint=latest.path, options=options,
        )  # fmt: skip


def test_unaligned_checkpoints_are_taken_one_at_a_time(cluster, tmp_path):
    two = {**UNALIGNED, "execution.checkpointing.max-concurrent-checkpoints": "2"}
    env = environment(cluster, **two)
    write(Stage(env, tmp_path).source([[[1]]]), tmp_path / "out", "text")
    with pytest.raises(LestoError, match="one checkpoint at a time"):
        env.execute_async("two at a time")


def test_a_timeout_lets_an_aligned_checkpoint_go_on_unaligned(cluster, tmp_path):
    timed = {"execution.checkpointing.aligned-checkpoint-timeout": "30 ms"}
    results = chain(cluster, ORDERED, tmp_path, (2, 2), timed)
    Run(cluster, ORDERED, tmp_path).check(results)


@pytest.mark.parametrize(
    ("golden", "widths"),
    [
        (slowed(WINDOWS["columnar_tumbling"], 3), (2, 3)),
        (slowed(WINDOWS["sliding"], 3), (2, 1)),
        # What is late is exact only at the same parallelism: else event time waits for the slowest.
        (slowed(WINDOWS["late"], 3, hold=0.9), (2, 2)),
    ],
    ids=str,
)
def test_windows_fire_once_although_their_records_and_watermarks_were_in_flight(
    cluster, tmp_path, golden, widths
):
    results = chain(cluster, golden, tmp_path, widths, {})
    Run(cluster, golden, tmp_path).check(results)

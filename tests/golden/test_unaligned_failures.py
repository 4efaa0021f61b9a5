"""Failures by script while in-flight data is under way, as Flink's UnalignedCheckpointITCase.

Tiny channels, frequent unaligned checkpoints, consumers slower than the sources; a failure in the
function, in one of its timers, in the sink's part of a snapshot, while a task opens during a
recovery, and in a function's close behind another failure. The sink must have what the model says,
and there must be as many restarts as the script has failures.
"""

import contextlib
import os
import time
from pathlib import Path

import pytest

from lesto.connectors.files import Encoder, FileSink
from lesto.datastream import KeyedProcessFunction
from tests.golden.harness import (
    Stage,
    counted,
    environment,
    finish,
    published,
    split_by_key,
    wait_for,
)
from tests.golden.row_jobs import Concatenate
from tests.golden.test_unaligned import PAIRS, UNALIGNED, ordered_model, until_in_flight

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("one cluster serves all golden tests; its end is checked there"),
]
OPTIONS = {
    **UNALIGNED,
    "execution.checkpointing.interval": "50 ms",
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "100",
    "restart-strategy.fixed-delay.delay": "10 ms",
}


class ScriptedError(Exception):
    """A failure that the test asked for."""


def stumble(folder, where):
    """Fail once for the file ``where``."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, where))
        raise ScriptedError(where)


class Stumbling(KeyedProcessFunction):
    """Slow, and fails where the script says; a timer a record, a moment later."""

    def __init__(self, folder, seconds):
        self.folder, self.seconds = folder, seconds

    def open(self, runtime_context):
        stumble(self.folder, "open")

    def process_element(self, value, ctx):
        time.sleep(self.seconds)
        stumble(self.folder, "map")
        service = ctx.timer_service()
        service.register_processing_time_timer(service.current_processing_time() + 5)
        yield value

    def on_timer(self, timestamp, ctx):
        stumble(self.folder, "timer")

    def close(self):
        stumble(self.folder, "close")


class StumblingSink(FileSink):
    """Fails in a snapshot."""

    folder = ""

    def create_writer(self, context):
        writer = super().create_writer(context)
        prepare, folder = writer.prepare_commit, self.folder

        def stumbling(checkpoint_id):
            stumble(folder, "snapshot")
            return prepare(checkpoint_id)

        writer.prepare_commit = stumbling
        return writer


def build(env, folder, script):
    stage = Stage(env, folder)
    source = stage.source(split_by_key(PAIRS, lambda r: r[0], 3, 40))
    keyed = source.key_by(lambda r: r[0]).process(Stumbling(str(script), 0.002))
    text = keyed.key_by(lambda r: r[0]).reduce(Concatenate()).map(lambda value: repr(tuple(value)))
    plain = FileSink.for_row_format(str(folder / "out"), Encoder.simple_string_encoder()).build()
    sink = StumblingSink.__new__(StumblingSink)
    sink.__dict__.update(plain.__dict__)
    sink.folder = str(script)
    text.sink_to(sink)


SCRIPT = ("map", "timer", "snapshot", "open+timer", "close+map")


def test_scripted_failures_lose_and_double_nothing(cluster, tmp_path):
    trips = tmp_path / "script"
    trips.mkdir()
    env = environment(cluster, parallelism=2, **OPTIONS)
    build(env, tmp_path, trips)
    restarts = 0
    with env.execute_async("scripted") as job:
        for act in SCRIPT:
            until_in_flight(job)
            done = job.client.job(job.job_id).checkpoints.completed
            wait_for(
                lambda n=done: job.client.job(job.job_id).checkpoints.completed > n,
                job, what="a checkpoint",
            )  # fmt: skip
            *others, last = act.split("+")
            for where in (*others, last):  # the one that starts it last
                (trips / where).touch()
            restarts += 1 + ("open" in others)
            wait_for(
                lambda n=restarts: job.client.job(job.job_id).summary.restarts >= n,
                job, what=f"restart {restarts}",
            )  # fmt: skip
        details = finish(job)
    assert not list(Path(trips).iterdir()), "a failure of the script did not happen"
    assert details.summary.restarts == restarts
    assert details.checkpoints.restored == restarts
    assert counted(published(tmp_path / "out", "text")) == counted(ordered_model())

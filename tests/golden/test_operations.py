"""What is done to running jobs: stopping, cancelling, failing, waiting for slots."""

from collections import Counter, defaultdict

import pytest

from lesto.common import Types
from lesto.datastream import KeyedProcessFunction
from lesto.datastream.state import ValueStateDescriptor
from tests.golden.harness import Stage, environment, published, stop, wait_for, write

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("one cluster serves all golden tests; its end is checked there"),
]
NUMBERS = [[[i] for i in range(60)] for _ in range(3)]


class Ticks(KeyedProcessFunction):
    """Numbers its ticks, one a millisecond for ever, once a key has had a record.

    Each goes to a log at once as well: what a sink without transactions would show.
    """

    def __init__(self, log):
        self.log = log

    def open(self, runtime_context):
        self.number = runtime_context.get_state(ValueStateDescriptor("number", Types.LONG()))

    def process_element(self, value, ctx):
        if self.number.value() is None:
            self.number.update(0)
            self.arm(ctx)

    def on_timer(self, timestamp, ctx):
        self.number.update(self.number.value() + 1)
        self.arm(ctx)
        with open(self.log, "a") as file:
            file.write(f"{ctx.get_current_key()} {self.number.value()}\n")
        yield ctx.get_current_key(), self.number.value()

    def arm(self, ctx):
        ctx.timer_service().register_processing_time_timer(
            ctx.timer_service().current_processing_time() + 1
        )


def test_timers_do_not_disturb_a_stop_and_tick_exactly_once(cluster, tmp_path):
    """Ticks after the savepoint's barrier belong to the job that goes on from it."""
    path, log = "", tmp_path / "log"
    for round_ in range(4):
        env = environment(
            cluster, parallelism=3, savepoint=path, **{"execution.checkpointing.interval": "40 ms"}
        )
        stage = Stage(env, tmp_path, hold=0.99)
        stream = stage.source(NUMBERS).key_by(lambda n: n).process(Ticks(str(log)))
        write(stream, tmp_path / "out", "text")
        with env.execute_async("ticks") as job:
            seen = len(published(tmp_path / "out", "text"))
            wait_for(lambda n=seen: len(published(tmp_path / "out", "text")) > n, job)
            path = stop(job, tmp_path / "savepoints")
        assert not list((tmp_path / "out").glob(".pending/*")), f"left unpublished by {round_}"
    ticks = defaultdict(list)
    for key, number in published(tmp_path / "out", "text"):
        ticks[key].append(number)
    assert set(ticks) <= set(range(60))
    assert Counter(log.read_text().splitlines()) == Counter(f"{k} {n}" for k in ticks for n in ticks[k])
    assert all(sorted(n) == list(range(1, len(n) + 1)) for n in ticks.values())

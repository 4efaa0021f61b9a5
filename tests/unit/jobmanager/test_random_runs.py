"""Whole lives of a job under virtual time: failures, slow answers, lost slots, stale messages.

Design of these tests: the simulation keeps its own ledger of what was acknowledged, written, told
and restored, and asserts from it. The seed is the test's parameter, so a failing one reproduces.
"""

import functools

import pytest
from job_simulation import Simulation

from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core.job_base import AdaptiveSettings
from lesto.jobmanager.core.states import JobState
from lesto.proto import job_pb2

FORWARD = job_pb2.PARTITION_KIND_FORWARD


@pytest.mark.parametrize("seed", range(60))
def test_a_job_survives_any_faults_and_finishes_exactly_once(seed):
    run = Simulation(seed, faults=12).run()
    assert run.ended is JobState.FINISHED
    assert not run.live
    last = run.master.coordinator.statistics.latest_completed
    assert last.status == "COMPLETED"
    assert run.confirmed == last.checkpoint_id
    assert run.splits_read() == run.splits


@pytest.mark.parametrize("seed", range(60))
def test_regions_that_restart_alone_lose_and_double_no_split(seed):
    run = Simulation(seed, faults=12, kind=FORWARD, parallelism=3, splits=40).run()
    assert run.ended is JobState.FINISHED
    assert not run.live
    assert run.splits_read() == run.splits


def test_regions_do_restart_alone():
    runs = [Simulation(seed, faults=12, kind=FORWARD, parallelism=3).run() for seed in range(20)]
    assert sum(run.regional for run in runs) > 60
    assert sum(run.master.restarts - run.regional for run in runs) >= 0


def test_the_faults_do_happen():
    runs = [Simulation(seed, faults=12).run() for seed in range(20)]
    statistics = [run.master.coordinator.statistics for run in runs]
    assert sum(run.master.restarts for run in runs) > 60
    assert sum(s.failed for s in statistics) > 20
    assert sum(run.master.stale_events for run in runs) > 20
    assert sum(run.master.coordinator.stale_messages for run in runs) > 20
    assert sum(any(run.restored) for run in runs) == len(runs)


def test_a_seed_reproduces_a_run():
    first, second = (Simulation(7).run() for _ in range(2))
    assert str(first.trace) == str(second.trace)


@pytest.mark.parametrize("seed", range(20))
def test_without_periodic_checkpoints_the_final_one_is_taken_all_the_same(seed):
    run = Simulation(seed, faults=3, interval_ms=None).run()
    assert run.ended is JobState.FINISHED
    assert len(run.written) >= 1


@pytest.mark.parametrize("seed", range(30))
def test_a_cancelled_job_ends_whatever_goes_on(seed):
    run = Simulation(seed, faults=12, data_ms=10**9)
    run._at(run.random.randint(0, 40_000), lambda: run.tell(ev.CancelRequested()))
    run.run()
    assert run.ended is JobState.CANCELED
    kept = [c.checkpoint_id for c in run.master.coordinator.retained]
    assert not set(kept) & run.discarded


@pytest.mark.parametrize("seed", range(30))
def test_every_savepoint_request_is_answered_once(seed):
    run = Simulation(seed, faults=12, data_ms=60_000)
    for number in range(8):
        event = ev.SavepointRequested(f"r{number}", f"/sp/{number}", stop=number == 7)
        run._at(run.random.randint(0, 50_000), lambda e=event: run.tell(e))
    run.run()
    assert run.ended is JobState.FINISHED
    asked = [e for _, e in run.trace if isinstance(e, ev.SavepointRequested)]
    assert set(run.answers) == {e.request_id for e in asked}
    for event in asked:
        answer = run.answers[event.request_id]
        assert isinstance(answer, Exception) or answer == event.target


@pytest.mark.parametrize("seed", range(30))
def test_checkpoints_side_by_side_with_savepoints_and_by_hand(seed):
    """Starts come ten times as often as a slow answer takes."""
    run = Simulation(seed, faults=12, interval_ms=20, max_concurrent=3, splits=60)
    for number in range(4):
        event = ev.SavepointRequested(f"s{number}", f"/sp/{number}")
        run._at(run.random.randint(0, 20_000), functools.partial(run.tell, event))
        event = ev.CheckpointRequested(f"c{number}", full=number % 2 == 0)
        run._at(run.random.randint(0, 20_000), functools.partial(run.tell, event))
    run.run()
    assert run.ended is JobState.FINISHED
    assert run.splits_read() == run.splits
    assert len(run.answers) == 8


def test_checkpoints_side_by_side_do_happen():
    most, subsumed = 0, set()
    for seed in range(10):
        run = Simulation(seed, faults=12, interval_ms=20, max_concurrent=3)
        tell = run.tell

        def told(event, seed=seed, run=run, tell=tell):
            nonlocal most
            tell(event)
            coordinator = run.master.coordinator
            most = max(most, len(coordinator.under_way))
            for entry in list(coordinator.statistics.history)[:6]:
                if "subsumed" in entry.failure:
                    subsumed.add((seed, entry.checkpoint_id))

        run.tell = told
        run.run()
    assert most == 3
    assert len(subsumed) >= 5


@pytest.mark.parametrize("kind", [FORWARD, job_pb2.PARTITION_KIND_HASH])
@pytest.mark.parametrize("seed", range(20))
def test_rescaling_again_and_again_loses_and_doubles_no_split(seed, kind):
    run = Simulation(seed, faults=10, kind=kind, splits=60, data_ms=60_000, slots=4)
    widths = [run.random.randint(1, 6) for _ in range(8)]  # 6: more than there are slots
    for number, width in enumerate(widths):
        event = ev.RescaleRequested(f"r{number}", width)
        run._at(run.random.randint(0, 60_000), lambda e=event: run.tell(e))
    run.run()
    assert run.ended is JobState.FINISHED
    assert not run.live_here()
    assert run.splits_read() == run.splits
    asked = {e.request_id for _, e in run.trace if isinstance(e, ev.RescaleRequested)}
    assert set(run.answers) == asked
    finals = run.written[run.confirmed].operators
    assert {len(o.subtasks) for o in finals} == {run.master.graph.vertices[0].parallelism}


def test_rescales_do_happen_and_do_fail():
    done, refused = [], []
    for seed in range(20):
        run = Simulation(seed, faults=10, splits=60, data_ms=60_000, slots=4)
        for number in range(8):
            event = ev.RescaleRequested(f"r{number}", 1 + (seed + 5 * number) % 6)
            run._at(run.random.randint(0, 60_000), functools.partial(run.tell, event))
        run.run()
        assert run.master.rescales <= len(run.answers)
        for answer in run.answers.values():
            (refused if isinstance(answer, Exception) else done).append(answer)
    assert len([pause for pause in done if pause]) > 25
    assert len(refused) > 10


ADAPTIVE = AdaptiveSettings(wait_ms=400, stabilization_ms=500, cooldown_ms=2_000)
REACTIVE = AdaptiveSettings(reactive=True, wait_ms=400, stabilization_ms=500, cooldown_ms=2_000)


@pytest.mark.parametrize("adaptive", [ADAPTIVE, REACTIVE], ids=["adaptive", "reactive"])
@pytest.mark.parametrize("seed", range(12))
def test_a_job_that_takes_what_slots_there_are_loses_and_doubles_no_split(seed, adaptive):
    kind = (FORWARD, job_pb2.PARTITION_KIND_HASH)[seed % 2]
    run = Simulation(
        seed, faults=12, kind=kind, parallelism=3, splits=60, data_ms=60_000, slots=4,
        adaptive=adaptive, away_ms=20_000,
    ).run()  # fmt: skip
    assert run.ended is JobState.FINISHED
    assert run.splits_read() == run.splits


def test_jobs_do_follow_the_slots():
    for adaptive, most in ((ADAPTIVE, 3), (REACTIVE, 5)):
        widths = set()
        for seed in range(5):
            run = Simulation(
                seed, faults=8, parallelism=3, splits=60, data_ms=60_000, slots=5,
                adaptive=adaptive, away_ms=20_000,
            )  # fmt: skip
            widths |= set(run.run().widths)
        assert max(widths) == most
        assert min(widths) < 3

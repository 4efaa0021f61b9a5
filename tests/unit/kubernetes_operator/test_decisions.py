"""The operator's pure core: starts, upgrades, savepoints, suspensions, roll-backs, failures."""

import random

import pytest

from lesto.client.operator.model import (
    ApplyObjects,
    CancelJob,
    CreateSubmitter,
    JobState,
    Phase,
    StopJob,
    TriggerSavepoint,
)
from tests.unit.kubernetes_operator.playing import World, spec


def started(**job):
    world = World(spec(**job))
    return world.until(lambda w: w.running_with() and w.job.position > 0)


def actions(world, kind):
    return [action for action in world.actions if isinstance(action, kind)]


def test_a_new_deployment_makes_objects_then_submits_once_then_runs():
    world = started()
    assert isinstance(world.actions[1], ApplyObjects)
    (submission,) = actions(world, CreateSubmitter)
    assert (submission.submission, submission.restore) == (1, "")
    assert world.status.stable == world.raw
    assert world.status.observed_generation == 1
    before = len(world.actions)
    for _ in range(20):
        world.turn()
        world.step()
    assert len(world.actions) == before  # nothing to do, nothing is done


def test_it_starts_from_the_savepoint_that_it_is_given():
    world = World(spec(initialSavepointPath="s3://b/sp"), snapshots={"s3://b/sp": 70})
    world.until(lambda w: w.running_with())
    assert world.job.start == 70


@pytest.mark.parametrize("mode", ["savepoint", "last-state", "stateless"])
def test_another_parallelism(mode):
    world = started(upgradeMode=mode)
    first = world.job
    world.change(spec(upgradeMode=mode, parallelism=5))
    world.until(lambda w: w.running_with(parallelism=5) and w.job.position > w.job.start)
    assert first.state is (JobState.FINISHED if mode == "savepoint" else JobState.CANCELED)
    assert world.job.start == (0 if mode == "stateless" else first.position)
    assert bool(actions(world, StopJob)) is (mode == "savepoint")
    assert len(actions(world, CreateSubmitter)) == 2
    if mode != "stateless":
        world.check_exactly_once()
    if mode == "savepoint":
        (savepoint,) = world.status.savepoints
        assert savepoint.trigger == "upgrade"


def test_more_taskmanagers_stop_no_job():
    world = started()
    first = world.job
    world.change(spec(top__taskManager={"replicas": 7}))
    for _ in range(5):
        world.turn()
        world.step()
    assert world.job is first
    assert world.objects_of["taskManager"] == {"replicas": 7}
    assert world.status.reconciled == world.raw


def test_suspended_and_resumed_goes_on_where_it_was():
    world = started()
    world.change(spec(state="suspended"))
    world.until(lambda w: w.status.phase is Phase.SUSPENDED and not w.running)
    kept = world.status.restore
    assert world.status.savepoints[0].trigger == "suspend"
    for _ in range(5):
        world.turn()
        world.step()
    world.change(spec(parallelism=3))
    world.until(lambda w: w.running_with(parallelism=3) and w.job.position > w.job.start)
    assert world.job.snapshot != kept
    assert actions(world, CreateSubmitter)[-1].restore == kept
    world.check_exactly_once()


def test_created_suspended_makes_nothing():
    world = World(spec(state="suspended"))
    for _ in range(3):
        world.turn()
        world.step()
    assert world.actions == []
    world.change(spec())
    world.until(lambda w: w.running_with())


def test_a_nonce_takes_one_savepoint():
    world = started()
    world.change(spec(savepointTriggerNonce=4))
    world.until(lambda w: w.status.savepoints)
    for _ in range(10):
        world.turn()
        world.step()
    assert len(actions(world, TriggerSavepoint)) == 1
    assert world.status.savepoints[0].nonce == 4
    assert world.job.state is JobState.RUNNING
    assert len(actions(world, CreateSubmitter)) == 1
    world.change(spec(savepointTriggerNonce=5))
    world.until(lambda w: len(w.status.savepoints) == 2)


def test_a_nonce_that_is_there_from_the_start_takes_none():
    world = started(savepointTriggerNonce=1)
    for _ in range(5):
        world.turn()
        world.step()
    assert not actions(world, TriggerSavepoint)


def test_a_savepoint_lost_with_its_jobmanager_is_asked_for_again_under_its_id():
    world = started()
    world.change(spec(savepointTriggerNonce=1))
    world.turn()
    world.triggers.clear()  # the next leader knows nothing of it
    world.until(lambda w: w.status.savepoints)
    first, second = actions(world, TriggerSavepoint)
    assert first == second


def test_a_failed_manual_savepoint_is_told_and_not_repeated():
    world = started()
    world.savepoint_fails = True
    world.change(spec(savepointTriggerNonce=1))
    world.until(lambda w: any(e.reason == "SavepointFailed" for e in w.events))
    world.savepoint_fails = False
    for _ in range(5):
        world.turn()
        world.step()
    assert world.status.savepoints == ()
    assert len(actions(world, TriggerSavepoint)) == 1


def test_a_stop_whose_savepoint_fails_leaves_the_job_running_and_tries_again():
    world = started()
    first = world.job
    world.savepoint_fails = True
    world.change(spec(parallelism=4))
    for _ in range(60):
        world.turn()
        world.step()
    assert world.job is first
    assert first.state is JobState.RUNNING
    assert "the storage refused" in world.status.error
    tries = {action.trigger_id for action in actions(world, StopJob)}
    assert 2 <= len(tries) <= 6  # with growing pauses
    world.savepoint_fails = False
    world.until(lambda w: w.running_with(parallelism=4) and w.job.position > w.job.start)
    assert world.status.error == ""
    world.check_exactly_once()


def test_a_job_that_does_not_run_goes_on_from_its_last_state():
    world = started()
    world.job.state = JobState.CHANGING
    position = world.job.position
    world.change(spec(parallelism=3))
    world.turn()
    assert not actions(world, StopJob)
    assert actions(world, CancelJob)
    world.until(lambda w: w.running_with(parallelism=3))
    assert world.job.start == position


def test_without_the_fallback_it_waits_for_the_job_to_run():
    world = started(lastStateFallback=False)
    stuck = world.job
    stuck.state = JobState.CHANGING
    world.change(spec(lastStateFallback=False, parallelism=3))
    world.turn()
    world.turn()
    assert "does not run" in world.status.error
    assert not actions(world, CancelJob)
    world.until(lambda w: w.running_with(parallelism=3) and w.job.position > w.job.start)
    world.check_exactly_once()


def test_the_answer_to_the_stop_is_lost_with_its_jobmanager():
    world = started()
    first = world.job
    world.change(spec(parallelism=3))
    world.until(lambda w: first.state is JobState.FINISHED)
    world.triggers.clear()
    world.until(lambda w: w.running_with(parallelism=3) and w.job.position > w.job.start)
    world.check_exactly_once()


def test_a_job_that_finished_by_itself_is_not_begun_again():
    world = started()
    world.job.state, world.job.own_savepoint = JobState.FINISHED, False
    world.change(spec(parallelism=3))
    world.until(lambda w: w.status.phase is Phase.FAILED)
    assert "finished" in world.status.error
    assert len(world.jobs) == 1
    world.change(spec(parallelism=3, upgradeMode="stateless", top__restartNonce=1))
    world.until(lambda w: w.running_with(parallelism=3))


def test_a_job_that_fails_for_good_is_failed_until_it_is_changed():
    world = started()
    world.broken = lambda raw: raw["image"] == "app:1"
    world.until(lambda w: w.status.phase is Phase.FAILED)
    assert "it broke" in world.status.error
    position = world.job.position
    world.change(spec(top__image="app:2"))
    world.until(lambda w: w.running_with() and w.job.position > w.job.start)
    assert world.job.start == position
    assert world.status.error == ""
    world.check_exactly_once()


def test_a_program_that_submits_nothing_is_an_error_with_its_last_words():
    world = World(spec(), submits=lambda raw: False)
    world.until(lambda w: w.status.phase is Phase.FAILED)
    assert "it said no" in world.status.error
    world.submits = lambda raw: True
    world.change(spec(args=["--better"]))
    world.until(lambda w: w.running_with(args=["--better"]))


@pytest.mark.parametrize("broken", ["job", "program", "pods"])
def test_rolled_back_when_the_new_one_does_not_come_up(broken):
    world = World(spec(top__rollback=True, top__readyTimeoutSeconds=30))
    world.until(lambda w: w.running_with() and w.job.position > 0)
    old = world.raw
    new = spec(top__rollback=True, top__readyTimeoutSeconds=30, top__image="app:2")
    if broken == "job":
        world.broken = lambda raw: raw["image"] == "app:2"
    elif broken == "program":
        world.submits = lambda raw: raw["image"] != "app:2"

    def there(w):
        # The pods of the new image never start.
        w.up = not (broken == "pods" and (w.objects_of or {}).get("image") == "app:2")
        return w.status.rejected and w.running_with() and w.job.position > w.job.start

    world.change(new)
    world.until(there, 300)
    assert world.job.spec == old
    assert "rolled back" in world.status.error
    world.check_exactly_once()
    starts = world.status.submission
    for _ in range(30):
        world.turn()
        world.step()
    assert world.status.submission == starts  # it does not try again by itself
    world.broken, world.submits = lambda raw: False, lambda raw: True
    world.change(spec(top__rollback=True, top__image="app:3"))
    world.until(lambda w: w.running_with() and w.job.spec["image"] == "app:3")
    assert world.status.rejected == ""
    assert world.status.error == ""


def test_without_rollback_it_stays_and_says_so():
    world = started()
    world.broken = lambda raw: raw["image"] == "app:2"
    world.change(spec(top__image="app:2"))
    world.until(lambda w: w.status.phase is Phase.FAILED)
    world.broken = lambda raw: False
    world.change(spec())
    world.until(lambda w: w.running_with() and w.job.position > w.job.start)
    world.check_exactly_once()


def test_a_change_while_it_starts_waits_for_the_submitter_to_be_gone():
    world = World(spec())
    while world.submitters.get(1) != "active":
        world.turn()
    world.change(spec(parallelism=6))
    world.turn()
    assert world.submitters == {}
    assert world.status.submission == 1
    world.until(lambda w: w.running_with(parallelism=6))
    world.check_exactly_once()
    assert len([job for job in world.jobs.values() if not job.state.ended]) == 1


def test_a_silent_jobmanager_may_hold_a_job_so_nothing_is_started_beside_it():
    world = World(spec())
    world.until(lambda w: w.job is not None)
    world.up = False
    world.change(spec(top__image="app:2"))
    for _ in range(30):
        world.turn()
        world.step()
    assert len(actions(world, CreateSubmitter)) == 1
    assert "no JobManager answers" in world.status.error
    # It does not come back as it was: what is wanted now may be what lets it start.
    world.until(lambda w: w.objects_of["image"] == "app:2")
    world.up = True
    world.until(lambda w: w.running_with() and w.job.spec["image"] == "app:2")
    world.check_exactly_once()


def test_a_lost_job_is_not_begun_again_unless_it_has_no_state():
    world = started()
    world.jobs.clear()
    world.until(lambda w: w.status.phase is Phase.FAILED)
    assert "savepointRedeployNonce" in world.status.error
    world.snapshots["here"] = 30
    world.change(spec(initialSavepointPath="here", savepointRedeployNonce=1))
    world.until(lambda w: w.running_with())
    assert world.job.start == 30
    world = started(upgradeMode="stateless")
    world.jobs.clear()
    world.until(lambda w: w.status.submission == 2 and w.running_with())


def test_a_job_that_is_missing_for_a_moment_is_left_alone():
    world = started()
    jobs = dict(world.jobs)
    world.jobs.clear()
    for _ in range(20):
        world.turn()
        world.step()
    world.jobs.update(jobs)
    for _ in range(5):
        world.turn()
        world.step()
    assert world.status.missing_since_ms == 0
    assert world.status.submission == 1


def test_where_the_newest_checkpoint_is_must_be_known():
    world = started(upgradeMode="last-state")
    world.change(spec(upgradeMode="last-state", parallelism=3))
    world.turn()
    world.job.snapshot = ""  # its JobManager failed as the job ended
    world.until(lambda w: w.status.phase is Phase.FAILED)
    assert "newest checkpoint" in world.status.error
    assert len(world.jobs) == 1


def test_a_redeployment_gives_up_the_present_state():
    world = started()
    world.snapshots["old"] = 10
    world.change(spec(initialSavepointPath="old", savepointRedeployNonce=2))
    world.until(lambda w: w.status.submission == 2 and w.running_with())
    assert world.job.start == 10


def test_a_wrong_specification_changes_nothing():
    world = started()
    world.change(spec(module="also.this"))
    before = len(world.actions)
    world.turn()
    assert "pyFile or module" in world.status.error
    assert world.status.observed_generation == 2
    assert len(world.actions) == before
    world.change(spec())
    world.turn()
    assert world.status.error == ""


def test_a_session_is_objects_alone():
    raw = {"image": "app:1", "storage": {"persistentVolumeClaim": "claim"}}
    world = World(raw)
    for _ in range(5):
        world.turn()
        world.step()
    assert [type(action) for action in world.actions] == [ApplyObjects]
    world.change({**raw, "image": "app:2"})
    for _ in range(3):
        world.turn()
        world.step()
    assert world.objects_of["image"] == "app:2"


@pytest.mark.parametrize("seed", range(25))
def test_whatever_happens_nothing_is_published_twice(seed):
    """Changes, crashes of the operator, JobManagers that fall silent, failing savepoints."""
    rng = random.Random(seed)
    world = World(spec())
    parallelism = 2
    for _ in range(250):
        event = rng.random()
        if event < 0.06:
            parallelism = rng.randint(1, 9)
            mode = rng.choice(["savepoint", "last-state"])
            state = rng.choice(["running", "running", "running", "suspended"])
            world.change(spec(parallelism=parallelism, upgradeMode=mode, state=state,
                              savepointTriggerNonce=rng.randint(0, 3)))  # fmt: skip
        elif event < 0.10:
            world.up = not world.up
        elif event < 0.13:
            world.triggers.clear()
        elif event < 0.17:
            world.savepoint_fails = not world.savepoint_fails
        elif event < 0.22 and world.job is not None and world.job.state is JobState.RUNNING:
            world.job.state = JobState.CHANGING
        world.turn(crash=rng.choice([None, None, None, 0, 1]))
        world.step(rng.choice([200, 1_000, 5_000]))
        world.check_exactly_once()
    world.up, world.savepoint_fails = True, False
    world.change(spec(parallelism=10))
    world.until(lambda w: w.running_with(parallelism=10) and w.job.position > w.job.start)
    world.check_exactly_once()

"""A job's journal: what a stranger reads to understand what happened."""

import pytest
from masterdriver import Driver

from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.journal import (
    COMPLETED_CHECKPOINTS_MAX,
    EVENTS_MAX,
    FIRST_EVENTS_MAX,
    Journal,
    Kind,
    Severity,
)
from lesto.jobmanager.core.journal_words import LINE_CHARACTERS_MAX
from lesto.jobmanager.core.states import TaskState
from lesto.jobmanager.errors import NoResourceAvailableError
from lesto.jobmanager.server.details import job_details, without_history
from lesto.proto import checkpoint_pb2


def told(driver, *kinds):
    """Kind, subject and cause of the events of these kinds."""
    return [
        (e.subject, e.cause) for e in driver.master.journal.events() if not kinds or e.kind in kinds
    ]


def complete(driver, checkpoint_id):
    driver.tell(ev.EnumeratorsSnapshotted(driver.master._enumerators, checkpoint_id, {}))
    driver.ack("numbers", checkpoint_id)
    driver.ack("total", checkpoint_id)
    return driver.tell(ev.MetadataWritten(checkpoint_id, f"/ck/chk-{checkpoint_id}"))


def test_a_quiet_start_is_told_in_order():
    driver = Driver()
    driver.running()
    assert [(e.kind, e.subject) for e in driver.master.journal.events()] == [
        ("job.state", "CREATED"),
        ("slot.requested", "1 slot"),
        ("job.state", "RUNNING"),
        ("task.restarted", "all 2 tasks"),
    ]


def test_the_loss_of_a_process_says_whose_it_was_and_from_where_its_tasks_go_on():
    driver = Driver(interval_ms=100, attempts=3)
    driver.running()
    driver.tick(100)
    complete(driver, 1)
    driver.ms = 4_200
    driver.tell(ev.SlotLost("s0", "TaskManager tm: its connection broke"))

    assert told(driver, "slot.lost") == [
        (
            "slot s0 of TaskManager tm",
            "TaskManager tm: its connection broke; numbers (1/1), total (1/1) ran there",
        )
    ]
    assert told(driver, "region.restarting") == [
        (
            "all 2 tasks",
            "slot s0 of TaskManager tm is lost: TaskManager tm: its connection broke → 2 tasks "
            "restart from checkpoint 1 (4.1 s old) in 1.0 s; restart 1 of 3 (fixed-delay)",
        )
    ]
    driver.tick(5_200)
    driver.slots("s1")
    driver.ms = 5_500
    driver.tasks_running("s1")
    assert told(driver, "job.restored") == [
        ("checkpoint 1", "2 tasks go back to it: 5.1 s old, /ck/chk-1")
    ]
    assert told(driver, "task.restarted")[-1] == ("all 2 tasks", "running again after 1.3 s")


def test_a_failing_function_is_told_by_task_and_line_and_place():
    driver = Driver()
    driver.running()
    failure = {
        "message": "division by zero\nmore",
        "retryable": True,
        "code": "LESTO-6001",
        "location": "job.py:12",
    }
    driver.task("total", failure=failure)
    driver.state("numbers", TaskState.CANCELED)
    (failed,) = told(driver, "task.failed")
    assert failed == (
        "total (1/1)",
        "LESTO-6001: division by zero at job.py:12 (slot s0 of TaskManager tm)",
    )
    (info,) = driver.master.failures
    assert (info.taskmanager_id, info.concurrent) == ("tm", False)
    ((_, text),) = told(driver, "region.restarting")
    assert "from the beginning: there is no complete checkpoint" in text


def test_what_fails_behind_the_first_failure_is_concurrent_with_it():
    driver = Driver()
    driver.running()
    driver.fail("total")
    driver.tell(ev.SlotLost("s0", "killed by signal 9"))
    assert [info.concurrent for info in driver.master.failures] == [True, False]


def test_a_process_that_is_lost_explains_the_channel_that_broke_with_it():
    """Its neighbour may say so first."""
    driver = Driver(attempts=3)
    driver.running()
    broken = {"code": "LESTO-4201", "message": "the connection broke", "retryable": True}
    driver.task("total", failure=broken)
    driver.tell(ev.SlotLost("s0", "killed by signal 9"))
    ((_, text),) = told(driver, "region.restarting")
    assert text.startswith("slot s0 of TaskManager tm is lost: killed by signal 9 → 2 tasks ")
    assert text.endswith("restart 1 of 3 (fixed-delay)")


def test_a_process_that_is_lost_later_explains_no_other_failure():
    driver = Driver()
    driver.running()
    driver.task("total", failure={"code": "LESTO-6001", "message": "1 / 0", "retryable": True})
    driver.tell(ev.SlotLost("s0", "killed by signal 9"))
    ((_, text),) = told(driver, "region.restarting")
    assert text.startswith("total (1/1): LESTO-6001: 1 / 0 → 2 tasks ")


def test_giving_up_says_what_was_used_up():
    driver = Driver(attempts=0)
    driver.running()
    driver.fail("total")
    states = dict(told(driver, "job.state"))
    assert "all 0 restarts of restart-strategy.fixed-delay are used up" in states["FAILING"]
    severities = {e.subject: e.severity for e in driver.master.journal.events()}
    assert severities["FAILING"] == "error"


def test_checkpoints_that_fail_say_who_declined():
    driver = Driver(interval_ms=100, tolerable_failures=5)
    driver.running()
    driver.tick(100)
    driver.tell(ev.EnumeratorsSnapshotted(1, 1, {}))
    driver.task("total", decline={"checkpoint_id": 1, "reason": "the disk is full"})
    assert told(driver, "checkpoint.failed") == [
        ("checkpoint 1", "declined by total (1/1): the disk is full")
    ]


def test_a_savepoint_that_ends_the_job_is_told():
    driver = Driver()
    driver.running()
    driver.tell(ev.SavepointRequested("r", "/sp/savepoint-1", stop=True))
    complete(driver, 1)
    assert told(driver, "savepoint.requested") == [
        ("/sp/savepoint-1", "by request; the job stops with it")
    ]
    ((subject, text),) = told(driver, "savepoint.completed")
    assert subject == "savepoint 1"
    assert "the job finishes with it; /ck/chk-1" in text


def test_a_rescale_is_told_with_its_pause_and_one_refused_with_its_reason():
    driver = Driver(interval_ms=1_000)
    driver.running()
    driver.tell(ev.RescaleRequested("r", 2))
    driver.tell(ev.SlotsRefused(NoResourceAvailableError("no slots came"), available=0))
    ((subject, text),) = told(driver, "job.rescale_failed")
    assert subject.startswith("numbers 1 -> 2") or subject.startswith("total 1 -> 2")
    assert "no slots came" in text
    (record,) = driver.master.journal.rescales
    assert (record.outcome, record.automatic) == ("FAILED", False)
    assert {v.name: (v.before, v.after) for v in record.vertices}["total"] == (1, 2)


def test_a_job_taken_over_says_so_and_from_where_it_goes_on():
    driver = Driver()
    metadata = checkpoint_pb2.CheckpointMetadata(checkpoint_id=7, timestamp_ms=8_000)
    found = ev.Recovered((ev.CheckpointLoaded(metadata, "/ck/chk-7", "/ck"),), 8, 1, 500)
    driver.ms = 10_000
    driver.tell(ev.JobStarted(found))
    events = driver.master.journal.events()
    assert [(e.kind, e.timestamp_ms) for e in events[:2]] == [
        ("job.state", 500),
        ("leader.changed", 10_000),
    ]
    assert "it goes on from checkpoint 7 (2.0 s old)" in events[1].cause


def test_the_journal_is_bounded_and_says_what_it_left_out():
    journal = Journal()
    for number in range(5_000):
        journal.record(number, Kind.CHECKPOINT_COMPLETED, f"checkpoint {number}", "1 kB")
        if number % 5 == 0:
            journal.record(number, Kind.STATE, "RESTARTING", "x" * 2_000, Severity.WARNING)
    events = journal.events()
    assert len(events) <= EVENTS_MAX
    assert all(len(e.cause) <= LINE_CHARACTERS_MAX for e in events)
    assert sum(e.kind == "checkpoint.completed" for e in events) == COMPLETED_CHECKPOINTS_MAX
    assert [e.timestamp_ms for e in events] == sorted(e.timestamp_ms for e in events)
    assert events[0].timestamp_ms == 0, "how it began is kept"
    (gap,) = [e for e in events if e.kind == "journal.left_out"]
    shown = len(events) - 1
    assert gap.subject == f"{6_000 - shown:,} events"
    assert FIRST_EVENTS_MAX < shown < EVENTS_MAX


def test_events_are_told_with_the_graph_alone():
    driver = Driver()
    driver.running()
    assert not job_details(driver.master).events
    full = job_details(driver.master, full=True)
    assert len(full.events) == 4
    assert full.vertices[0].subtasks[0].state_times_ms["RUNNING"] == 0
    assert without_history(full) == job_details(driver.master)


@pytest.mark.parametrize("at_ms", [0, 5])
def test_every_state_of_the_job_is_an_event(at_ms):
    driver = Driver()
    driver.ms = at_ms
    driver.running()
    driver.tell(ev.CancelRequested())
    driver.state("numbers", TaskState.CANCELED)
    driver.state("total", TaskState.CANCELED)
    states = [subject for subject, _ in told(driver, "job.state")]
    assert states == ["CREATED", "RUNNING", "CANCELLING", "CANCELED"]
    assert driver.master.journal.events()[0].timestamp_ms == Moment(at_ms, at_ms).wall_ms

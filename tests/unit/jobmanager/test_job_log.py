"""The job log and the job store as objects in storage."""

import pytest
from jobgraphs import JOB_ID, pipeline

from lesto.common.clock import VirtualClock
from lesto.jobmanager.core.job_log import (
    CancelWanted,
    CheckpointCompleted,
    Ended,
    EpochClaimed,
    Rescaled,
    Submitted,
)
from lesto.jobmanager.errors import JobLogError, JobStateError, LeaderFencedError, NotLeaderError
from lesto.jobmanager.server.ha import entry_codec, job_log
from lesto.jobmanager.server.ha.job_log import JobLog
from lesto.jobmanager.server.ha.job_store import JobStore
from lesto.state.errors import StorageError

BASE_EVERY = 20
WHO = {"id": "i", "epoch": 3, "at_ms": 5}
ENTRIES = [
    Submitted(**WHO, graph="g", name="jöb"),
    EpochClaimed(**WHO, leader="a", term=7),
    CheckpointCompleted(**WHO, checkpoint_id=9, path="/p", savepoint=True, restarts=2),
    Rescaled(**WHO, parallelism={"v": 4}),
    CancelWanted(**WHO),
    Ended(**WHO, state="FINISHED", details="details-3"),
]


@pytest.fixture
def store(tmp_path):
    return JobStore(str(tmp_path), VirtualClock(), lambda: True)


@pytest.fixture
def log(store):
    log, new = store.submit(pipeline())
    assert new
    assert log.claim("a", 1) == 1
    return log


def complete(log, number):
    log.checkpoint(number, f"/ck/chk-{number}", savepoint=False, restarts=0)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: type(e).__name__)
def test_an_entry_is_read_back_and_every_damage_seen(entry):
    content = entry_codec.encode(entry)
    assert entry_codec.decode(content, "x") == entry
    for n in range(len(content)):
        damaged = content[:n] + bytes([content[n] ^ 1]) + content[n + 1 :]
        for bad in (content[:n], damaged):
            with pytest.raises(JobLogError):
                entry_codec.decode(bad, "x")


def test_a_submitted_graph_is_read_back_verified(store, log, tmp_path):
    name = log.state.submitted.graph
    assert store.graph(JOB_ID, name) == pipeline()
    path = tmp_path / "jobs" / JOB_ID / "artifacts" / name
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(JobLogError, match="damaged"):
        store.graph(JOB_ID, name)
    path.unlink()
    with pytest.raises(JobLogError, match="missing"):
        store.graph(JOB_ID, name)


def test_the_same_job_is_submitted_once(store, log):
    again, new = store.submit(pipeline())
    assert not new
    assert again.state.submitted == log.state.submitted


def test_a_leader_that_has_lost_its_lease_writes_nothing(tmp_path, log):
    stale = JobStore(str(tmp_path), VirtualClock(), lambda: False)
    before = sorted(tmp_path.rglob("*"))
    other = pipeline()
    other.job_id = "b" * 32
    for write in (
        lambda: stale.submit(other),
        lambda: stale.log(JOB_ID).claim("b", 2),
        stale.log(JOB_ID).check,
    ):
        with pytest.raises(NotLeaderError):
            write()
    assert sorted(tmp_path.rglob("*")) == before


def test_behind_a_claim_nothing_of_the_one_before_is_accepted(store, log):
    complete(log, 1)
    later = store.log(JOB_ID)
    assert later.claim("b", 2) == 2
    for write in (
        lambda: complete(log, 2),
        log.cancel_wanted,
        lambda: log.rescaled({"v": 2}),
        lambda: log.end("FINISHED", "details-1"),
        log.check,
    ):
        with pytest.raises(LeaderFencedError, match="JobManager b has claimed epoch 2"):
            write()
    assert list(later.read().checkpoints) == [1]
    with pytest.raises(LeaderFencedError):
        log.claim("a", 1)


def test_an_ended_job_stays_as_it_is(store, log):
    name = log.save_details(b"")
    log.end("CANCELED", name)
    log.end("CANCELED", name)  # said twice
    with pytest.raises(JobStateError, match="CANCELED"):
        complete(log, 1)
    found = store.log(JOB_ID)
    assert found.claim("b", 2) == 1, "an ended job is claimed by nobody"
    assert found.state.ended.state == "CANCELED"


def test_an_answer_that_is_lost_is_found_out(log, monkeypatch):
    files = log._files
    create = files.create

    def loses_its_answer(name, data):
        create(name, data)
        raise StorageError("no answer")

    monkeypatch.setattr(files, "create", loses_its_answer)
    with pytest.raises(StorageError):
        complete(log, 1)
    monkeypatch.setattr(files, "create", create)
    complete(log, 2)
    assert list(log.state.checkpoints) == [1, 2]


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(job_log, "BASE_EVERY", BASE_EVERY)


@pytest.mark.usefixtures("often")
def test_a_long_log_is_not_read_from_the_start(store, log, monkeypatch):
    for number in range(1, 2 * BASE_EVERY + 5):
        complete(log, number)
    reads = []
    real = JobLog._read
    monkeypatch.setattr(JobLog, "_read", lambda self, seq: reads.append(seq) or real(self, seq))
    found = store.log(JOB_ID).read()
    assert found == log.state
    assert len(reads) < BASE_EVERY
    assert found.newest_first()[0].checkpoint_id == 2 * BASE_EVERY + 4


@pytest.mark.usefixtures("often")
def test_a_damaged_summary_costs_time_alone(store, log, tmp_path):
    for number in range(1, BASE_EVERY + 5):
        complete(log, number)
    (base,) = (tmp_path / "jobs" / JOB_ID / "bases").iterdir()
    base.write_bytes(base.read_bytes()[:-9])
    assert store.log(JOB_ID).read() == log.state


def test_a_job_that_is_forgotten_is_no_job(store, log, tmp_path):
    assert store.job_ids() == [JOB_ID]
    store.forget(JOB_ID)
    assert store.job_ids() == []
    assert store.log(JOB_ID).read().submitted is None


def test_entries_that_contradict_each_other_are_an_error(store, log, tmp_path):
    folder = tmp_path / "jobs" / JOB_ID / "log"
    stranger = CheckpointCompleted(
        id="x", epoch=9, at_ms=0, checkpoint_id=1, path="", savepoint=False, restarts=0
    )
    (folder / f"{3:012}").write_bytes(entry_codec.encode(stranger))
    with pytest.raises(JobLogError, match="epoch 9 stands in epoch 1"):
        store.log(JOB_ID).read()

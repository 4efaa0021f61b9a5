"""Checkpoints by hand, claims, disposal and S3, with real processes."""

import contextlib
import http.client
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from s3_server import S3Server

from lesto.client.cli.main import main
from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.minicluster import MiniCluster
from lesto.common import Configuration
from lesto.state import metadata_file, storage_settings
from lesto.state.cleanup import referenced_paths
from lesto.state.files import Files
from lesto.state.paths import file_checkpoint
from tests.golden.harness import SLOTS, Stage, environment, finish, published, wait_for, write
from tests.golden.test_operations import running_sum, running_sum_model

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("one cluster serves all golden tests; its end is checked there"),
]
ROCKSDB = {"state.backend.type": "rocksdb"}


@contextlib.contextmanager
def held_job(cluster, folder, savepoint="", hold=0.5, **options):
    """A job that stands still in the middle, all its records so far processed."""
    env = environment(cluster, parallelism=1, savepoint=savepoint, **ROCKSDB, **options)
    stage = Stage(env, folder, hold=hold, marker=folder / "held")
    write(running_sum(stage), folder / "out", "text")
    job = env.execute_async("held")
    with job:
        marker = folder / "held" / "gated"
        wait_for(lambda: marker.exists() and list(marker.iterdir()), job, 20, "the hold")
        wait_for(lambda: _all_run(job), job, 20, "all tasks RUNNING")
        yield job


def _all_run(job):
    summary = job.client.job(job.job_id).summary
    return summary.tasks_running == summary.tasks_total


def metadata_of(path):
    return metadata_file.load(path)


def files_of(path):
    return {
        name: file_checkpoint(name) for name in referenced_paths(metadata_of(path)) if "sst" in name
    }


def test_checkpoints_by_hand_are_incremental_or_full(cluster, jobmanager, tmp_path, capsys):
    with held_job(cluster, tmp_path) as job:
        login = ["-m", cluster.address, f"-Dsecurity.token={cluster.token}"]
        assert main(["checkpoint", *login, job.job_id]) == 0
        first = capsys.readouterr().out.split(": ")[1].strip()
        number, second = jobmanager.checkpoint(job.job_id)
        assert second.endswith(f"chk-{number}")
        assert set(files_of(second).values()) & {1}, "nothing of the first is used again"
        assert not metadata_of(second).full
        assert main(["checkpoint", *login, "--full", job.job_id]) == 0
        third = capsys.readouterr().out.split(": ")[1].strip()
        assert set(files_of(third).values()) == {3}
        assert metadata_of(third).full
        details = jobmanager.job(job.job_id)
        history = details.checkpoints.history
        assert [entry.full for entry in history] == [True, False, False]
        parts = history[0].subtasks
        assert {part.status for part in parts} == {"ACKNOWLEDGED"}
        assert all(part.sync_us > 0 and part.async_us > 0 for part in parts)
        assert sum(part.state_bytes for part in parts) == history[0].state_bytes > 0
        assert Path(first).exists()
        job.cancel_and_wait()


def start_from(cluster, folder, output, path, claim, **options):
    env = environment(
        cluster,
        parallelism=2,
        savepoint=path,
        **ROCKSDB,
        **{"execution.state-recovery.claim-mode": claim, **options},
    )
    write(running_sum(Stage(env, folder)), output, "text")
    return env.execute_async(claim)


@pytest.mark.parametrize("claim", ["NO_CLAIM", "CLAIM"])
def test_a_checkpoint_is_restored_beside_the_job_that_took_it(cluster, jobmanager, tmp_path, claim):
    """An incremental one: the second job deletes it, or nothing of it."""
    with held_job(cluster, tmp_path) as job:
        jobmanager.checkpoint(job.job_id)
        _, path = jobmanager.checkpoint(job.job_id)
        # What the first job goes on to publish or delete must not matter to the second.
        if claim == "CLAIM":
            job.cancel_and_wait()
        restored = start_from(cluster, tmp_path, tmp_path / "second", path, claim)
        finish(restored)
        exists = Path(path, "_metadata").exists()
        assert exists == (claim == "NO_CLAIM")
        if claim == "NO_CLAIM":
            before = files_of(path)
            root = Path(path).parent
            assert all((root / name).exists() for name in before)
            assert jobmanager.checkpoint(job.job_id)[0] == 3, "the first job is not touched"
            job.cancel_and_wait()
        first = published(tmp_path / "out", "text")
        second = published(tmp_path / "second", "text")
        if claim == "CLAIM":
            assert Counter(first) + Counter(second) == Counter(running_sum_model())
        else:
            model = Counter(running_sum_model())
            assert not Counter(second) - model
            assert len(second) > 0
    left = [p for p in Path(path).parent.rglob("*.sst")]
    if claim == "CLAIM":
        kept = [files_of(str(p.parent)) for p in Path(path).parent.glob("chk-*/_metadata")]
        assert {p.name for p in left} == {name.split("/")[1] for names in kept for name in names}


def test_a_savepoint_is_disposed_of_unless_a_job_needs_it(cluster, jobmanager, tmp_path, capsys):
    login = ["-m", cluster.address, f"-Dsecurity.token={cluster.token}"]
    with held_job(cluster, tmp_path) as job:
        path = jobmanager.savepoint(job.job_id, str(tmp_path / "savepoints"))
        assert main(["savepoint", *login, "--dispose", path]) == 5
        assert "uses" in capsys.readouterr().err
        jobmanager.checkpoint(job.job_id)
        (Path(path) / "mine.txt").write_text("a note")
        shutil.move(Path(path) / "mine.txt", tmp_path / "mine.txt")
        assert main(["savepoint", *login, "--dispose", path]) == 0
        assert not Path(path).exists()
        assert main(["savepoint", *login, "-d", path]) != 0
        assert "no complete checkpoint or savepoint" in capsys.readouterr().err
        job.cancel_and_wait()


def test_legacy_claims_are_refused_by_name(cluster, tmp_path, capsys):
    script = tmp_path / "job.py"
    script.write_text("raise SystemExit(9)")
    assert main(["run", "-s", "/x", "-rm", "legacy", str(script)]) == 2
    assert "LEGACY is not supported" in capsys.readouterr().err


@pytest.mark.parametrize("unaligned", ["false", "true"])
def test_checkpoints_side_by_side(cluster, jobmanager, tmp_path, unaligned):
    """Three at a time, a savepoint in between: the results stay exact."""
    options = {
        "execution.checkpointing.interval": "15 ms",
        "execution.checkpointing.max-concurrent-checkpoints": "3" if unaligned == "false" else "1",
        "execution.checkpointing.num-retained": "1",
        "execution.checkpointing.tolerable-failed-checkpoints": "1000",
        "execution.checkpointing.unaligned.enabled": unaligned,
    }
    env = environment(cluster, parallelism=3, **ROCKSDB, **options)
    write(running_sum(Stage(env, tmp_path, pause_ms=6)), tmp_path / "out", "text")
    with env.execute_async("side by side") as job:
        wait_for(lambda: jobmanager.job(job.job_id).checkpoints.completed >= 2, job)
        path = jobmanager.savepoint(job.job_id, str(tmp_path / "savepoints"))
        details = finish(job)
    assert Counter(published(tmp_path / "out", "text")) == Counter(running_sum_model())
    failures = [e.failure for e in details.checkpoints.history if e.status == "FAILED"]
    expected = ("subsumed by", "not kept any more")
    unexpected = [why for why in failures if not any(words in why for words in expected)]
    assert not unexpected, unexpected
    assert Path(path, "_metadata").exists()


# ------------------------------------------------------------------------------------------- S3


@pytest.fixture
def s3():
    before = storage_settings.current()
    server = S3Server(seed=11)
    yield server
    server.close()
    storage_settings.use(before)


def rest(server, path):
    connection = http.client.HTTPConnection(*server.split(":"))
    connection.request("GET", path)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def test_checkpoints_and_savepoints_on_s3_that_fails(s3, tmp_path):
    """503s and lost answers in one request of ten: exact results, and no object too many."""
    root = f"s3://{s3.bucket}/checkpoints"
    config = Configuration.from_dict(
        {**s3.options(), "execution.checkpointing.dir": root, "log.level": "ERROR"}
    )
    with MiniCluster(config, slots=SLOTS) as cluster:
        cluster.wait_ready()
        s3.refused = s3.lost = 0.05
        with (
            JobManagerClient(cluster.address, cluster.token) as jobmanager,
            held_job(cluster, tmp_path) as job,
        ):
            first, path = jobmanager.checkpoint(job.job_id)
            _, path = jobmanager.checkpoint(job.job_id)
            assert path == f"{root}/{job.job_id}/chk-{first + 1}"
            savepoint = jobmanager.savepoint(job.job_id, f"s3://{s3.bucket}/savepoints")
            job.cancel_and_wait()
        restored = start_from(cluster, tmp_path, tmp_path / "second", savepoint, "CLAIM")
        finish(restored)
        s3.refused = s3.lost = 0.0
        env = environment(cluster, parallelism=2, **ROCKSDB)
        with running_sum(Stage(env, tmp_path)).execute_and_collect("collected") as rows:
            assert Counter(map(tuple, rows)) == Counter(running_sum_model())
    names = [n for n in Files(f"s3://{s3.bucket}").list("", recursive=True) if "/log/" not in n]
    assert not [n for n in names if n.startswith("savepoints/")], (
        "claimed, and the job has finished"
    )
    job_root = f"checkpoints/{job.job_id}/"
    left = {n.removeprefix(job_root) for n in names if "/chk-" in n or "/shared/" in n}
    kept = [f"{root}/{job.job_id}/chk-{number}" for number in (first, first + 1)]
    needed = set().union(*(referenced_paths(metadata_of(path)) for path in kept))
    assert left == needed | {f"chk-{number}/_metadata" for number in (first, first + 1)}
    results = published(tmp_path / "out", "text") + published(tmp_path / "second", "text")
    assert Counter(results) == Counter(running_sum_model())
    assert any(s3.injected.values())

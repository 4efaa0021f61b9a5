"""`lesto doctor`: each thing that goes wrong is found and named."""

import json
import time

import pytest

import lesto
from lesto.client.cli.checks import cluster, machine
from lesto.client.cli.checks.finding import Status
from lesto.client.cli.checks.storage import storage, try_out
from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.main import main
from lesto.client.errors import StorageDoubtError
from lesto.common import Configuration
from lesto.proto import client_pb2 as pb
from lesto.proto import runtime_pb2
from lesto.state.files import Files


def test_a_sound_machine_has_no_problem(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("LESTO_JOBMANAGER", raising=False)
    folder = f"execution.checkpointing.dir={tmp_path / 'ck'}"
    code = main(["doctor", "-o", "json", "-D", folder, "-D", "jobmanager.rpc.port=1"])
    found = {entry["check"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert [e for e in found.values() if e["status"] == "problem"] == []
    assert code == ExitCode.OK
    assert {"python", "extras", "memory", "open files", "kernel cache", "ports"} <= found.keys()
    for step in ("create", "read", "create if absent", "list", "delete"):
        assert f"{step} " in found["checkpoint storage"]["finding"]
    assert list((tmp_path / "ck").iterdir()) == [], "nothing is left behind"
    assert "none answers" in found["jobmanager"]["finding"]


def test_a_jobmanager_that_was_named_and_does_not_answer_is_a_problem(capsys):
    address = ["-m", "127.0.0.1:1", "-D", "client.timeout=200ms"]
    assert main(["doctor", *address, "-o", "json"]) == ExitCode.REFUSED
    found = {e["check"]: e for e in json.loads(capsys.readouterr().out)}
    assert found["jobmanager"]["status"] == "problem"
    assert "LESTO-110" in found["jobmanager"]["finding"]


def test_storage_that_cannot_be_written_is_a_problem(tmp_path):
    (tmp_path / "file").write_text("")
    config = Configuration.from_dict({"execution.checkpointing.dir": str(tmp_path / "file" / "x")})
    (finding,) = storage(config)
    assert finding.status is Status.PROBLEM
    assert "execution.checkpointing.dir" in finding.finding


def test_without_a_directory_of_checkpoints_that_is_said():
    (finding,) = storage(Configuration())
    assert finding.status is Status.NOTE


class Forgetful(Files):
    """Storage that lets a file be created twice."""

    def create(self, relative, data):
        self.write(relative, lambda: iter([data]))


class Stale(Files):
    """Storage whose listings are old."""

    def list(self, relative, *, recursive=False):
        return []


class Mangling(Files):
    """Storage behind something that changes bytes."""

    def create(self, relative, data):
        super().create(relative, data.upper())


@pytest.mark.parametrize(
    ("kind", "words"),
    [(Forgetful, "created again"), (Stale, "not listed"), (Mangling, "not what was written")],
)
def test_storage_that_does_not_do_what_it_should_is_found_and_cleared(tmp_path, kind, words):
    with pytest.raises(StorageDoubtError, match=words):
        try_out(kind(str(tmp_path / "probe")))
    assert not (tmp_path / "probe").exists()


def test_versions_that_do_not_fit():
    mine = {"lesto_version": lesto.__version__}
    same = cluster.versions(
        pb.ClusterInfo(python_version=machine.platform.python_version(), **mine)
    )
    assert same.status is Status.OK
    other = cluster.versions(pb.ClusterInfo(python_version="3.99.1", **mine))
    assert other.status is Status.PROBLEM
    assert "same minor version" in other.finding
    older = cluster.versions(
        pb.ClusterInfo(python_version=machine.platform.python_version(), lesto_version="0.0.1")
    )
    assert older.status is Status.PROBLEM


class Clocked:
    """A JobManager whose clock is off."""

    def __init__(self, off_ms):
        self.off_ms = off_ms

    def inspect(self, question):
        assert question.WhichOneof("question") == "thread_dump"
        now_ms = time.time_ns() // 1_000_000 + self.off_ms
        return runtime_pb2.Answer(thread_dump=runtime_pb2.ThreadDumpAnswer(timestamp_ms=now_ms))


def test_a_clock_that_is_off():
    assert cluster.clock_of(Clocked(0)).status is Status.OK
    late = cluster.clock_of(Clocked(-90_000))
    assert late.status is Status.PROBLEM
    assert "-9" in late.finding


def test_an_extra_that_is_installed_and_broken(monkeypatch, tmp_path):
    (tmp_path / "brokenextra.py").write_text("raise RuntimeError('libfoo is missing')")
    (tmp_path / "needsmore.py").write_text("import nowherefound")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(
        machine, "EXTRAS", {"a": "brokenextra", "b": "needsmore", "c": "notinstalledatall"}
    )
    found = list(machine.extras())
    assert [f.status for f in found] == [Status.PROBLEM, Status.PROBLEM, Status.OK]
    assert "libfoo is missing" in found[0].finding
    assert "nowherefound" in found[1].finding
    assert "pip install 'lesto[NAME]'" in found[2].finding


def test_the_kernels_word_on_the_clock():
    for finding in cluster.own_clock():
        assert finding.check == "time service"
        assert finding.status is not Status.PROBLEM


def test_little_memory_and_few_files_are_told(monkeypatch):
    config = Configuration.from_dict({"taskmanager.numberOfTaskSlots": 1_000})
    (finding,) = machine.memory(config)
    assert finding.status is Status.NOTE
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (64, 128))
    (finding,) = machine.open_files()
    assert finding.status is Status.PROBLEM
    assert "ulimit -n 128" in finding.finding

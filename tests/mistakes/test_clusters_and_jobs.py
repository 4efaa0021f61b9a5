"""Mistakes with addresses, ports, tokens and job ids, on the command line."""

import json
import socket

import pytest

from lesto.client.jobmanager_client import JobManagerClient
from lesto.common.errors import LestoError
from lesto.datastream import StreamExecutionEnvironment
from lesto.proto import client_pb2 as pb

USAGE, UNREACHABLE, NOT_FOUND, REFUSED = 2, 3, 4, 5
pytestmark = pytest.mark.leaks_ok(
    "the shared cluster starts threads when first asked", only=("threads",)
)
ENDLESS = """
    from lesto.connectors.datagen import RowGenSource
    source = RowGenSource(lambda position: position, rows_per_second=10)
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
    stream.map(lambda number: number).print()
    env.execute("endless")
"""


@pytest.fixture
def taken_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.mark.parametrize("arguments", [["jobmanager", "--port"], ["dev", "--port"]])
def test_an_occupied_rpc_port(command, taken_port, arguments):
    rest = ["--rest-port", "0"] if arguments[0] == "dev" else []
    done = command(*arguments, taken_port, *rest)
    done.is_clear(REFUSED, "LESTO-4110", str(taken_port), "use", remedy="port")


def test_an_occupied_rest_port(command, taken_port):
    done = command("dev", "--rest-port", taken_port)
    done.is_clear(REFUSED, "LESTO-4302", str(taken_port), "use", remedy="rest.port")


@pytest.mark.parametrize("arguments", [["list"], ["cancel", "ab"], ["run", "job.py"]], ids=str)
def test_nobody_answers(command, write_script, arguments):
    write_script("print('ran')\n")
    done = command(*arguments[:1], "-m", "127.0.0.1:1", *arguments[1:])
    done.is_clear(UNREACHABLE, "LESTO-1101", "127.0.0.1:1", remedy="lesto dev")
    assert done.out == ""


@pytest.mark.cluster
def test_another_service_answers(command, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = command("list", "-m", f"127.0.0.1:{port}", "-D", "client.timeout=2 s")
    done.is_clear(UNREACHABLE, "LESTO-110", str(port), remedy="")


@pytest.mark.cluster
@pytest.mark.parametrize("token", ["wrong", None])
def test_a_wrong_token(command, cluster, token):
    env = {"LESTO_SECURITY__TOKEN": token} if token else {}
    done = command("list", "-m", cluster.address, env=env)
    done.is_clear(UNREACHABLE, "LESTO-4108", "token", remedy="security.token")


@pytest.fixture
def jobs(submit):
    """Two endless jobs on the shared cluster."""
    ids = []
    for _ in range(2):
        done = submit(ENDLESS, options=["-d"])
        assert done.code == 0, done.err
        ids.append(done.out.split()[1])
    return ids


@pytest.mark.cluster
def test_wrong_job_ids(command, access, jobs):
    first = jobs[0]
    wrong = first[:-1] + ("0" if first[-1] != "0" else "1")
    done = command("cancel", wrong, env=access)
    done.is_clear(NOT_FOUND, "LESTO-1104", wrong, f"did you mean '{first}'", remedy="lesto list")
    done = command("savepoint", "endless", env=access)
    done.is_clear(NOT_FOUND, "LESTO-1104", "the job of that name", remedy="Known jobs")
    done = command("stop", "", env=access)
    done.is_clear(NOT_FOUND, "LESTO-1104", remedy="Known jobs")
    left = json.loads(command("list", "-o", "json", env=access).out)
    assert {job["job_id"] for job in left} == set(jobs), "no mistake ended a job"


@pytest.mark.cluster
def test_an_ambiguous_prefix(monkeypatch):
    summaries = [pb.JobSummary(job_id=f"ab{i}", name=f"job {i}") for i in range(2)]
    with JobManagerClient("127.0.0.1:1") as client:
        monkeypatch.setattr(client, "jobs", lambda: summaries)
        with pytest.raises(LestoError) as caught:
            client.resolve_job("ab")
    assert caught.value.code == "LESTO-1105"
    assert "ab0 (job 0), ab1 (job 1)" in caught.value.message
    assert "more digits" in caught.value.remedy


@pytest.mark.cluster
def test_another_python_on_the_cluster(cluster):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.from_collection([1]).print()
    graph = env.get_job_graph("job")
    graph.python_version = "3.99"
    with (
        JobManagerClient(cluster.address, cluster.token) as client,
        pytest.raises(LestoError) as caught,
    ):
        client.submit(pb.SubmitJobRequest(graph=graph))
    assert caught.value.code == "LESTO-4111"
    assert "3.99" in caught.value.message
    assert "Python" in caught.value.remedy


@pytest.mark.cluster
def test_more_parallelism_than_slots(submit):
    done = submit(
        """
        env.set_parallelism(50)
        flights.rebalance().map(lambda row: row).print()
        env.execute("wide")
        """
    )
    done.is_clear(1, "LESTO-4104", "needs 50 more slots", remedy="--slots")
    assert "CREATED wide: waits for slots" in done.err

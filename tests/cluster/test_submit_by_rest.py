"""Programs are uploaded and run over REST: Flink's routes, Lesto's processes."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import threading
import zipfile

import httpx
import psutil
import pytest
from submission_server import eventually, serve

from lesto.jobmanager.server.submission import runs

pytestmark = [
    pytest.mark.cluster,
    # Processes and files are what counts here; the server's pools grow with their use.
    pytest.mark.leaks_ok("threads and sockets of the server", only=("threads", "fds")),
]

JOB = """
import sys
from lesto.datastream import StreamExecutionEnvironment
env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection(list(range(int(sys.argv[1])))).map(lambda x: x + 1).print()
env.execute("numbers")
"""
SLEEPS = "import time; time.sleep(600)"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("tmp")) as served:
        yield served


def archive(**files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(name.replace("__S__", "/"), content)
    return made.getvalue()


def problem(answer, status=400):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()


# ----------------------------------------------------------------------------------------- it works


def test_a_script_runs_with_arguments_and_a_given_id(server):
    job_id = "c0ffee00" * 4
    answer = server.run(JOB, programArgsList=["5"], jobId=job_id, parallelism=2)
    assert answer.json() == {"jobid": job_id, "jobs": [job_id], "ended": True}
    assert server.wait_state(job_id, "FINISHED")
    vertices = server.http.get(f"/jobs/{job_id}").json()["vertices"]
    assert max(vertex["parallelism"] for vertex in vertices) == 2


def test_a_list_of_what_was_uploaded(server):
    identifier = server.upload(JOB, "../../listed job.py")
    listed = {f["id"]: f for f in server.http.get("/jars").json()["files"]}
    assert listed[identifier]["name"] == "listed_job.py"
    assert listed[identifier]["size"] == len(JOB)
    assert server.http.delete(f"/jars/{identifier}").json() == {}
    assert problem(server.http.delete(f"/jars/{identifier}"), 404)["code"] == "LESTO-4333"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_plan_runs_nothing(server, method):
    before = server.http.get("/jobs").json()
    identifier = server.upload(JOB)
    query = {"programArg": "3", "parallelism": "1"}
    found = server.http.request(method, f"/jars/{identifier}/plan", params=query).json()["plan"]
    assert found["name"] == "numbers"
    assert [node["parallelism"] for node in found["nodes"]] == [1]
    assert server.http.get("/jobs").json() == before


MODULES = {
    "pkg__S____init__.py": "",
    "pkg__S__helper.py": "def up(x):\n    return x + 1\n",
    "pkg__S__jobs__S____init__.py": "",
    "pkg__S__jobs__S__numbers.py": JOB.replace("lambda x: x + 1", "up").replace(
        "import sys\n", "import sys\nfrom pkg.helper import up\n"
    )
    + "\ndef main():\n    pass\n",
}


@pytest.mark.parametrize(
    ("files", "name", "body"),
    [
        (MODULES, "app.zip", {"module": "pkg.jobs.numbers"}),
        ({**MODULES, "__main__.py": "import pkg.jobs.numbers"}, "app.pyz", {}),
        (
            {
                **MODULES,
                "app-1.dist-info__S__entry_points.txt": "[console_scripts]\n"
                "numbers = pkg.jobs.numbers:main\n",
            },
            "app-1-py3-none-any.whl",
            {},
        ),
    ],
    ids=["module", "zipapp", "wheel"],
)
def test_archives_bring_their_modules_along(server, files, name, body):
    answer = server.run(archive(**files), name, programArgsList=["4"], **body)
    assert answer.status_code == 200, answer.text
    assert server.wait_state(answer.json()["jobid"], "FINISHED", "FAILED") == "FINISHED"


def test_a_script_imports_from_other_uploads(server):
    library = server.upload(archive(pkg__S____init__=""), "lib.zip")  # of another name: unused
    helper = server.upload("def up(x):\n    return x + 1\n", "helper.py")
    script = JOB.replace("lambda x: x + 1", "up").replace(
        "import sys\n", "import sys\nfrom helper import up\n"
    )
    answer = server.run(script, programArgsList=["4"], pyFiles=[library, helper])
    assert answer.status_code == 200, answer.text
    assert server.wait_state(answer.json()["jobid"], "FINISHED", "FAILED") == "FINISHED"


def test_several_jobs_are_listed_in_order(server):
    answer = server.run(JOB + JOB.replace("numbers", "second"), programArgsList=["2"]).json()
    assert len(answer["jobs"]) == 2
    assert answer["jobid"] == answer["jobs"][0]
    assert server.http.get(f"/jobs/{answer['jobs'][1]}").json()["name"] == "second"


def test_options_and_sql(server):
    script = """
from lesto.table import EnvironmentSettings, TableEnvironment
t = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
t.execute_sql("CREATE TABLE g (a INT) WITH ('connector'='datagen', 'number-of-rows'='5')")
t.execute_sql("CREATE TABLE b (a INT) WITH ('connector'='blackhole')")
t.execute_sql("INSERT INTO b SELECT a FROM g").wait()
"""
    answer = server.run(script, flinkConfiguration={"pipeline.name": "named"}).json()
    assert server.http.get(f"/jobs/{answer['jobid']}").json()["name"] == "named"


# -------------------------------------------------------------------------------------- it does not


def test_an_exception_comes_with_the_users_lines(server):
    told = problem(server.run("def f():\n    return 1 / 0\nprint('before')\nf()\n"))
    assert told["code"] == "LESTO-4336"
    assert told["detail"] == "ZeroDivisionError: division by zero"
    assert told["location"] == "job.py:2"
    assert 'File "job.py", line 4' in told["traceback"]
    assert "lesto" not in told["traceback"]
    assert told["output"] == "before\n"
    assert str(server.folder) not in json.dumps(told)


def test_a_lesto_error_keeps_its_code(server):
    script = JOB.replace(".map(lambda x: x + 1)", ".map(3)")
    told = problem(server.run(script, programArgsList=["1"]))
    assert told["code"].startswith("LESTO-2")
    assert told["exception"] != "ScriptError"
    assert told["location"] == "job.py:5"


def test_a_syntax_error(server):
    told = problem(server.run("x = 1\nfor\n"))
    assert told["location"] == "job.py:2"
    assert "SyntaxError" in told["detail"]


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ("import sys; sys.exit(0)", "LESTO-4337", "without submitting a job"),
        ("import os; os._exit(4)", "LESTO-4336", "exit code 4"),
        ("import sys; sys.exit('no input')", "LESTO-4336", "exit code 1"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "LESTO-4336", "SIGKILL"),
        ("import os; open('../outcome', 'w').write('[]')", "LESTO-4337", "without"),
    ],
)
def test_odd_endings_have_names(server, script, code, words):
    told = problem(server.run(script))
    assert told["code"] == code
    assert words in told["detail"]


def test_an_archive_that_does_not_say_what_to_run(server):
    told = problem(server.run(archive(**MODULES), "app.zip"))
    assert told["code"] == "LESTO-1108"
    assert "__main__" in told["detail"]


def test_a_failure_behind_a_job_names_the_job_that_goes_on(server):
    told = problem(server.run(JOB + "raise ValueError('later')", programArgsList=["1"]))
    assert "later" in told["detail"]
    (job_id,) = told["jobs"]
    assert job_id in told["detail"]
    assert server.wait_state(job_id, "FINISHED")


def children():
    return psutil.Process().children(recursive=True)


def test_one_that_hangs_is_killed_with_its_family(server, monkeypatch):
    monkeypatch.setattr(server.submission.scripts, "_timeout", 2.0)
    before = {p.pid for p in children()}
    script = f"import os\nos.fork()\n{SLEEPS}"
    told = problem(server.run(script))
    assert told["code"] == "LESTO-4338"
    assert not [p for p in children() if p.pid not in before and p.status() != "zombie"]


def test_one_that_goes_on_behind_its_job_is_ended(server, monkeypatch):
    monkeypatch.setattr(runs, "LINGER_SECONDS", 0.3)
    answer = server.run(JOB + SLEEPS, programArgsList=["1"])
    assert answer.json()["ended"] is False
    assert server.wait_state(answer.json()["jobid"], "FINISHED")


def test_a_run_is_not_disturbed_by_deleting_what_it_runs(server):
    identifier = server.upload(JOB, "deleted.py")
    answers = []

    def run():
        answers.append(server.http.post(f"/jars/{identifier}/run", json={"programArgs": "2"}))

    thread = threading.Thread(target=run)
    thread.start()
    eventually(lambda: list(server.folder.glob("lesto-submission*/run-*/code/0/deleted.py")))
    assert server.http.delete(f"/jars/{identifier}").status_code == 200
    thread.join()
    assert answers[0].status_code == 200, answers[0].text


def test_only_so_many_run_at_once_and_their_folders_go(server, monkeypatch):
    monkeypatch.setattr(server.submission.scripts, "_places", threading.BoundedSemaphore(1))
    monkeypatch.setattr(server.submission.scripts, "_timeout", 1.0)
    identifier = server.upload(SLEEPS, "sleeps.py")
    threads = [
        threading.Thread(target=lambda: server.http.post(f"/jars/{identifier}/run", json={}))
    ]
    threads[0].start()
    eventually(lambda: list(server.folder.glob("lesto-submission*/run-*")))
    answer = server.http.post(f"/jars/{identifier}/run", json={})
    assert problem(answer, 429)["code"] == "LESTO-4335"
    assert answer.headers["retry-after"]
    threads[0].join()
    assert not list(server.folder.glob("lesto-submission*/run-*"))


def test_a_client_that_goes_away_leaves_nothing_running(server, monkeypatch):
    monkeypatch.setattr(server.submission.scripts, "_timeout", 1.0)

    before = {p.pid for p in children()}
    identifier = server.upload(SLEEPS, "sleeps.py")
    with pytest.raises(httpx.ReadTimeout):
        server.http.post(f"/jars/{identifier}/run", json={}, timeout=0.3)
    eventually(lambda: not list(server.folder.glob("lesto-submission*/run-*")))
    assert not [p for p in children() if p.pid not in before and p.status() != "zombie"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/jars/..%2f..%2fetc%2fpasswd/run", 404),
        ("/jars/job.py/run", 404),
        (f"/jars/{'0' * 32}_job.py/run", 404),
        (f"/jars/{'0' * 32}_%2e%2e/run", 404),
    ],
)
def test_ids_are_no_paths(server, path, status):
    assert server.http.post(path, json={}).status_code in {status, 400}


def test_too_large_an_upload_is_refused_before_it_is_read(server):
    host, port = server.rest.address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(
            f"POST /jars/upload HTTP/1.1\r\nHost: {host}\r\nContent-Length: {1 << 30}\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode()
        )
        assert b" 413 " in client.recv(100)


def submitted():
    """Processes of what is submitted, at this moment."""
    found = []
    for process in children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("submission" in argument for argument in process.cmdline()):
                found.append(process)
    return found


def test_stopping_kills_what_runs(tmp_path):
    answers = []
    with serve(tmp_path) as server:
        identifier = server.upload(f"import os\nos.fork()\n{SLEEPS}")
        session = server.http.post("/sql/v3/sessions", json={})
        assert session.status_code == 200, session.text

        def run():
            try:
                answers.append(server.http.post(f"/jars/{identifier}/run", json={}))
            except httpx.TransportError as error:
                answers.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        # The session and its warden, the program, its child and its warden.
        eventually(lambda: len(submitted()) >= 5)
        family = submitted()
        server.rest.stop()
        thread.join()
        assert not [p for p in family if p.is_running() and p.status() != "zombie"]
        assert not list(tmp_path.glob("lesto-submission*"))
    assert isinstance(answers[0], Exception) or answers[0].status_code == 503


def test_switched_off(tmp_path):
    from lesto.common.config import Configuration
    from lesto.common.metrics import MetricRegistry
    from lesto.jobmanager.server.rest.context import Context
    from lesto.jobmanager.server.rest.errors import SwitchedOffError
    from lesto.jobmanager.server.rest.guard import TargetPolicy
    from lesto.jobmanager.server.rest.routes.artifacts import ArtifactsResource
    from lesto.jobmanager.server.rest.routes.sql import SqlResource

    config = Configuration.from_dict({"web.submit.enable": "false"})
    policy = TargetPolicy(trusted=True, root=None)
    context = Context(None, None, config, MetricRegistry(), policy, submission=object())
    with pytest.raises(SwitchedOffError):
        _ = ArtifactsResource(context)._submission
    with pytest.raises(SwitchedOffError):
        _ = SqlResource(context)._sessions

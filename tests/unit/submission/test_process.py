"""Nothing outlives a process that runs users' code: not what it forks, nor it its parent."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from lesto.jobmanager.server.submission import process as under_test
from lesto.jobmanager.server.submission.process import ChildProcess

RUNNER = "import json,sys; exec(json.load(sys.stdin)['code'])"


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start code as a child process."""
    module = tmp_path / "runs_code.py"
    module.write_text(RUNNER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    folder = tmp_path / "home" / "work"
    folder.mkdir(parents=True)
    started = []

    def run(code):
        started.append(ChildProcess("runs_code", {"code": code}, folder))
        return started[-1]

    yield run
    for child in started:
        child.stop()


def eventually(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_how_it_ended_and_what_it_printed(start):
    ended = start("print('out'); print('err', file=sys.stderr); sys.exit(3)").wait(10)
    assert ended.code == 3
    assert {"out", "err"} <= set(ended.output.split())
    assert ended.text == "ended with exit code 3"


def test_killed_from_outside(start):
    ended = start("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").wait(10)
    assert ended.text == "was killed by signal 9 (SIGKILL)"


def test_much_output_is_clipped_in_the_middle(start):
    code = "print('begin')\nfor _ in range(800): sys.stdout.write('x' * 65536)\nprint('end')"
    ended = start(code).wait(30)
    assert ended.output.startswith("begin")
    assert ended.output.endswith("end\n")
    assert ended.output_bytes > 50_000_000 > 40_000 > len(ended.output)
    assert "bytes left out" in ended.output


def test_its_input_ends_and_its_folder_is_its_own(start, tmp_path):
    ended = start("import os; print(os.getcwd(), repr(sys.stdin.read()))").wait(10)
    assert ended.output == f"{tmp_path}/home/work ''\n"


def test_stopping_kills_a_whole_family_and_leaves_no_zombie(start, tmp_path):
    pids = tmp_path / "pids"
    code = f"""
import os, time, subprocess
def note():
    with open({str(pids)!r}, "a") as f: f.write(f"{{os.getpid()}}\\n")
note()
if os.fork() == 0:
    note()
    os.setsid()
    if os.fork() == 0:
        note()
    time.sleep(600)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
time.sleep(600)
"""
    child = start(code)
    eventually(lambda: pids.exists() and len(pids.read_text().split()) == 3)
    before = [p.pid for p in psutil.Process(child._warden.pid).children(recursive=True)]
    assert child.wait(0.01) is None
    began = time.monotonic()
    assert child.stop().text == "was killed by signal 9 (SIGKILL)"
    assert time.monotonic() - began < 3
    assert len(before) >= 3
    for pid in [*before, *map(int, pids.read_text().split())]:
        assert not psutil.pid_exists(pid)


def test_what_it_leaves_behind_goes_with_it(start, tmp_path):
    left = tmp_path / "left"
    code = f"""
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open({str(left)!r}, "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
while not os.path.exists({str(left)!r}) or not open({str(left)!r}).read(): time.sleep(0.01)
"""
    ended = start(code).wait(10)
    assert ended.code == 0
    assert not psutil.pid_exists(int(left.read_text()))


def test_a_killed_warden_is_told_as_a_kill(start):
    child = start("import time; time.sleep(600)")
    eventually(lambda: psutil.Process(child._warden.pid).children())
    orphan = psutil.Process(child._warden.pid).children()[0].pid
    child._warden.kill()
    assert child.wait(5).code == -signal.SIGKILL
    os.kill(orphan, signal.SIGKILL)  # with the warden, nobody is left to do it
    eventually(lambda: gone(orphan))


def test_it_dies_with_its_parent(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "runs_code.py").write_text(RUNNER)
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path\n"
            "from lesto.jobmanager.server.submission.process import ChildProcess\n"
            "given = {'code': 'import time; time.sleep(600)'}\n"
            f"c = ChildProcess('runs_code', given, Path({str(tmp_path)!r}) / 'work')\n"
            "print(c._warden.pid, flush=True); time.sleep(600)",
        ],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    warden = int(parent.stdout.readline())
    eventually(lambda: psutil.Process(warden).children())
    family = [warden, *(p.pid for p in psutil.Process(warden).children(recursive=True))]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    eventually(lambda: all(gone(pid) for pid in family))


def test_the_token_is_in_no_command_line_and_no_environment(start, tmp_path):
    child = start("import time; time.sleep(600)  # s3cret")
    eventually(lambda: psutil.Process(child._warden.pid).children())
    for process in (
        psutil.Process(child._warden.pid),
        *psutil.Process(child._warden.pid).children(),
    ):
        assert "s3cret" not in json.dumps([process.cmdline(), process.environ()])
    assert under_test._NOT_INHERITED.isdisjoint(process.environ())

"""The leak check (tests/plugins/leaks.py) finds what it claims to find, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
PRELUDE = """
import atexit, os, subprocess, sys, tempfile, threading, time
import pytest
SLEEP = [sys.executable, "-c", "import time; time.sleep(30)"]
KEEP = []
"""


def _run(folder, source):
    """Run a test file under the plugin in its own process; return pytest's output."""
    (folder / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n    leaks_ok(reason, only)\n"
        "addopts = --strict-markers -p no:cacheprovider\n"
    )
    (folder / "test_it.py").write_text(PRELUDE + source)
    environment = os.environ | {"PYTHONPATH": str(PLUGINS), "LESTO_TEST_GRACE_SECONDS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "leaks", "test_it.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.stdout + done.stderr


LEAKS = {
    "threads": "def test(): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "fds": "def test(): KEEP.append(os.open(__file__, os.O_RDONLY))",
    "files": "def test(): open(os.path.join(tempfile.gettempdir(), 'left'), 'w').close()",
    "processes": "def test():\n    KEEP.append(subprocess.Popen(SLEEP))\n"
    "    atexit.register(lambda: [p.kill() or p.wait() for p in KEEP])",
}


@pytest.mark.parametrize("kind", LEAKS)
def test_a_leak_fails_the_test_that_made_it(kind, tmp_path):
    output = _run(tmp_path, LEAKS[kind])
    assert "1 passed, 1 error" in output
    assert "test left behind" in output
    assert f"  {kind}: " in output


@pytest.mark.parametrize("kind", LEAKS)
def test_leaks_ok_exempts_its_kind_only(kind, tmp_path):
    other = "fds" if kind != "fds" else "threads"
    marked = f"@pytest.mark.leaks_ok('why', only=('{kind}',))\n{LEAKS[kind]}"
    assert "1 passed in" in _run(tmp_path, marked)
    marked = f"@pytest.mark.leaks_ok('why', only=('{other}',))\n{LEAKS[kind]}"
    assert "1 passed, 1 error" in _run(tmp_path, marked)


def test_leaks_ok_without_a_reason_is_refused(tmp_path):
    assert "leaks_ok needs a reason" in _run(tmp_path, "@pytest.mark.leaks_ok\ndef test(): pass")


def test_an_orphan_whose_parent_died_is_found(tmp_path):
    output = _run(
        tmp_path,
        """
CODE = "import subprocess, sys;"
CODE += "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
CODE += " stdout=subprocess.DEVNULL).pid)"
def test():
    subprocess.run([sys.executable, "-c", CODE], check=True)
""",
    )
    assert "1 passed, 1 error" in output
    assert "time.sleep(60)" in output


def test_what_a_session_fixture_holds_is_not_the_tests_leak(tmp_path):
    output = _run(
        tmp_path,
        """
@pytest.fixture(scope="session")
def cluster():
    process = subprocess.Popen(SLEEP)
    descriptor = os.open(__file__, os.O_RDONLY)
    yield process
    os.close(descriptor)
    process.kill()
    process.wait()
def test_one(cluster): pass
def test_two(cluster): pass
""",
    )
    assert "2 passed in" in output


def test_what_a_session_fixture_leaves_behind_is_its_leak(tmp_path):
    output = _run(
        tmp_path,
        """
@pytest.fixture(scope="session")
def cluster():
    KEEP.append(os.open(__file__, os.O_RDONLY))
    yield
def test_one(cluster): pass
def test_two(cluster): pass
""",
    )
    assert "2 passed, 1 error" in output
    assert "fixture 'cluster' left behind" in output


def test_a_process_that_a_shared_cluster_starts_later_is_not_a_leak(tmp_path):
    output = _run(
        tmp_path,
        """
CODE = "import subprocess, sys, time; sys.stdin.readline();"
CODE += "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)']);"
CODE += "print('up', flush=True); sys.stdin.readline(); p.kill(); p.wait()"
@pytest.fixture(scope="module")
def cluster():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", CODE], text=True, **pipes) as process:
        yield process
        process.communicate("stop\\n")
def test_one(cluster):
    cluster.stdin.write("go\\n")
    cluster.stdin.flush()
    assert cluster.stdout.readline() == "up\\n"
def test_two(cluster): pass
""",
    )
    assert "2 passed in" in output


def test_a_thread_that_ends_within_the_grace_period_is_no_leak(tmp_path):
    source = "def test(): threading.Thread(target=time.sleep, args=(0.3,)).start()"
    assert "1 passed in" in _run(tmp_path, source)


def test_a_pool_of_a_shared_fixture_may_grow(tmp_path):
    output = _run(
        tmp_path,
        """
from concurrent.futures import ThreadPoolExecutor
@pytest.fixture(scope="session")
def pool():
    with ThreadPoolExecutor(2, "pool") as made:
        made.submit(int).result()
        yield made
def test_one(pool): pass
def test_two(pool):
    both = threading.Barrier(3)
    for _ in range(2):
        pool.submit(both.wait)
    both.wait(10)
""",
    )
    assert "2 passed in" in output

"""The pytest plugin, as a user's test run sees it."""

import os
import subprocess
import sys

USERS_TEST = """
from lesto.testing import OperatorHarness

def test_shared_cluster(lesto_env):
    stream = lesto_env.from_collection([1, 2, 3]).key_by(lambda v: 0).sum()
    assert list(stream.execute_and_collect()) == [1, 3, 6]

def test_the_same_cluster_again(lesto_env, lesto_cluster):
    assert lesto_cluster.slots == 2
    upper = lesto_env.from_collection(["a", "b"]).map(str.upper)
    assert sorted(upper.execute_and_collect()) == ["A", "B"]

def test_clock(lesto_clock):
    lesto_clock.advance(5)
    assert lesto_clock.now_ms() == 5
"""


def test_fixtures_are_there_without_any_configuration(tmp_path):
    (tmp_path / "test_user.py").write_text(USERS_TEST)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--lesto-slots=2"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "3 passed" in done.stdout


def test_loading_the_plugin_imports_nothing_of_the_engine():
    code = "import sys, lesto.pytest_plugin; print('lesto.client' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False"

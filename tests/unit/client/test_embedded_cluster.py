"""The embedded cluster and what keeps it tidy: tokens, deaths of its owner."""

import os
import signal
import stat
import subprocess
import sys
import time

import psutil
import pytest

from lesto.client import local_token
from lesto.client.errors import ClusterStartError, NotAuthorizedError
from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.minicluster import MiniCluster
from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.errors import LestoError
from lesto.common.scratch import ScratchDirectory

# ------------------------------------------------------------------------------------------ tokens


@pytest.fixture
def runtime_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def test_a_local_cluster_lends_its_token_while_it_runs(runtime_folder):
    config = Configuration()
    with local_token.published_token("secret", 4711) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert local_token.find_token(config, "127.0.0.1:4711") == "secret"
        assert local_token.find_token(config, "localhost:4711") == "secret"
        assert local_token.find_token(config, "127.0.0.1:4712") is None
        assert local_token.find_token(config, "10.0.0.1:4711") is None
        config.set(options.SECURITY_TOKEN, "mine")
        assert local_token.find_token(config, "127.0.0.1:4711") == "mine"
    assert list(runtime_folder.iterdir()) == []


def test_a_token_left_by_a_killed_process_is_replaced(runtime_folder):
    (runtime_folder / "lesto").mkdir(mode=0o700)
    (runtime_folder / "lesto" / "4711.token").write_text("old")
    with local_token.published_token("new", 4711):
        assert local_token.find_token(Configuration(), "127.0.0.1:4711") == "new"


def test_a_folder_that_others_can_read_is_refused(runtime_folder):
    (runtime_folder / "lesto").mkdir(mode=0o755)
    (runtime_folder / "lesto").chmod(0o755)
    with pytest.raises(PermissionError), local_token.published_token("secret", 4711):
        pass


# ----------------------------------------------------------------------------------------- cluster


@pytest.mark.cluster
@pytest.mark.parametrize(("given", "seconds"), [({}, 50), ({"heartbeat.timeout": "7 s"}, 7)])
def test_a_program_that_pauses_does_not_lose_its_own_cluster(given, seconds):
    cluster = MiniCluster(Configuration.from_dict(given), slots=1)
    try:
        cluster._prepare_config()
        assert cluster.config.get(options.HEARTBEAT_TIMEOUT).total_seconds() == seconds
    finally:
        cluster.stop()


def test_a_cluster_starts_serves_only_its_token_and_stops():
    with MiniCluster(slots=1) as cluster:
        cluster.wait_ready()
        with JobManagerClient(cluster.address, cluster.token) as client:
            assert client.cluster().slots_total == 1
            (worker,) = client.cluster().taskmanagers
            slot = psutil.Process(worker.slots[0].pid)
        with JobManagerClient(cluster.address) as stranger, pytest.raises(LestoError) as caught:
            stranger.cluster()
        assert isinstance(caught.value, NotAuthorizedError) or caught.value.code == "LESTO-4108"
        assert cluster.token not in " ".join(slot.cmdline())
        assert cluster.token not in str(slot.environ())
        with pytest.raises(ClusterStartError):
            cluster.start()
    assert not slot.is_running()
    cluster.stop()


@pytest.mark.cluster
def test_a_cluster_can_start_again(tmp_path):
    given = Configuration.from_dict({"io.tmp.dirs": str(tmp_path)})
    cluster = MiniCluster(given, slots=1)
    for _ in range(2):
        with cluster:
            assert list(tmp_path.iterdir())
        assert list(tmp_path.iterdir()) == []
    assert not given.contains(options.SECURITY_TOKEN)


@pytest.mark.cluster
def test_a_cluster_keeps_the_directories_that_the_user_names(tmp_path):
    given = Configuration.from_dict({"execution.checkpointing.dir": str(tmp_path / "mine")})
    with MiniCluster(given, slots=1) as cluster:
        assert cluster.config.get(options.CHECKPOINT_DIR) == str(tmp_path / "mine")


OWNER = """
import sys, time
from lesto.client.minicluster import MiniCluster
from lesto.client.jobmanager_client import JobManagerClient
if __name__ == "__main__":
    cluster = MiniCluster(slots=2).start()
    cluster.wait_ready()
    with JobManagerClient(cluster.address, cluster.token) as client:
        pids = [slot.pid for tm in client.cluster().taskmanagers for slot in tm.slots]
    print(*pids, flush=True)
    if sys.argv[1:] == ["exit"]:
        sys.exit(3)
    time.sleep(60)
"""


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("ending", "code"),
    [("exit", 3), (signal.SIGTERM, 143), (signal.SIGINT, None), (signal.SIGKILL, -9)],
)
def test_nothing_outlives_the_owner_however_it_ends(tmp_path, ending, code):
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    scratch_folder = tmp_path / "tmp"
    scratch_folder.mkdir()
    owner = subprocess.Popen(
        [sys.executable, str(script), *(["exit"] if ending == "exit" else [])],
        env={**os.environ, "TMPDIR": str(scratch_folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        slots = [int(word) for word in owner.stdout.readline().split()]
        assert len(slots) == 2
        if ending != "exit":
            owner.send_signal(ending)
        _, errors = owner.communicate(timeout=60)
    finally:
        if owner.poll() is None:
            owner.kill()
            owner.communicate()
    if code is not None:
        assert owner.returncode == code, errors
    deadline = time.monotonic() + 60
    while any(psutil.pid_exists(pid) for pid in slots) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in slots if psutil.pid_exists(pid)]
    if ending == signal.SIGKILL:  # nobody could clean up: the next cluster does
        ScratchDirectory("next", str(scratch_folder)).close()
    assert list(scratch_folder.iterdir()) == []


def test_the_programs_own_logging_shows_nothing_of_the_cluster(tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        "import logging, sys\n"
        "from lesto.datastream import StreamExecutionEnvironment\n"
        "logging.basicConfig(stream=sys.stdout, level=logging.INFO, format='%(message)s')\n"
        "env = StreamExecutionEnvironment.get_execution_environment()\n"
        "env.from_collection(['word']).print()\n"
        "env.execute()\n"
        "logging.info('mine')\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.splitlines() == ["word", "mine"], done.stderr


UNFINISHED = """
from lesto.table import EnvironmentSettings, TableEnvironment

t_env = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
t_env.get_config().set("parallelism.default", "1")
t_env.execute_sql("CREATE TABLE s (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '9')")
t_env.execute_sql("CREATE TABLE k (id INT) WITH ('connector' = 'blackhole')")
for _ in range(2):
    t_env.execute_sql("INSERT INTO k SELECT id FROM s")
"""


def test_a_program_ends_at_once_though_its_jobs_would_go_on(tmp_path):
    (tmp_path / "job.py").write_text(UNFINISHED)
    done = subprocess.run(
        [sys.executable, "job.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=25,  # a cluster that does not stop is waited for for 30 s
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr

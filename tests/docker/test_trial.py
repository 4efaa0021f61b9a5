"""Containers are killed for real. Opt-in: LESTO_TEST_DOCKER=1, with a docker daemon and compose.

Takes minutes; builds the image. Without a registry, scripts/docker-base makes what it stands on.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CANNOT = 3
DAEMON = pytest.mark.skipif(
    os.environ.get("LESTO_TEST_DOCKER") != "1",
    reason="takes minutes and a docker daemon: LESTO_TEST_DOCKER=1, apt-get install docker.io "
    "docker-compose",
)


@DAEMON
@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_containers_lose_and_double_nothing(tmp_path):
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [ROOT / "scripts/docker-trial", "--orders", "60000", "--json", figures],
        env={**os.environ, "LESTO_PYTHON": sys.executable},
        capture_output=True, text=True, timeout=1100, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode == CANNOT:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(figures.read_text())
    assert found["exactly once"]
    assert found["verdict"][0].startswith("60000 sent, 60000 counted, 0 lost, 0 duplicated")

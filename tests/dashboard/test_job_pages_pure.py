"""What the job's pages compute (health, rates, verdicts, layouts), by Node's own test runner."""

import shutil
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"


def test_what_is_pure():
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node: apt-get install nodejs")
    if not (WEB / "node_modules" / "esbuild").exists():
        pytest.skip("no packages of the dashboard: npm ci in web/")
    run = subprocess.run(
        [node, "test.mjs"], cwd=WEB, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "# fail 0" in run.stdout

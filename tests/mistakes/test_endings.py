"""Ctrl-C and a reader that goes away: nothing stays behind, nothing hangs."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

ENDLESS = """
    from lesto.connectors.datagen import RowGenSource
    source = RowGenSource(lambda position: f"Grüße {position} ✓", rows_per_second=2000)
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
    stream.print()
    env.execute("endless")
"""
COMMAND = [sys.executable, "-m", "lesto.client.cli.main", "run"]


def start(script, **more):
    return subprocess.Popen([*COMMAND, script], text=True, start_new_session=True, **more)


@pytest.mark.cluster
def test_ctrl_c_leaves_no_process_and_no_file(write_script, tmp_path):
    script, _ = write_script(ENDLESS)
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    process = start(
        script,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    try:
        assert process.stdout.readline(), "it runs"
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does: to all of them
        _, errors = process.communicate(timeout=90)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 130, errors
    assert errors.rstrip().splitlines()[-1] == "interrupted"
    assert "Traceback" not in errors
    deadline = time.monotonic() + 5
    while any(child.is_running() for child in children) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [child for child in children if child.is_running()]
    assert list(scratch.iterdir()) == []


@pytest.mark.cluster
def test_a_reader_that_goes_away_ends_the_job(write_script):
    script, _ = write_script(ENDLESS)
    line = f"{' '.join(COMMAND)} {script} | head -1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=90, check=False)
    assert "Grüße" in done.stdout
    assert "Traceback" not in done.stderr

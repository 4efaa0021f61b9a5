"""Programs of PyFlink (examples/ported) run with nothing but their imports replaced.

``expected/`` holds what they print under PyFlink, sorted. To compare anew, where PyFlink is in
build/peers (benchmarks/peers/setup): ``LESTO_TEST_PYFLINK=1 pytest tests/contract -k pyflink``.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "examples" / "ported"
EXPECTED = Path(__file__).with_name("expected")
PYFLINK = ROOT / "build" / "peers" / "pyflink" / "bin"
#: Kafka's program needs a broker: tests/kafka runs it.
NAMES = sorted(path.stem for path in PROGRAMS.glob("*.py") if path.stem != "kafka_json")
PYFLINK_SECONDS = 300


def ported(name, folder):
    """The program with its imports replaced; nothing else of it names pyflink."""
    text = (PROGRAMS / f"{name}.py").read_text("utf-8")
    lines = [
        re.sub(r"^((?:from|import) )pyflink\b", r"\1lesto", line) for line in text.splitlines()
    ]
    script = folder / f"{name}.py"
    script.write_text("\n".join(lines) + "\n", "utf-8")
    return script


def expected(name):
    return (EXPECTED / f"{name}.txt").read_text("utf-8").splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_a_pyflink_program_runs_with_its_imports_replaced(name, command, tmp_path):
    outcome = command("run", ported(name, tmp_path))
    assert outcome.code == 0, outcome.err
    assert sorted(outcome.out.splitlines()) == expected(name)


@pytest.mark.slow
@pytest.mark.timeout(PYFLINK_SECONDS + 10)
@pytest.mark.skipif("LESTO_TEST_PYFLINK" not in os.environ, reason="LESTO_TEST_PYFLINK is not set")
@pytest.mark.parametrize("name", NAMES)
def test_pyflink_prints_the_same(name):
    done = subprocess.run(
        [PYFLINK / "python", PROGRAMS / f"{name}.py"],
        env={**os.environ, "PATH": f"{PYFLINK}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PYFLINK_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == expected(name)

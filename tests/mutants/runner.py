"""Applies each mutant of mutants.toml to a copy of the tree and runs its named test there.

Exit code 0: every named test is green on the unchanged copy and red on its mutant. The copy is
imported instead of the installed checkout, which is verified.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TEST_SECONDS_MAX = 300
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", "data"
)


def run_test(copy, test):
    """(green, last lines) of a test run in the copy."""
    env = {**os.environ, "PYTHONPATH": str(copy)}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *test.split()], cwd=copy, env=env, capture_output=True, text=True,
        timeout=TEST_SECONDS_MAX, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode not in {0, 1}:
        raise SystemExit(f"{test} could not be run:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    return done.returncode == 0, done.stdout


def first_failure(output):
    """The id of the first test that failed."""
    for line in output.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            return line.split(" - ")[0].split(" ", 1)[1]
    return "?"


def check_import(copy):
    """The copy is what tests import."""
    where = subprocess.run(
        [sys.executable, "-c", "import lesto.state; print(lesto.state.__file__)"],
        cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)}, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    assert where.startswith(str(copy)), f"imports {where.strip()} instead of the copy"


def check_place(copy, mutant):
    """Each mutant has exactly one place, known before anything runs."""
    occurrences = (copy / mutant["file"]).read_text().count(mutant["find"])
    if occurrences != 1:
        msg = f"{mutant['name']}: `find` occurs {occurrences} times in {mutant['file']}"
        raise SystemExit(msg)


def main():
    """Run all mutants, or those named."""
    table = tomllib.loads((ROOT / "tests/mutants/mutants.toml").read_text())["mutant"]
    wanted = set(sys.argv[1:])
    mutants = [m for m in table if not wanted or m["name"] in wanted]
    survivors = []
    with tempfile.TemporaryDirectory(prefix="lesto-mutants-") as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, symlinks=True, ignore=LEFT_OUT)
        check_import(copy)
        for mutant in mutants:
            check_place(copy, mutant)
        green = {test: run_test(copy, test)[0] for test in sorted({m["test"] for m in mutants})}
        for mutant in mutants:
            path = copy / mutant["file"]
            original = path.read_text()
            if not green[mutant["test"]]:
                raise SystemExit(f"{mutant['test']} is red without any mutant")
            path.write_text(original.replace(mutant["find"], mutant["replace"]))
            begin = time.monotonic()
            survived, output = run_test(copy, mutant["test"])
            path.write_text(original)
            verdict = "SURVIVED" if survived else f"killed by {first_failure(output)}"
            print(f"{mutant['name']:34} {time.monotonic() - begin:5.1f} s  {verdict}", flush=True)
            if survived:
                survivors.append(mutant["name"])
    print(f"{len(mutants) - len(survivors)} of {len(mutants)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())

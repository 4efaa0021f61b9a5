"""A job's life in the dashboard: see ``record-walk``.

Everything is done as a person would: in the browser, but for the processes, which are started and
killed from outside. What is claimed under the pictures was measured in the run that made them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.dashboard_browser import Visit, chromium, visiting  # noqa: E402

PICTURES = ROOT / "docs" / "walk"
PAGE = ROOT / "docs" / "walk.md"
PROGRAM = ROOT / "examples" / "payments.py"
LESTO = [sys.executable, "-m", "lesto.client.cli.main"]
TASKMANAGERS, SLOTS = 2, 3
WAIT_SECONDS = 60
#: What the pictures should show some of.
WATCH_SECONDS = 12


class Cluster:
    """A JobManager and TaskManagers, each a process of its own as on machines of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.taskmanagers: list[subprocess.Popen[str]] = []
        self._stack = contextlib.ExitStack()
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        folder = self.folder
        jobmanager = self._start(
            "jobmanager", "--port", "0", "--rest-port", "0", "-D",
            f"execution.checkpointing.dir={folder / 'checkpoints'}", "-D",
            f"execution.checkpointing.savepoint-dir={folder / 'savepoints'}",
        )  # fmt: skip
        line = self._line(jobmanager, r"JobManager on (\S+), REST on http://(\S+)")
        self.address, self.rest = line[1], line[2]
        for _ in range(TASKMANAGERS):
            self.add_taskmanager()
        until(lambda: self.get("/overview")["slots-available"] == TASKMANAGERS * SLOTS, "slots")

    def _start(self, *command: str) -> subprocess.Popen[str]:
        log = (self.folder / f"{command[0]}-{time.monotonic_ns()}.log").open("w")
        process = subprocess.Popen(
            [*LESTO, *command],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._stack.callback(self._end, process)
        return process

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        process.terminate()
        process.wait(WAIT_SECONDS)
        assert process.stdout is not None
        process.stdout.close()

    @staticmethod
    def _line(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(pattern, line):
                return found
        msg = f"the process ended before it said {pattern}"
        raise RuntimeError(msg)

    def add_taskmanager(self) -> None:
        """Start one more."""
        self.taskmanagers.append(
            self._start("taskmanager", "-m", self.address, "--slots", str(SLOTS))
        )

    def get(self, path: str) -> Any:
        """Ask REST."""
        with urllib.request.urlopen(f"http://{self.rest}{path}", timeout=WAIT_SECONDS) as answer:
            return json.load(answer)

    def close(self) -> None:
        """End the processes."""
        self._stack.close()


def until(true: Callable[[], object], what: str) -> float:
    """Wait; return for how many seconds."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > WAIT_SECONDS:
            msg = f"waited {WAIT_SECONDS} s in vain: {what}"
            raise RuntimeError(msg)
        time.sleep(0.05)
    return time.monotonic() - began


class Walk:
    """The steps, their pictures and words."""

    def __init__(self, cluster: Cluster, visit: Visit, output: Path) -> None:
        self.cluster, self.visit, self.output = cluster, visit, output
        self.job = ""
        self._parts: list[str] = []

    # ------------------------------------------------------------------------------------- telling

    def show(self, name: str, title: str, text: str) -> None:
        """Keep a picture of what the browser shows, and what is to be said of it."""
        self.visit.settle()
        number = sum(part.startswith("## ") for part in self._parts) + 1
        file = f"{number:02}-{name}.png"
        self.visit.page.screenshot(path=PICTURES / file, animations="disabled")
        self._parts += [f"## {number}. {title}", text, f"![{title}](walk/{file})"]
        print(f"{number}. {title}", flush=True)

    def written(self) -> str:
        """Return the page."""
        return "\n\n".join([_HEAD, *self._parts, _TAIL]) + "\n"

    # ------------------------------------------------------------------------------------- helpers

    def job_page(self, tab: str) -> None:
        self.visit.go(f"jobs/{self.job}/{tab}", heading="payments")

    def details(self) -> Any:
        return self.cluster.get(f"/jobs/{self.job}")

    def is_running(self) -> bool:
        found = self.details()
        tasks = [s for v in found["vertices"] for s in v.get("subtasks", ())]
        counts = found["status-counts"]
        return (
            found["state"] == "RUNNING"
            and counts["RUNNING"] == len(found["vertices"])
            and all(task.get("status", "RUNNING") == "RUNNING" for task in tasks)
        )

    def completed(self) -> int:
        counts: int = self.cluster.get(f"/jobs/{self.job}/checkpoints")["counts"]["completed"]
        return counts

    def button(self, name: str) -> None:
        self.visit.page.get_by_role("button", name=name, exact=True).first.click()

    # --------------------------------------------------------------------------------------- steps

    def start(self) -> None:
        self.visit.go("overview")
        self.show(
            "overview",
            "Start a cluster",
            "```\nlesto jobmanager\nlesto taskmanager --slots 3      # twice, here or elsewhere\n"
            f"```\n\nThe overview shows {TASKMANAGERS} TaskManagers, {TASKMANAGERS * SLOTS} free "
            "slots. On one machine `lesto dev` does all of it.",
        )

    def submit(self) -> None:
        page = self.visit.go("submit")
        page.set_input_files("input[type=file]", PROGRAM)
        page.get_by_label("Arguments", exact=True).fill(str(self.output))
        page.get_by_label("Parallelism", exact=True).fill("2")
        page.get_by_role("button", name="Plan", exact=False).first.click()
        page.wait_for_timeout(3_000)
        self.show(
            "submit",
            "Submit a job",
            "Drop [`examples/payments.py`](../examples/payments.py) on the page, give arguments, "
            "look at the plan, run it. `lesto run -m HOST:6123 -d -p 2 examples/payments.py OUT` "
            "does the same. The program runs in a process of its own; if it raises, its traceback "
            "is shown here.",
        )
        page.get_by_role("button", name="Run", exact=True).first.click()
        until(lambda: self.cluster.get("/jobs")["jobs"], "the job")
        self.job = self.cluster.get("/jobs")["jobs"][0]["id"]
        seconds = until(self.is_running, "the job runs")
        print(f"   running {seconds:.1f} s after its submission")

    def watch(self) -> None:
        self.job_page("graph")
        until(lambda: self.completed() >= 4, "checkpoints")
        self.visit.page.wait_for_timeout(WATCH_SECONDS * 1000)
        self.show(
            "graph",
            "Watch it",
            "The line at the top says whether the job is healthy, how late it is, what limits "
            "it and when the last good checkpoint was. Colours and patterns say how busy each "
            "vertex is; edges show records a second.",
        )
        self.job_page("checkpoints")
        self.show(
            "checkpoints",
            "Which subtask was slow, and in which phase",
            "Each checkpoint with its phases by subtask: start delay, alignment, the part that "
            "holds the task up, and the upload beside it.",
        )
        vertex = self.details()["vertices"][-1]["id"]
        self.visit.go(f"jobs/{self.job}/vertices/{vertex}/flamegraph")
        self.visit.page.wait_for_timeout(8_000)
        self.show(
            "flame",
            "Where the time goes",
            "Python frames of the subtasks' threads, your code apart from Lesto's and the "
            "libraries'.",
        )
        self.visit.go(f"jobs/{self.job}/vertices/{vertex}/records")
        self.visit.page.wait_for_timeout(4_000)
        self.show(
            "records",
            "What is in the records",
            "The next records of any operator's output, as they pass.",
        )

    def kill(self) -> None:
        busy = {
            subtask["taskmanager-id"]
            for vertex in self.details()["vertices"]
            for subtask in self.cluster.get(f"/jobs/{self.job}/vertices/{vertex['id']}")["subtasks"]
        }
        workers = self.cluster.get("/taskmanagers")["taskmanagers"]
        pid = next(worker["pid"] for worker in workers if worker["id"] in busy)
        victim = next(p for p in self.cluster.taskmanagers if p.pid == pid)
        self.job_page("graph")
        os.kill(victim.pid, signal.SIGKILL)
        began = time.monotonic()
        until(lambda: not self.is_running(), "the loss is seen")
        until(self.is_running, "the job runs again")
        seconds = time.monotonic() - began
        before = self.completed()
        until(lambda: self.completed() > before, "a checkpoint behind the recovery")
        self.job_page("timeline")
        self.visit.page.wait_for_timeout(3_000)
        self.show(
            "recovery",
            "Kill a worker, and see the recovery explained",
            f"```\nkill -9 {victim.pid}      # a TaskManager, all its slots\n```\n\nAll tasks ran "
            f"again **{seconds:.1f} s** after the kill, from the last checkpoint, in slots of the "
            "other TaskManager. The timeline says what happened, in order, and why.",
        )
        self.job_page("exceptions")
        self.show(
            "exceptions",
            "What failed last",
            "Here it was a process; for a function that raises, the user's own traceback comes "
            "first.",
        )
        self.cluster.add_taskmanager()
        self.cluster.taskmanagers.remove(victim)
        until(lambda: self.cluster.get("/overview")["slots-total"] == TASKMANAGERS * SLOTS, "slots")

    def savepoint(self) -> None:
        self.job_page("graph")
        self.button("Savepoint")
        self.visit.page.get_by_role("button", name="Take a savepoint").click()
        self.visit.page.get_by_text("Complete after").first.wait_for()
        self.show(
            "savepoint",
            "Take a savepoint",
            "It is yours: Lesto never deletes it, and a job starts from it, changed or with "
            "another parallelism.",
        )
        self.button("Close")

    def rescale(self) -> None:
        self.job_page("graph")
        self.button("Rescale")
        page = self.visit.page
        page.get_by_label("Parallelism of all vertices").fill("3")
        page.get_by_role("button", name=re.compile("^Rescale .*vert")).click()

        def wide() -> bool:
            return all(v["parallelism"] == 3 for v in self.details()["vertices"])

        began = time.monotonic()
        until(wide, "the new parallelism")
        until(self.is_running, "the job runs with it")
        seconds = time.monotonic() - began
        page.get_by_role("button", name="Close").first.wait_for()
        self.button("Close")
        page.wait_for_timeout(WATCH_SECONDS * 1000)
        self.show(
            "rescaled",
            "Rescale in place",
            f"From 2 to 3, asked for and running in **{seconds:.1f} s**: a checkpoint, a pause, "
            "and the state moves along by key groups. `lesto rescale JOB -p 3` does the same.",
        )

    def stop(self) -> None:
        self.button("Stop with savepoint")
        page = self.visit.page
        page.get_by_role("button", name="Stop the job").click()
        page.get_by_text("Complete after").first.wait_for()
        self.button("Close")
        until(lambda: self.details()["state"] == "FINISHED", "the end")
        self.job_page("timeline")
        page.wait_for_timeout(2_000)
        said = subprocess.run(
            [sys.executable, str(PROGRAM), str(self.output), "--check"],
            check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        print(f"   {said}")
        if "0 twice, 0 missing" not in said:
            raise RuntimeError(said)
        self.show(
            "stopped",
            "Stop it, and count",
            "Sources end, a last savepoint is taken, all is published. Then, from outside:\n\n"
            f"```\n$ python examples/payments.py OUT --check\n{said}\n```",
        )


_HEAD = """# A job's life, in pictures

<!-- Made by scripts/record-walk: pictures and figures are of one run. -->

Start a cluster, submit, watch, kill a worker, see the recovery explained, savepoint, rescale,
stop. The job writes 20,000 payments a second to files, each exactly once, with the number of that
card's payments so far ([`examples/payments.py`](../examples/payments.py))."""

_TAIL = """---

`scripts/record-walk` makes this page anew."""


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A cluster that ends with the block."""
    cluster = Cluster(folder)
    try:
        yield cluster
    finally:
        cluster.close()


def main() -> None:
    """Walk."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for old in PICTURES.glob("*.png"):
        old.unlink()
    with (
        tempfile.TemporaryDirectory(prefix="walk-") as folder,
        running(Path(folder)) as cluster,
        chromium() as browser,
        visiting(browser, cluster.rest, "light") as visit,
    ):
        walk = Walk(cluster, visit, Path(folder) / "out")
        for step in (
            walk.start,
            walk.submit,
            walk.watch,
            walk.kill,
            walk.savepoint,
            walk.rescale,
            walk.stop,
        ):
            step()
        PAGE.write_text(walk.written(), encoding="utf-8")
        visit.errors()


if __name__ == "__main__":
    main()

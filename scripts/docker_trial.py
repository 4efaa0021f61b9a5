"""Kills containers of the demo in docker-compose.yml and measures what comes back.

Everything is asked of the cluster as a user would: the REST server on the published port, with the
token, and the words of the demo's verifier. Prints a table, and with --json a file of figures.
Exit status 1: an order was lost or doubled, or something did not come back in time.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOB = "de300000000000000000000000000001"
SERVICES = ("kafka", "topics", "generator", "jobmanager", "taskmanager", "pipeline", "verifier")
UP_SECONDS_MAX = 300
RECOVERY_SECONDS_MAX = 180
POLL_SECONDS = 0.1
#: Exit status of a trial that cannot be made on this machine.
CANNOT = 3


class TrialError(Exception):
    """The trial did not go as it should."""


def missing() -> str:
    """What to install for a trial; empty: nothing."""
    docker = os.environ.get("DOCKER", "docker")
    if shutil.which(docker) is None:
        return "docker is missing: apt-get install docker.io, or docs.docker.com/engine/install"
    if subprocess.run([docker, "info"], capture_output=True, check=False, timeout=60).returncode:
        return "no docker daemon answers: start dockerd, or set DOCKER_HOST"
    if not compose_command():
        return "compose is missing: apt-get install docker-compose, or docker's compose plugin"
    return ""


def compose_command() -> list[str]:
    """The command of compose: the plugin's, else the old program's; empty: there is none."""
    docker = os.environ.get("DOCKER", "docker")
    plugin = [docker, "compose"]
    if not subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode:
        return plugin
    return ["docker-compose"] if shutil.which("docker-compose") else []


class Demo:
    """The demo of docker-compose.yml as a project of its own, on free ports."""

    def __init__(self, orders: int, rate: int, build: bool) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.rest_port = free.getsockname()[1]
        self.docker = os.environ.get("DOCKER", "docker")
        self.project = f"lesto-trial-{os.getpid()}"
        self.environment = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": self.project,
            "DEMO_ORDERS": str(orders),
            "DEMO_RATE": str(rate),
            "LESTO_REST_PORT": str(self.rest_port),
        }
        self.build = build
        self.token = ""

    def run(self, *command: str, timeout: float = 120.0) -> str:
        """Run a command; returns what it wrote to standard output."""
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True,
            timeout=timeout, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            said = f"{done.stdout}\n{done.stderr}".strip()
            msg = f"{' '.join(command)} ended with {done.returncode}:\n{said[-3000:]}"
            raise TrialError(msg)
        return done.stdout

    def compose(self, *arguments: str, timeout: float = 120.0) -> str:
        """Run compose."""
        return self.run(*compose_command(), *arguments, timeout=timeout)

    def containers(self, service: str) -> list[str]:
        """Ids of a service's containers."""
        label = "label=com.docker.compose"
        return self.run(
            self.docker, "ps", "-aq", "--no-trunc",
            "--filter", f"{label}.project={self.project}", "--filter", f"{label}.service={service}",
        ).split()  # fmt: skip

    def healthy(self, container: str) -> bool:
        """Whether a container's health check says so."""
        shape = "{{.State.Running}} {{.State.Health.Status}}"
        return self.run(self.docker, "inspect", "-f", shape, container).strip() == "true healthy"

    def start(self) -> None:
        """Start everything; returns before the job runs."""
        if self.build:
            self.compose("build", "jobmanager", timeout=1800)
        self.compose("up", "-d", "--no-build", *SERVICES, timeout=UP_SECONDS_MAX)
        (jobmanager,) = self.containers("jobmanager")
        self.token = self.run(self.docker, "exec", jobmanager, "cat", "/run/lesto/token").strip()

    def stop(self) -> None:
        """Remove everything, data too."""
        self.compose("--profile", "tools", "down", "-v", "--timeout", "5", timeout=300)

    def get(self, path: str) -> dict:
        """Ask the REST server; empty: it does not answer, or does not know."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.rest_port}{path}",
            headers={"Authorization": f"Bearer {self.token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return json.load(answer)
        except (OSError, urllib.error.URLError, json.JSONDecodeError):
            return {}

    def job(self) -> dict:
        """The demo job's line in the overview; empty: there is none."""
        jobs = self.get("/jobs/overview").get("jobs", [])
        return next((job for job in jobs if job["jid"] == JOB), {})

    def running(self) -> bool:
        """Whether each of the job's tasks runs."""
        job = self.job()
        tasks = job.get("tasks", {})
        return job.get("state") == "RUNNING" and 0 < tasks["running"] == tasks["total"]

    def working_taskmanager(self) -> str:
        """The container of the TaskManager with the most tasks' slots; the other may have none."""
        workers = self.get("/taskmanagers")["taskmanagers"]
        busiest = max(workers, key=lambda worker: worker["slotsNumber"] - worker["freeSlots"])
        shape = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        for container in self.containers("taskmanager"):
            addresses = self.run(self.docker, "inspect", "-f", shape, container).split()
            if busiest["path"] in addresses:
                return container
        msg = f"no container has the address of {busiest}"
        raise TrialError(msg)

    def interrupted(self) -> bool:
        """Whether REST answers that not each of the job's tasks runs."""
        return bool(self.job()) and not self.running()

    def checkpoints(self) -> dict:
        """Counts of the job's checkpoints."""
        return self.get(f"/jobs/{JOB}/checkpoints").get("counts", {})

    def said(self) -> list[str]:
        """The verifier's lines."""
        text = self.compose("logs", "--no-color", "--no-log-prefix", "verifier")
        return [line for line in text.splitlines() if "verifier: " in line]

    def wait(self, what: str, condition, seconds: float = RECOVERY_SECONDS_MAX) -> float:
        """Wait until a condition holds; returns the seconds that took."""
        begin = time.monotonic()
        while not condition():
            if time.monotonic() - begin > seconds:
                logs = self.compose("logs", "--no-color", "--tail", "15")
                msg = f"waited {seconds:g} s for {what}; job: {self.job()}\n{logs}"
                raise TrialError(msg)
            time.sleep(POLL_SECONDS)
        return time.monotonic() - begin

    def checkpointed(self) -> float:
        """Wait until one more checkpoint than now is complete."""
        before = self.checkpoints().get("completed", 0)
        return self.wait("a checkpoint", lambda: self.checkpoints().get("completed", -1) > before)


def kill_taskmanager(demo: Demo, figures: dict) -> None:
    """Kill the container of a TaskManager that runs tasks; the job goes on on the other."""
    container = demo.working_taskmanager()
    begin = time.monotonic()
    demo.run(demo.docker, "kill", container)
    demo.wait("the loss to be seen", demo.interrupted)
    noticed = time.monotonic() - begin
    demo.wait("the job to run again", demo.running)
    figures["taskmanager killed: noticed after, s"] = noticed
    figures["taskmanager killed: RUNNING again after, s"] = time.monotonic() - begin
    demo.checkpointed()
    figures["taskmanager killed: next checkpoint after, s"] = time.monotonic() - begin
    demo.run(demo.docker, "start", container)
    figures["taskmanager started: healthy after, s"] = demo.wait(
        "the TaskManager to be healthy", lambda: demo.healthy(container)
    )


def kill_jobmanager(demo: Demo, figures: dict) -> None:
    """Kill the JobManager's container and start it again; the job goes on."""
    (container,) = demo.containers("jobmanager")
    begin = time.monotonic()
    demo.run(demo.docker, "kill", container)
    demo.run(demo.docker, "start", container)
    started = time.monotonic()
    demo.wait("REST to answer", lambda: bool(demo.get("/overview")))
    figures["jobmanager killed and started: REST after, s"] = time.monotonic() - started
    demo.wait("the job to run again", demo.running)
    figures["jobmanager killed and started: RUNNING again after, s"] = time.monotonic() - begin
    demo.checkpointed()
    figures["jobmanager killed and started: next checkpoint after, s"] = time.monotonic() - begin


def trial(demo: Demo, kills: int, seconds: float) -> dict:
    """The trial; returns its figures and the verifier's last words."""
    figures: dict = {}
    begin = time.monotonic()
    demo.start()
    workers = demo.containers("taskmanager")
    demo.wait("a healthy cluster", lambda: all(map(demo.healthy, workers)), UP_SECONDS_MAX)
    figures["up: JobManager and TaskManagers healthy after, s"] = time.monotonic() - begin
    demo.wait("the job", demo.running, UP_SECONDS_MAX)
    figures["up: job RUNNING after, s"] = time.monotonic() - begin
    for _ in range(2):
        demo.checkpointed()
    for number in range(kills):
        found: dict = {}
        kill = kill_jobmanager if number % 2 else kill_taskmanager
        kill(demo, found)
        for name, value in found.items():
            figures[name if number < 2 else f"{name} ({number // 2 + 1})"] = value
        demo.checkpointed()
    (verifier,) = demo.containers("verifier")

    def ended() -> bool:
        shape = "{{.State.Status}}"
        return demo.run(demo.docker, "inspect", "-f", shape, verifier).strip() == "exited"

    demo.wait("the verifier's verdict", ended, seconds)
    code = demo.run(demo.docker, "inspect", "-f", "{{.State.ExitCode}}", verifier).strip()
    words = [line.partition("verifier: ")[2] for line in demo.said()[-2:]]
    figures["verdict"] = words
    figures["exactly once"] = code == "0" and words[-1:] == ["EXACTLY ONCE"]
    return figures


def images(demo: Demo) -> dict:
    """Sizes of the images, in MB."""
    name = demo.environment.get("LESTO_IMAGE", "lesto")
    size = demo.run(demo.docker, "image", "inspect", "-f", "{{.Size}}", name)
    return {"image, MB": int(size) / 1e6}


def main() -> int:
    """Make the trial and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=60_000, help="orders in all (60000)")
    parser.add_argument("--rate", type=int, default=1000, help="orders a second (1000)")
    parser.add_argument("--kills", type=int, default=2, help="a TaskManager, the JobManager, ...")
    parser.add_argument("--no-build", action="store_true", help="take the image that is there")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    if fault := missing():
        print(f"scripts/docker-trial: {fault}", file=sys.stderr)
        return CANNOT
    demo = Demo(arguments.orders, arguments.rate, build=not arguments.no_build)
    patience = arguments.orders / arguments.rate + 240
    try:
        figures = trial(demo, arguments.kills, patience)
        figures |= images(demo)
    except (TrialError, subprocess.TimeoutExpired) as error:
        print(f"scripts/docker-trial: {error}", file=sys.stderr)
        return 1
    finally:
        demo.stop()
    for name, value in figures.items():
        print(f"{name:62s} {value if not isinstance(value, float) else f'{value:.1f}'}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0 if figures["exactly once"] else 1


if __name__ == "__main__":
    sys.exit(main())

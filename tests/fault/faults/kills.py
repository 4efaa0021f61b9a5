"""kill -9: TaskManagers, slots, the JobManager, several at once, in recovery, in a storm."""

import time

from tests.fault.harness import Setting, scenario
from tests.fault.registry import Form

KEPT = Setting(keep_jobmanager=True)


@scenario(
    "kill-taskmanager", "T5",
    short=Form(seconds=7, strikes=2),
    long=Form(seconds=400, rate=20_000, strikes=100, interval="1s"),
)  # fmt: skip
def kill_taskmanager(a):
    """kill -9 of a TaskManager at random times under load."""
    for _ in a.strikes():
        a.sleep(0.3, 2)
        a.kill("taskmanager")
        a.overcome()


@scenario(
    "kill-slot", "T5",
    short=Form(seconds=6, strikes=2),
    long=Form(seconds=300, rate=20_000, strikes=100, interval="1s"),
)  # fmt: skip
def kill_slot(a):
    """kill -9 of a slot process at random times under load."""
    for _ in a.strikes():
        a.sleep(0.3, 2)
        a.kill("slot")
        a.overcome()


@scenario(
    "kill-in-recovery", "T7",
    short=Form(seconds=8, strikes=2),
    long=Form(seconds=200, rate=20_000, strikes=30, interval="1s"),
)  # fmt: skip
def kill_in_recovery(a):
    """kill -9, and again while the job is being deployed anew."""
    for _ in a.strikes():
        a.sleep(0.5, 1.5)
        if not a.kill(a.rng.choice(["slot", "taskmanager"])):
            continue
        last = a.observer.strikes[-1]
        a.observer.until(lambda s=last: s.detected is not None, 10)
        a.sleep(0.05, 0.5)
        a.kill("slot")
        a.overcome()


@scenario(
    "kill-storm", "T8",
    short=Form(seconds=9, strikes=6),
    long=Form(seconds=600, rate=20_000, strikes=20, interval="1s", runs=6),
)  # fmt: skip
def kill_storm(a):
    """A burst of kills without a pause, then rest."""
    for _ in a.strikes():
        a.sleep(0.1, 0.6)
        a.kill(a.rng.choice(["slot", "slot", "taskmanager"]))
    a.overcome(180)


@scenario(
    "kill-jobmanager", "T6",
    short=Form(seconds=8, strikes=1),
    long=Form(seconds=300, rate=20_000, strikes=30, interval="1s"),
    setting=KEPT,
)  # fmt: skip
def kill_jobmanager(a):
    """kill -9 of the JobManager, which starts again at its address."""
    for _ in a.strikes():
        a.sleep(0.8, 2)
        a.kill("jobmanager")
        a.overcome()


@scenario(
    "kill-both", "T7",
    short=Form(seconds=8, strikes=1),
    long=Form(seconds=400, rate=20_000, strikes=30, interval="1s"),
    setting=KEPT,
)  # fmt: skip
def kill_both(a):
    """kill -9 of the JobManager and a TaskManager within 100 ms, either first."""
    for index in a.strikes():
        a.sleep(0.8, 2)
        first, second = ("jobmanager", "taskmanager")[:: 1 if index % 2 else -1]
        victims = {kind: a.pids(kind) for kind in (first, second)}
        if not all(victims.values()):
            continue
        a.strike(f"kill {first}, {second}")
        _kill_one(a, victims[first])
        time.sleep(a.rng.uniform(0, 0.1))
        _kill_one(a, victims[second])
        a.overcome()


@scenario(
    "kill-both-in-recovery", "T7",
    short=Form(seconds=9, strikes=1),
    long=Form(seconds=400, rate=20_000, strikes=30, interval="1s"),
    setting=KEPT,
)  # fmt: skip
def kill_both_in_recovery(a):
    """A slot dies, in its recovery the JobManager, in that one's recovery a TaskManager."""
    for _ in a.strikes():
        a.sleep(0.8, 2)
        if not a.kill("slot"):
            continue
        a.sleep(0.02, 0.4)
        taskmanagers = a.pids("taskmanager")
        a.kill("jobmanager")
        a.sleep(0.02, 1.0)
        _kill_one(a, taskmanagers)
        a.overcome()


def _kill_one(a, pids):
    from tests.fault.cluster import kill

    if pids:
        kill(a.rng.choice(pids))

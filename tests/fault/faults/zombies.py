"""SIGSTOP and SIGCONT: processes that were given up and wake as if nothing had happened.

The verifier looks at storage and sink: nothing of an epoch that is over may be accepted.
"""

import time

from tests.fault.harness import Setting, scenario
from tests.fault.registry import Form

#: Seconds beyond which silence counts as death: the timeout and an interval.
GIVEN_UP_SECONDS = 2.5
KEPT = Setting(keep_jobmanager=True)


def _seconds(a, index):
    """How long to sleep: far beyond the timeout, short of it, just about it; up to 120 s."""
    longest = 120.0 if a.form.seconds > 300 else 4.0
    return (longest, 1.0, GIVEN_UP_SECONDS, longest / 4)[index % 4]


def _pause(a, what, pids, seconds):
    a.strike(f"stop {what} for {seconds:.1f} s")
    with a.stopped(pids):
        time.sleep(seconds)
    a.sleep(0.2, 1.0)  # the zombie acts
    if a.observer.strikes[-1].detected is not None:
        a.overcome()


@scenario(
    "stop-taskmanager", "T9",
    short=Form(seconds=9, strikes=1),
    long=Form(seconds=900, rate=10_000, strikes=12, interval="1s"),
)  # fmt: skip
def stop_taskmanager(a):
    """A TaskManager and its slots sleep, are given up, and wake while others do their work."""
    for index in a.strikes():
        a.sleep(1, 2)
        _pause(a, "TaskManager and slots", a.taskmanager(), _seconds(a, index))


@scenario(
    "stop-supervisor", "T9",
    short=Form(seconds=9, strikes=1),
    long=Form(seconds=900, rate=10_000, strikes=12, interval="1s"),
)  # fmt: skip
def stop_supervisor(a):
    """Only the supervisor sleeps: its slots live on, process and write without it."""
    for index in a.strikes():
        a.sleep(1, 2)
        _pause(a, "supervisor", a.taskmanager()[:1], _seconds(a, index))


@scenario(
    "stop-slot", "T9",
    short=Form(seconds=8, strikes=1),
    long=Form(seconds=900, rate=10_000, strikes=12, interval="1s"),
)  # fmt: skip
def stop_slot(a):
    """Only a slot sleeps; its supervisor ends it."""
    for index in a.strikes():
        a.sleep(1, 2)
        _pause(a, "slot", a.taskmanager()[1:2], _seconds(a, index))


@scenario(
    "stop-short", "T9",
    short=Form(seconds=6, strikes=3),
    long=Form(seconds=120, rate=20_000, strikes=40, interval="1s"),
    setting=Setting(cluster=(("heartbeat.interval", "1s"), ("heartbeat.timeout", "15s")),
                    peaceful=True),
)  # fmt: skip
def stop_short(a):
    """Pauses far below the timeout: nobody restarts, nothing is lost."""
    for _ in a.strikes():
        a.sleep(0.2, 0.8)
        what = a.rng.choice(["slot", "taskmanager", "jobmanager"])
        a.strike(f"stop {what}")
        with a.stopped([a.rng.choice(a.pids(what))]):
            a.sleep(0.2, 0.8)


@scenario(
    "stop-jobmanager", "T9",
    short=Form(seconds=10, strikes=1),
    long=Form(seconds=900, rate=10_000, strikes=12, interval="1s"),
    setting=KEPT,
)  # fmt: skip
def stop_jobmanager(a):
    """The JobManager sleeps beyond every timeout and wakes: TaskManagers had left it."""
    for index in a.strikes():
        a.sleep(1, 2)
        seconds = _seconds(a, index)
        a.strike(f"stop jobmanager for {seconds:.1f} s")
        with a.stopped(a.pids("jobmanager")):
            time.sleep(seconds)
        a.overcome()

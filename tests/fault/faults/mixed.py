"""Several faults in one run, so that one cluster serves many: what the test suite runs."""

import contextlib
import time

from tests.fault import clocks, net
from tests.fault.cluster import Place, kill
from tests.fault.faults import machines, wires
from tests.fault.harness import Setting, scenario
from tests.fault.registry import Form, needs_root

JM, A, B = "jobmanager", "taskmanager-0", "taskmanager-1"


def _in_turn(a, deeds):
    """Each deed once, in the seed's order, again and again while there are strikes."""
    order = list(deeds)
    a.rng.shuffle(order)
    for index in a.strikes():
        a.sleep(0.3, 0.9)
        order[index % len(order)](a)


def _one(a):
    a.kill("taskmanager")
    a.overcome()


def _again_in_recovery(a):
    last = a.observer.strikes[-1] if a.kill("taskmanager") else None
    a.observer.until(lambda: last is None or last.detected is not None, 10)
    a.sleep(0.05, 0.4)
    a.kill("slot")
    a.overcome()


def _both(a):
    taskmanagers = a.pids("taskmanager")
    a.kill("jobmanager")
    time.sleep(a.rng.uniform(0, 0.1))
    kill(a.rng.choice(taskmanagers))
    a.overcome()


def _stop(a):
    a.strike("stop TaskManager and slots for 3 s")
    with a.stopped(a.taskmanager()):
        time.sleep(3)
    a.overcome()


@scenario(
    "mixed-processes", "T7",
    short=Form(seconds=13, strikes=4),
    long=Form(seconds=600, rate=20_000, strikes=100, interval="1s"),
    setting=Setting(keep_jobmanager=True),
)  # fmt: skip
def mixed_processes(a):
    """A TaskManager dies, another in recovery, the JobManager with one, one sleeps: in one run."""
    _in_turn(a, (_one, _again_in_recovery, _both, _stop))


def _one_way(a):
    a.strike(f"{A} -x-> {JM}")
    with a.place.wires.network.partition((A, JM)):
        time.sleep(3)
    a.observer.heal()
    a.overcome(15)


def _apart(a):
    a.strike(f"{A} x {B} for 1 s")
    with a.place.wires.network.partition((A, B), (B, A)):
        time.sleep(1)
    a.observer.heal()
    a.overcome(15)


def _reset(a):
    a.strike(f"RST of {A}, in the middle of messages")
    a.place.wires.tell(A, reset_after=a.rng.randrange(1, 100_000))
    time.sleep(0.5)
    a.place.wires.tell(A, reset_after=0)
    a.observer.heal()
    a.overcome()


def _corrupt(a):
    a.strike("1 in 3e4 bytes changed")
    before = a.place.wires.tell(corrupt=1 / 3e4)["corrupted"]
    a.observer.until(lambda: a.place.wires.tell()["corrupted"] >= before + 5, 8)
    a.facts["changed_bytes"] = a.place.wires.tell(corrupt=0.0)["corrupted"]
    a.observer.heal()
    a.overcome()


@scenario(
    "mixed-network", "T10",
    short=Form(seconds=10, strikes=3),
    long=Form(seconds=600, rate=20_000, strikes=100, interval="1s"),
    setting=wires.WIRED, needs=net.missing,
)  # fmt: skip
def mixed_network(a):
    """One-way partition, TaskManagers apart, RST in messages, changed bytes: in one run."""
    _in_turn(a, (_one_way, _apart, _reset))


class _Machine:
    """A small disk for checkpoints, and clocks."""

    def __init__(self, disk, shifted):
        self.full, self.clocks = disk.full, shifted.clocks
        self._shifted = shifted

    def __call__(self, role, index):
        return Place(env=self._shifted(role, index).env)


@contextlib.contextmanager
def _machine(folder, seed):
    with machines.small_checkpoints(folder, seed) as disk, machines.shifted(folder, seed) as clock:
        yield _Machine(disk, clock)


def _full(a):
    a.strike("disk of checkpoints full")
    with a.place.full():
        time.sleep(1.2)
    a.observer.heal()
    a.overcome(10)


def _jump(a):
    for clock in a.place.clocks.values():
        clock.jump(a.rng.choice([3600, -3600, 1]))
    a.kill("slot")
    a.overcome()


def _missing():
    return clocks.missing() or needs_root("mount")()


@scenario(
    "mixed-machine", "T14",
    short=Form(seconds=6, strikes=2),
    long=Form(seconds=300, rate=10_000, strikes=60, interval="500ms"),
    setting=Setting(around=_machine), needs=_missing,
)  # fmt: skip
def mixed_machine(a):
    """The checkpoints' disk is full for a while; clocks jump by an hour and a slot dies."""
    _in_turn(a, (_full, _jump))

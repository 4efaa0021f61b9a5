"""Partitions and packet loss between machines (network namespaces)."""

import contextlib
import time

from tests.fault.harness import Setting, scenario
from tests.fault.net import Network, missing, netem_missing
from tests.fault.registry import Form

JM, A, B = "jobmanager", "taskmanager-0", "taskmanager-1"


@contextlib.contextmanager
def network(_folder, _seed):
    """Machines for a JobManager and two TaskManagers."""
    with Network(2) as net:
        yield _Place(net)
    if net.rest():
        raise AssertionError(f"left behind: {net.rest()}")


class _Place:
    def __init__(self, net):
        self.network = net

    def __call__(self, role, index):
        return self.network.place(role, index)


APART = Setting(around=network)


def _both(one, other):
    return (one, other), (other, one)


def _seconds(a):
    """Short of every timeout, beyond that of heartbeats, and beyond that of data channels."""
    return a.rng.choice([1, 4, 8, 30]) if a.form.seconds > 60 else 4


def _cut(a, what, seconds, *pairs):
    a.strike(what)
    with a.place.network.partition(*pairs):
        time.sleep(seconds)
    a.observer.heal()
    a.overcome(15)


LONG = Form(seconds=600, rate=10_000, strikes=30, interval="1s")


@scenario(
    "partition-jobmanager", "T10", short=Form(seconds=9, strikes=1), long=LONG, setting=APART,
    needs=missing,
)  # fmt: skip
def partition_jobmanager(a):
    """A TaskManager and the JobManager do not reach each other; the TaskManagers do."""
    for index in a.strikes():
        a.sleep(0.5, 1.5)
        taskmanager = (A, B)[index % 2]
        _cut(a, f"JM x {taskmanager}", _seconds(a), *_both(JM, taskmanager))


@scenario(
    "partition-taskmanagers", "T10", short=Form(seconds=9, strikes=1), long=LONG, setting=APART,
    needs=missing,
)  # fmt: skip
def partition_taskmanagers(a):
    """The TaskManagers do not reach each other; both reach the JobManager."""
    for _ in a.strikes():
        a.sleep(0.5, 1.5)
        _cut(a, "TM x TM", _seconds(a), *_both(A, B))


@scenario(
    "partition-one-way", "T10", short=Form(seconds=16, strikes=2), long=LONG, setting=APART,
    needs=missing,
)  # fmt: skip
def partition_one_way(a):
    """Packets pass in one direction only: to or from the JobManager, or between TaskManagers."""
    pairs = [(A, JM), (JM, A), (A, B), (B, A), (B, JM), (JM, B)]
    for index in a.strikes():
        a.sleep(0.5, 1.5)
        sender, receiver = pairs[index % len(pairs)]
        _cut(a, f"{sender} -x-> {receiver}", _seconds(a), (sender, receiver))


@scenario(
    "partition-flapping", "T10",
    short=Form(seconds=10, strikes=2),
    long=Form(seconds=400, rate=10_000, strikes=30, interval="1s"),
    setting=APART, needs=missing,
)  # fmt: skip
def partition_flapping(a):
    """Links go and come every 2 s (short: 1 s), another one each time."""
    links = [(JM, A), (A, B), (JM, B)]
    half = 2.0 if a.form.seconds > 60 else 1.0
    a.sleep(0.5, 1)
    for _ in a.strikes():
        link = a.rng.choice(links)
        a.strike(f"{link[0]} x {link[1]} for {half:g} s")
        with a.place.network.partition(*_both(*link)):
            time.sleep(half)
        a.observer.heal()
        time.sleep(half)
    a.overcome(15)


def _loss(percent):
    @scenario(
        f"loss-{percent}", "T11",
        short=Form(seconds=6, strikes=1),
        long=Form(seconds=120, rate=20_000, strikes=1, interval="1s"),
        setting=APART, needs=missing,
        summary=f"{percent} % of the packets are lost at random on every link.",
    )  # fmt: skip
    def lose(a):
        time.sleep(1)
        a.strike(f"{percent} % of packets lost")
        begin = time.monotonic()
        with a.place.network.loss(percent):
            a.observer.until(a.observer.finished, a.form.seconds + 90)
        # The source has a rate: what takes longer than without loss is the price of the loss.
        a.facts["pace"] = round((a.form.seconds - 1) / (time.monotonic() - begin), 2)
        if percent <= 5 and a.facts["pace"] < 0.5:
            a.wrong.append(f"{a.facts['pace']:.0%} of the throughput left at {percent} % loss")


for _percent in (1, 5, 20):
    _loss(_percent)


@scenario(
    "delay-netem", "T11", short=Form(seconds=6, strikes=1), long=Form(seconds=60, strikes=1),
    setting=APART, needs=netem_missing,
)  # fmt: skip
def delay_netem(a):
    """The kernel delays and reorders packets (where it has netem)."""
    net = a.place.network
    a.strike("20 ms +- 20 ms")
    for name in net.names:
        net.inside(name, "tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "20ms",
                   "20ms", "reorder", "5%")  # fmt: skip
    a.observer.until(a.observer.finished, a.form.seconds + 60)

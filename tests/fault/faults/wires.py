"""Connections that delay, break in the middle of a message, hang half-open or change bytes."""

import contextlib
import time

from tests.fault.harness import Setting, scenario
from tests.fault.net import missing
from tests.fault.registry import Form
from tests.fault.wires import wired

TASKMANAGERS = ("taskmanager-0", "taskmanager-1")


class _Place:
    def __init__(self, wires):
        self.wires = wires

    def __call__(self, role, index):
        return self.wires.network.place(role, index)


@contextlib.contextmanager
def _cables(_folder, seed):
    with wired(seed) as wires:
        yield _Place(wires)


WIRED = Setting(around=_cables)


@scenario(
    "wire-delay", "T11",
    short=Form(seconds=6, strikes=1),
    long=Form(seconds=120, rate=20_000, strikes=6, interval="1s"),
    setting=WIRED, needs=missing,
)  # fmt: skip
def wire_delay(a):
    """Every connection is late, by 5 ms at first and by up to 500 ms at last."""
    a.sleep(0.5, 1)
    steps = [(5, 10), (20, 80), (100, 500)]
    for index in a.strikes():
        low, high = steps[(index if a.form.strikes > 1 else 1) % len(steps)]
        a.strike(f"delay {low}-{high} ms")
        a.place.wires.tell(delay_ms=[low, high])
        time.sleep(a.form.seconds / (a.form.strikes + 1))
        a.place.wires.tell(delay_ms=[0, 0])
        a.observer.heal()
    a.overcome(15)


@scenario(
    "wire-reset", "T11",
    short=Form(seconds=8, strikes=2),
    long=Form(seconds=200, rate=20_000, strikes=30, interval="1s"),
    setting=WIRED, needs=missing,
)  # fmt: skip
def wire_reset(a):
    """RST in the middle of messages: all connections of a TaskManager, or each after some bytes."""
    for index in a.strikes():
        a.sleep(0.5, 1.5)
        name = a.rng.choice(TASKMANAGERS)
        a.strike(f"RST {name}")
        if index % 2:
            a.place.wires.tell(name, reset=True)
        else:
            a.place.wires.tell(name, reset_after=a.rng.randrange(1, 200_000))
            time.sleep(0.7)
            a.place.wires.tell(name, reset_after=0)
        a.observer.heal()
        a.overcome()
    a.facts["proxy"] = a.place.wires.tell()


@scenario(
    "wire-half-open", "T11",
    short=Form(seconds=8, strikes=1),
    long=Form(seconds=300, rate=20_000, strikes=12, interval="1s"),
    setting=WIRED, needs=missing,
)  # fmt: skip
def wire_half_open(a):
    """A TaskManager's connections stay open and carry nothing for 4 s; then all comes at once."""
    for index in a.strikes():
        a.sleep(0.5, 1.5)
        name = TASKMANAGERS[index % 2]
        a.strike(f"half-open {name}")
        a.place.wires.tell(name, half_open=True)
        time.sleep(4)
        a.place.wires.tell(name, half_open=False)
        a.observer.heal()
        a.overcome()


@scenario(
    "wire-corruption", "T12",
    short=Form(seconds=7, rate=30_000, strikes=1),
    long=Form(seconds=300, rate=20_000, strikes=10, interval="1s"),
    setting=WIRED, needs=missing,
)  # fmt: skip
def wire_corruption(a):
    """One byte in 100,000 is changed, on data channels and between TaskManagers and JobManager."""
    for _ in a.strikes():
        a.sleep(0.3, 1)
        a.strike("1 in 1e5 bytes changed")
        a.place.wires.tell(corrupt=1e-5)
        time.sleep(a.form.seconds / 2 / a.form.strikes)
        a.facts["proxy"] = a.place.wires.tell(corrupt=0.0)
        a.observer.heal()
        a.overcome()
    if not a.facts["proxy"]["corrupted"]:
        a.wrong.append("no byte was changed")

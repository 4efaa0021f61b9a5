"""What a machine does to processes: full disks, and clocks that jump."""

import contextlib
import time

from tests.fault import clocks
from tests.fault.cluster import Place
from tests.fault.harness import Setting, scenario
from tests.fault.hostile import small_disk
from tests.fault.registry import Form, needs_root

HOUR = 3600


class _Disk:
    """Where processes write what is about to be full."""

    def __init__(self, mount, place):
        self.mount, self._place = mount, place

    def __call__(self, role, index):
        return self._place(role, index)

    @contextlib.contextmanager
    def full(self):
        """Not a byte is left, for a while."""
        filler = self.mount / "filler"
        try:
            with filler.open("wb", buffering=0) as out, contextlib.suppress(OSError):
                while True:
                    out.write(b"x" * (1 << 20))
            with filler.open("ab", buffering=0) as out, contextlib.suppress(OSError):
                while True:
                    out.write(b"x")
            yield filler
        finally:
            filler.unlink(missing_ok=True)


def _disk_of(kind, megabytes):
    @contextlib.contextmanager
    def around(folder, _seed):
        mount = folder / ("checkpoints" if kind == "checkpoints" else "small")
        log = mount / "log" if kind == "logs" else None
        options = {"state.backend.local-dir": str(mount)} if kind == "state" else {}
        with small_disk(mount, f"{megabytes}m"):
            yield _Disk(mount, lambda _role, _index: Place(options=options, log=log))

    return around


small_checkpoints = _disk_of("checkpoints", 48)


def _disk_full(kind, megabytes, what):
    @scenario(
        f"disk-full-{kind}", "T14",
        short=Form(seconds=7, strikes=1),
        long=Form(seconds=200, strikes=10, interval="500ms"),
        setting=Setting(around=_disk_of(kind, megabytes)),
        needs=needs_root("mount"),
        summary=f"The {megabytes} MB disk of {what} is full for 2 s.",
    )  # fmt: skip
    def fill(a):
        for _ in a.strikes():
            a.sleep(0.8, 1.5)
            a.strike(f"disk of {kind} full")
            with a.place.full():
                # A crash in the meantime needs the disk to start again.
                if kind == "logs" or (a.form.strikes > 1 and a.rng.random() < 0.5):
                    a.sleep(0.2, 0.5)
                    a.kill("slot")
                time.sleep(2)
            a.observer.heal()
            a.overcome(10)


_disk_full("checkpoints", 48, "checkpoints")
_disk_full("state", 64, "RocksDB's working files")
_disk_full("logs", 16, "the processes' logs")


class _Clocks:
    def __init__(self, folder):
        library = clocks.compiled(folder)
        names = ("jobmanager-0", "taskmanager-0", "taskmanager-1")
        self.clocks = {name: clocks.Clock(folder / name, library) for name in names}

    def __call__(self, role, index):
        return Place(env=self.clocks[f"{role}-{index}"].env)


@contextlib.contextmanager
def shifted(folder, _seed):
    """A clock for each process."""
    yield _Clocks(folder)


@scenario(
    "clock-jumps", "T16",
    short=Form(seconds=6, strikes=4),
    long=Form(seconds=200, rate=20_000, strikes=60, interval="1s"),
    setting=Setting(around=shifted, peaceful=True), needs=clocks.missing,
)  # fmt: skip
def clock_jumps(a):
    """Wall clocks of single processes jump by an hour or a second; nobody is taken for dead."""
    shifts = [HOUR, -HOUR, 1, -1]
    names = list(a.place.clocks)
    for index in a.strikes():
        a.sleep(0.3, 1)
        name = names[index % len(names)]
        a.strike(f"{name} {shifts[index % len(shifts)]:+d} s")
        a.place.clocks[name].jump(shifts[index % len(shifts)])
        if name == "jobmanager-0":
            _check_shift(a, shifts[index % len(shifts)])
    a.sleep(0.5, 1)
    a.strike("all clocks right again")
    for clock in a.place.clocks.values():
        clock.jump(0)


def _check_shift(a, seconds):
    """The JobManager stamps checkpoints with the shifted time: the shim works."""

    def stamped():
        now = time.time() * 1000
        newest = a.observer.details.checkpoints.history[:1]
        return any(abs(c.trigger_timestamp_ms - now - seconds * 1000) < 900 for c in newest)

    if not a.observer.until(stamped, 10):
        a.wrong.append(f"the JobManager's clock was not shifted by {seconds} s")


@scenario(
    "clock-jumps-kill", "T16",
    short=Form(seconds=7, strikes=1),
    long=Form(seconds=200, rate=20_000, strikes=30, interval="1s"),
    setting=Setting(around=shifted), needs=clocks.missing,
)  # fmt: skip
def clock_jumps_kill(a):
    """Clocks differ by hours while processes die and jobs recover."""
    for _ in a.strikes():
        a.sleep(0.3, 1)
        for clock in a.place.clocks.values():
            clock.jump(a.rng.choice([HOUR, -HOUR, 0, a.rng.uniform(-5, 5)]))
        a.kill(a.rng.choice(["slot", "taskmanager"]))
        a.overcome()

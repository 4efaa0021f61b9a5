"""The named faults and what a run of one looks like."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Form:
    """The size of a run.

    Attributes:
        seconds: of data, at ``rate`` events/s; a run takes a little longer.
        rate: events/s.
        strikes: faults in a run.
        runs: how often, each with the next seed.
        interval: of checkpoints.
    """

    seconds: float = 8.0
    rate: int = 10_000
    strikes: int = 2
    runs: int = 1
    interval: str = "200ms"

    @property
    def rows(self):
        """Records of a run."""
        return int(self.seconds * self.rate)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault by name.

    Attributes:
        name: as on the command line.
        test: its number in the test programme, ``T5``.
        run: does one run; gets the folder, the form, the seed and options, returns a report.
        short: what the test suite runs.
        long: what ``scripts/test --long`` runs.
        needs: why it cannot run here, or an empty text.
        summary: one line for the list.
        scenario: the function of an ``Attack`` that does it, if it is one.
    """

    name: str
    test: str
    run: Callable
    short: Form
    long: Form
    needs: Callable[[], str]
    summary: str
    scenario: Callable | None = None


FAULTS: dict[str, Fault] = {}


def nothing_needed():
    """Runs anywhere."""
    return ""


def needs_root(*programs):
    """Root, and these programs."""

    def missing():
        if os.geteuid() != 0:
            return "needs root"
        absent = [p for p in programs if shutil.which(p) is None]
        return f"needs {', '.join(absent)} (Debian: apt-get install iproute2 iptables)" * bool(
            absent
        )

    return missing


def add(fault):
    """Register a fault."""
    assert fault.name not in FAULTS, f"two faults are called {fault.name}"
    FAULTS[fault.name] = fault
    return fault


def chosen(words):
    """The faults that names, or numbers of the test programme, stand for; all for none."""
    from tests.fault import faults

    faults.load()
    if not words:
        return list(FAULTS.values())
    found = [f for f in FAULTS.values() if f.name in words or f.test in words]
    known = {f.name for f in FAULTS.values()} | {f.test for f in FAULTS.values()}
    if unknown := sorted(set(words) - known):
        msg = f"no such fault: {', '.join(unknown)}; there are {', '.join(sorted(known))}"
        raise SystemExit(msg)
    return found

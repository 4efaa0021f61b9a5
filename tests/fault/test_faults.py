"""Short forms of the faults (``python -m tests.fault --list``), judged from outside.

With two free cores each run does all of its deeds; on a busy machine its job may have ended before.
Without root what needs network namespaces or mounts is skipped, and says so.
"""

import dataclasses

import pytest

from tests.fault.__main__ import run_fault
from tests.fault.harness import PATIENCE, render
from tests.fault.registry import chosen

SHORT = [
    # name, seed, changes of the short form, options
    ("mixed-processes", 2, {}, {}),
    ("mixed-network", 1, {}, {"backend": "hashmap"}),
    ("mixed-machine", 1, {}, {}),
    ("snapshot-damage", 1, {}, {}),
    ("stress", 1, {"seconds": 5}, {"backend": "hashmap"}),
    ("sink-files", 1, {"seconds": 5, "strikes": 4}, {}),
    ("sink-postgres", 5, {"seconds": 5, "strikes": 4}, {}),
]


@pytest.mark.fault
@pytest.mark.timeout(170)
@pytest.mark.parametrize(("name", "seed", "changes", "options"), SHORT, ids=[s[0] for s in SHORT])
def test_nothing_is_lost_or_doubled(name, seed, changes, options, monkeypatch):
    # Times are the long forms' business; here they would only measure who else uses the machine.
    monkeypatch.setenv(PATIENCE, "3")
    (fault,) = chosen([name])
    if missing := fault.needs():
        pytest.skip(missing)
    form = dataclasses.replace(fault.short, **changes)
    line, reports = run_fault(fault, form, seed, options, print)
    print(render([line]))
    assert line["ok"], reports

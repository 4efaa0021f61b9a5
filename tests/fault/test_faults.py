"""Short forms of the faults (``python -m tests.fault --list``), judged from outside.

The seeds are chosen so that each run does all of its deeds; a machine without root skips what needs
network namespaces or mounts, and says so.
"""

import dataclasses

import pytest

from tests.fault.__main__ import run_fault
from tests.fault.harness import render
from tests.fault.registry import chosen

SHORT = [
    # name, seed, changes of the short form, options
    ("mixed-processes", 2, {}, {}),
    ("mixed-network", 1, {}, {"backend": "hashmap"}),
    ("mixed-machine", 1, {}, {}),
    ("snapshot-damage", 1, {}, {}),
    ("stress", 1, {"seconds": 8}, {}),
    ("sink-files", 1, {"seconds": 7, "strikes": 5}, {}),
    ("sink-postgres", 5, {"seconds": 7, "strikes": 5}, {}),
]


@pytest.mark.fault
@pytest.mark.timeout(170)
@pytest.mark.parametrize(("name", "seed", "changes", "options"), SHORT, ids=[s[0] for s in SHORT])
def test_nothing_is_lost_or_doubled(name, seed, changes, options):
    (fault,) = chosen([name])
    if missing := fault.needs():
        pytest.skip(missing)
    form = dataclasses.replace(fault.short, **changes)
    line, reports = run_fault(fault, form, seed, options, print)
    print(render([line]))
    assert line["ok"], reports
    assert "strikes_missed" not in reports[0], "the job had ended before all was done to it"

"""Judges the files of tests/kubernetes/job.py: has every row counted once?"""

import json


def rows(folder):
    """What is published."""
    found = []
    for path in sorted(folder.rglob("*.jsonl")):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        found += [json.loads(line) for line in path.read_text().splitlines()]
    return found


def check(folder):
    """The number of rows; fails if any came twice, or a count skips or repeats.

    What is published is a prefix of each key's counts: a checkpoint has all rows up to one.
    """
    found = rows(folder)
    ids = [row["id"] for row in found]
    assert len(set(ids)) == len(ids), "a row is there twice"
    by_key = {}
    for row in found:
        by_key.setdefault(row["key"], []).append(row["number"])
    for key, numbers in by_key.items():
        assert sorted(numbers) == list(range(1, len(numbers) + 1)), (key, "a count is missing")
    return len(found)

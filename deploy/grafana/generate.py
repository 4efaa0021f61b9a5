#!/usr/bin/env python3
"""Writes Grafana's dashboards: what they show is here, the JSON beside it is made of it.

python deploy/grafana/generate.py            write dashboards/*.json
python deploy/grafana/generate.py --check    write nothing; fail if one is stale
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from boards.cluster import CLUSTER
from boards.job import ONE_JOB
from boards.model import dashboard_json
from boards.operators import OPERATORS

FOLDER = Path(__file__).resolve().parent / "dashboards"
DASHBOARDS = (CLUSTER, ONE_JOB, OPERATORS)


def main():
    """Write what has changed, or say that something has."""
    check, stale = "--check" in sys.argv[1:], []
    FOLDER.mkdir(exist_ok=True)
    for dashboard in DASHBOARDS:
        path = FOLDER / f"{dashboard.uid}.json"
        text = json.dumps(dashboard_json(dashboard, DASHBOARDS), indent=1) + "\n"
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path.name)
        if not check:
            path.write_text(text, encoding="utf-8")
    if stale and check:
        print(f"error: stale: {', '.join(stale)}; run {sys.argv[0]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

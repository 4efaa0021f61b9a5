"""The long form: each query a job of its own, in each way, row by row among them.

python -m tests.differential [names of queries or of files of queries]
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

from lesto.client.minicluster import MiniCluster
from lesto.common import Configuration
from tests.differential import running
from tests.differential.corpus import queries

SLOTS = 3
WAYS = {
    "straight": running.straight,
    "row by row": partial(running.straight, single=True),
    "batch": running.batch,
    "restored on RocksDB": partial(running.stopped_and_restored, backends=("hashmap", "rocksdb")),
    "restored on heap": partial(running.stopped_and_restored, backends=("rocksdb", "hashmap")),
}


def main(words):
    """Run from the command line."""
    chosen = [q for q in queries() if not words or {q.name, q.group} & set(words)]
    config = Configuration.from_dict({"slot.request.timeout": "4 s", "log.level": "ERROR"})
    failed = 0
    with MiniCluster(config, slots=SLOTS) as cluster:
        cluster.wait_ready()
        for query in chosen:
            for name, way in WAYS.items():
                with tempfile.TemporaryDirectory() as folder:
                    wrong = running.told(way, cluster, [query], Path(folder))
                failed += bool(wrong)
                for said in wrong.values():
                    print(f"{query.name}, {name}: {said}", flush=True)
    print(f"{len(chosen)} queries, {len(WAYS)} ways each, {failed} failed")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

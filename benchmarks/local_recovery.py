"""Restore of RocksDB state from checkpoint storage and from the machine's own copies.

    python benchmarks/local_recovery.py [MEGABYTES]

Storage is a folder of this machine, once as fast as it is, once held to 125 MB/s (1 Gbit/s).
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from lesto.state.descriptors import ValueStateDescriptor
from lesto.state.factory import create_backend
from lesto.state.local_backup import BackedStore, LocalBackup

GIGABIT_BYTES = 125_000_000
VALUE_BYTES = 1_000


class SlowStore(BackedStore):
    """Storage behind a link of 1 Gbit/s."""

    def _verified(self, handle):
        begin, seen = time.monotonic(), 0
        for chunk in super()._verified(handle):
            seen += len(chunk)
            time.sleep(max(0.0, begin + seen / GIGABIT_BYTES - time.monotonic()))
            yield chunk


def backend_in(folder):
    return create_backend(
        "rocksdb", key_group_start=0, key_group_end=127, max_parallelism=128, local_dir=folder
    )


def build(folder, megabytes, backup):
    store = BackedStore(str(folder / "ck"), epoch=1, attempt="1")
    store.backup = backup
    backend = backend_in(folder / "work")
    state = backend.get_state(ValueStateDescriptor("v"))
    for number, at in enumerate(range(0, megabytes, 50), 1):
        for key in range(at * 1_000, (at + 50) * 1_000):
            backend.current_key = key
            state.update(os.urandom(VALUE_BYTES))
        handle = backend.snapshot(number, canonical=False).finish(store)
        backup.record(number, handle)
        backend.notify_checkpoint_complete(number)
        backup.complete(number)
    return backend, handle


def restore(folder, handle, store):
    begin = time.monotonic()
    backend = backend_in(folder / "work")
    backend.restore([handle], store)
    state = backend.get_state(ValueStateDescriptor("v"))
    backend.current_key = 1
    assert len(state.value()) == VALUE_BYTES
    elapsed = time.monotonic() - begin
    backend.close()
    return elapsed


def main():
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory(prefix="lesto-bench-") as name:
        folder = Path(name)
        backup = LocalBackup(folder / "backup", "job", "op-0")
        backend, handle = build(folder, megabytes, backup)
        backend.close()
        size = sum(named.file.length_bytes for named in handle.files)
        found = {"state_mb": round(size / 1e6), "files": len(handle.files)}
        for label, kind, copies in (
            ("remote_fast_s", BackedStore, None),
            ("remote_1gbit_s", SlowStore, None),
            ("local_s", SlowStore, backup),
        ):
            runs = []
            for _ in range(3):
                store = kind(str(folder / "ck"), epoch=1, attempt="2")
                store.backup = copies
                runs.append(restore(folder, handle, store))
            found[label] = round(sorted(runs)[1], 2)
        backup.close()
        print(json.dumps(found))


if __name__ == "__main__":
    main()

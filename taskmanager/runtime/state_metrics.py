"""What an operator's keyed state tells of itself at a scrape; nothing is counted before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lesto.common.metrics import MetricGroup
    from lesto.state.keyed_base import KeyedBackendBase
    from lesto.state.rocks_files import LocalDb

#: RocksDB's own numbers, by the names of ours.
ROCKSDB: Final = {
    "state_rocksdb_keys": "rocksdb.estimate-num-keys",
    "state_rocksdb_sst_bytes": "rocksdb.live-sst-files-size",
    "state_rocksdb_total_sst_bytes": "rocksdb.total-sst-files-size",
    "state_rocksdb_memtable_bytes": "rocksdb.cur-size-all-mem-tables",
    "state_rocksdb_table_readers_bytes": "rocksdb.estimate-table-readers-mem",
    "state_rocksdb_block_cache_bytes": "rocksdb.block-cache-usage",
    "state_rocksdb_pending_compaction_bytes": "rocksdb.estimate-pending-compaction-bytes",
    "state_rocksdb_running_compactions": "rocksdb.num-running-compactions",
    "state_rocksdb_write_stopped": "rocksdb.is-write-stopped",
}


def register_state_metrics(metrics: MetricGroup, backend: KeyedBackendBase) -> None:
    """Register the metrics of a backend; they go with the operator's group."""
    metrics.gauge("state_entries", backend.entries_in_memory)
    local_db: Callable[[], LocalDb | None] | None = getattr(backend, "local_db", None)
    if local_db is not None:
        for name, rocks_name in ROCKSDB.items():
            metrics.gauge(name, _reader(local_db, rocks_name))


def _reader(local_db: Callable[[], LocalDb | None], name: str) -> Callable[[], float | None]:
    def read() -> float | None:
        db = local_db()
        return None if db is None else db.number(name)

    return read

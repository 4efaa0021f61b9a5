"""Makes the backend that a job's configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lesto.state.errors import UnsupportedStateError
from lesto.state.keyed_base import KeyedBackendBase, state_table
from lesto.state.row_memory import PROCESS, Budget, TableMemory
from lesto.state.table_api import TableFactory

if TYPE_CHECKING:
    from lesto.common.config import Configuration

HASHMAP = "hashmap"
ROCKSDB = "rocksdb"


def create_backend(
    kind: str | None = None,
    *,
    key_group_start: int,
    key_group_end: int,
    max_parallelism: int,
    local_dir: str | Path,
    config: Configuration | None = None,
    cache_bytes: int | None = None,
    table_cache_bytes: int | None = None,
    table_factory: TableFactory = state_table,
) -> KeyedBackendBase:
    """A new, empty backend for one operator of one subtask.

    Args:
        kind: "hashmap" or "rocksdb"; None takes ``state.backend.type`` from the configuration.
        key_group_start: first key group owned.
        key_group_end: last key group owned, inclusive.
        max_parallelism: number of key groups of the operator.
        local_dir: directory for working files; a backend makes its own directory in it and removes
            it when closed.
        config: the job's configuration.
        cache_bytes: memory for objects above RocksDB; None takes
            ``state.backend.rocksdb.cache-size``.
        table_cache_bytes: memory for the row tables of this backend alone; None shares
            ``state.backend.lesto.table-cache`` with all backends of the process.
        table_factory: makes state tables.

    Raises:
        UnsupportedStateError: there is no such backend.
    """
    from lesto.common import options

    if kind is None:
        chosen = (
            options.STATE_BACKEND.default if config is None else config.get(options.STATE_BACKEND)
        )
        kind = str(getattr(chosen, "value", chosen))
    common = {
        "key_group_start": key_group_start,
        "key_group_end": key_group_end,
        "max_parallelism": max_parallelism,
        "table_factory": table_factory,
    }
    if kind == HASHMAP:
        from lesto.state.hashmap import HashMapBackend

        heap = HashMapBackend(**common)
        heap.table_memory = _table_memory(config, table_cache_bytes, Path(local_dir))
        return heap
    if kind == ROCKSDB:
        from lesto.state.rocksdb import RocksDBBackend

        if cache_bytes is None:
            option = options.ROCKSDB_CACHE_SIZE
            cache_bytes = int(option.default if config is None else config.get(option))
        increments = options.INCREMENTAL_CHECKPOINTS
        backend = RocksDBBackend(
            local_dir=Path(local_dir),
            cache_bytes=cache_bytes,
            incremental=bool(increments.default if config is None else config.get(increments)),
            **common,
        )
        if config is not None:
            backend.checkpointed = bool(config.get(options.CHECKPOINTING_INTERVAL))
        backend.table_memory = _table_memory(config, table_cache_bytes, Path(local_dir))
        return backend
    msg = f"there is no state backend '{kind}'"
    raise UnsupportedStateError(msg, remedy="set state.backend.type to hashmap or rocksdb")


def _table_memory(
    config: Configuration | None, own_bytes: int | None, directory: Path
) -> TableMemory:
    from lesto.common import options

    if own_bytes is not None:
        return TableMemory(Budget(own_bytes), directory)
    if config is not None:
        PROCESS.total_bytes = int(config.get(options.TABLE_CACHE))
    return TableMemory(PROCESS, directory)

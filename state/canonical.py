"""The canonical form of keyed state: sorted entries as an Arrow IPC file, readable by any backend.

Two columns of large_binary, ``key`` (see :mod:`lesto.state.entry_keys`) and ``value``, sorted by
key and compressed. A record batch holds at most ``BATCH_ROWS``; a restore finds its key groups in
each by binary search and stops behind its range.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lesto.state.errors import CorruptFileError

BATCH_ROWS: Final = 16_384
_SCHEMA: Final = pa.schema([("key", pa.large_binary()), ("value", pa.large_binary())])


def write_canonical(target: Any, runs: Iterable[tuple[pa.Array, pa.Array]]) -> int:
    """Write sorted runs, each sorted after the one before.

    Args:
        target: a path or writable file.
        runs: keys and values without nulls.

    Returns:
        Number of entries.
    """
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    rows = 0
    with pa.ipc.new_file(target, _SCHEMA, options=options) as writer:
        for keys, values in runs:
            rows += len(keys)
            batch = pa.record_batch([keys, values], schema=_SCHEMA)
            for at in range(0, len(keys), BATCH_ROWS):
                writer.write_batch(batch.slice(at, BATCH_ROWS))
    return rows


def canonical_bytes(keys: pa.Array, values: pa.Array) -> bytes:
    """One sorted run as a file in memory."""
    buffer = io.BytesIO()
    write_canonical(buffer, [(keys, values)])
    return buffer.getvalue()


def read_canonical(
    source: Any, key_group_start: int, key_group_end: int
) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Sorted runs of the entries within a range of key groups, both ends inclusive.

    Raises:
        CorruptFileError: the file is not of this form.
    """
    low = key_group_start.to_bytes(2, "big")
    high = (key_group_end + 1).to_bytes(2, "big")
    try:
        with pa.ipc.open_file(source) as reader:
            for i in range(reader.num_record_batches):
                batch = reader.get_batch(i)
                keys, values = batch.column("key"), batch.column("value")
                start, end = lower_bound(keys, low), lower_bound(keys, high)
                if start < end:
                    yield keys.slice(start, end - start), values.slice(start, end - start)
                if end < len(keys):
                    return
    except (pa.ArrowException, KeyError, OSError) as error:
        msg = f"a file of keyed state is damaged: {error}"
        raise CorruptFileError(msg, remedy="restore from another checkpoint") from error


def lower_bound(keys: pa.Array, bound: bytes) -> int:
    """How many of the sorted keys are smaller than ``bound``."""
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) // 2
        if keys[middle].as_py() < bound:
            low = middle + 1
        else:
            high = middle
    return low


def drop_deleted(keys: pa.Array, values: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Without the entries that only delete."""
    if values.null_count == 0:
        return keys, values
    kept = pc.is_valid(values)
    return keys.filter(kept), values.filter(kept)

"""Reading the entries of a keyed handle, whichever backend wrote it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from lesto.proto.checkpoint_pb2 import KeyedStateHandle
from lesto.state.canonical import read_canonical
from lesto.state.errors import CorruptFileError
from lesto.state.registry import StateMeta, decode_states
from lesto.state.storage import SnapshotStore

Run = tuple[dict[int, StateMeta], pa.Array, pa.Array]


def read_entries(
    handle: KeyedStateHandle,
    store: SnapshotStore,
    key_group_start: int,
    key_group_end: int,
    *,
    scratch: Path | None = None,
) -> Iterator[Run]:
    """Sorted runs of a handle's entries within a range of key groups, under the handle's state ids.

    At least one run is given, perhaps empty, so that the handle's states become known.

    Raises:
        MissingFileError: a file is not there.
        CorruptFileError: a file is damaged.
    """
    states = decode_states(handle.states_meta)
    nothing = pa.array([], pa.large_binary())
    yield states, nothing, nothing
    low = max(handle.key_group_start, key_group_start)
    high = min(handle.key_group_end, key_group_end)
    if low > high or not handle.files:
        return
    if handle.format == "canonical":
        for named in handle.files:
            content = pa.BufferReader(store.read(named.file))
            for keys, values in read_canonical(content, low, high):
                yield states, keys, values
    elif handle.format == "rocksdb":
        from lesto.state.rocks_files import download, read_range

        with tempfile.TemporaryDirectory(prefix="lesto-restore-", dir=scratch) as directory:
            download(handle, store, Path(directory))
            for keys, values in read_range(Path(directory), low, high):
                yield states, keys, values
    else:
        msg = f"keyed state of unknown format '{handle.format}'"
        raise CorruptFileError(msg, remedy="restore with the Lesto that wrote it, or a newer one")

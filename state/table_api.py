"""What a columnar state table must offer so that any backend can snapshot and restore it.

A backend knows nothing of a table's columns. It sees opaque entries (key group, key bytes, value
bytes) and keeps them under the table's state id: a full set for a canonical snapshot, the changed
ones for an incremental one. All calls are vectorised and come from the mailbox thread.

The life of a table: the backend makes it at :meth:`KeyedStateBackend.table`, loads what was
restored (``load_entries``, before the caller sees the table), and from then on takes its changes at
each checkpoint. A table lies wholly in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from lesto.state.table import TableDescriptor

#: A pa.BinaryArray or pa.LargeBinaryArray without nulls.
BinaryValues: TypeAlias = pa.Array


@dataclass(frozen=True, slots=True)
class TableEntries:
    """Rows of a table in the form that is stored; the arrays do not alias the live table.

    Attributes:
        key_groups: uint16[n] key group of each key (``kernels.keygroups`` of the key's stable
            hash).
        keys: n binary values: the key, encoded so that equal keys (and only those) are equal bytes.
            Neither key group nor state id is part of it. Empty keys are allowed.
        values: n binary values: the rest of the row, opaque to the backend.
    """

    key_groups: npt.NDArray[np.uint16]
    keys: BinaryValues
    values: BinaryValues

    def __len__(self) -> int:
        return len(self.key_groups)

    @staticmethod
    def empty() -> TableEntries:
        """No rows."""
        none = pa.array([], pa.large_binary())
        return TableEntries(np.empty(0, np.uint16), none, none)


@dataclass(frozen=True, slots=True)
class TableChanges:
    """What changed since the last ``take_changes``; a key is in at most one of the two.

    Attributes:
        upserts: rows that are new or changed, each key once.
        deleted_key_groups: uint16[m] of ``deleted_keys``.
        deleted_keys: m binary values: keys that are gone.
    """

    upserts: TableEntries
    deleted_key_groups: npt.NDArray[np.uint16]
    deleted_keys: BinaryValues


class StoredTable(Protocol):
    """The backend's view of a state table."""

    def __len__(self) -> int:
        """Rows."""
        ...

    def take_changes(self) -> TableChanges:
        """The changes since the last call, which become clean.

        The backend keeps them whether or not the checkpoint succeeds, so they are never asked for
        again.
        """
        ...

    def all_entries(self) -> TableEntries:
        """Every row; does not touch what counts as changed."""
        ...

    def load_entries(self, entries: TableEntries) -> None:
        """Add restored rows (keys not present yet) as clean ones; may be called several times."""
        ...

    def meta(self) -> Mapping[str, Any]:
        """Description stored in snapshots: plain msgpack values, such as the serialised schema
        (bytes).
        """
        ...

    def check_meta(self, stored: Mapping[str, Any]) -> None:
        """Raise ``lesto.state.errors.StateMismatchError`` when rows stored under ``stored`` do not
        fit.
        """
        ...


class TableFactory(Protocol):
    """How a backend makes a table: ``lesto.state.table.StateTable`` itself satisfies it."""

    def __call__(self, descriptor: TableDescriptor, *, max_parallelism: int) -> StoredTable:
        """A new, empty table. ``descriptor.name`` names the state, unique among the operator's
        states.
        """
        ...

"""Tables whose rows belong to rows of another table: the values of a group.

In memory a value is found by the slot of its group and by itself, so that a group's key is kept
once. On disk it has the key of its group in front, and lies in the group's key group.

The operator makes the parent's rows first, removes children before their parents, and asks the
backend for the parent first, which is how snapshots list them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels.groups import Chains
from lesto.state.accumulators import Slots
from lesto.state.errors import CorruptFileError
from lesto.state.table import StateTable, TableDescriptor, TableKeys


class ChildTable(StateTable):
    """Values of the rows of another table.

    Args:
        descriptor: its ``key_schema`` has the values' columns, its ``parent`` is the other table's.
        parent: the other table.
        max_parallelism: number of key groups.
    """

    def __init__(
        self, descriptor: TableDescriptor, parent: StateTable, *, max_parallelism: int
    ) -> None:
        super().__init__(descriptor, max_parallelism=max_parallelism)
        self._parent = parent
        self._width = len(parent.descriptor.key_schema)
        self._chains: Chains | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""
        return super().nbytes + (0 if self._chains is None else self._chains.nbytes)

    def chain(self) -> None:
        """From now on know the children of each parent; called before the first row is added."""
        if self._chains is None:
            self._chains = Chains()
            slots = self.live_slots()
            self._chains.link(slots, self.namespaces(slots))

    def upsert(
        self,
        keys: Sequence[pa.Array],
        namespaces: Slots | None = None,
        hashes: npt.NDArray[np.uint64] | None = None,
    ) -> tuple[Slots, Slots]:
        """Slots of values, with new rows where one was not there.

        Args:
            keys: columns of the values, n rows each.
            namespaces: int64[n] slots of their parents.
            hashes: of the values.
        """
        slots, new = super().upsert(keys, namespaces, hashes)
        if self._chains is not None and len(new):
            assert namespaces is not None
            self._chains.link(slots[new], namespaces[new])
        return slots, new

    def remove(self, slots: Slots) -> None:
        """Drop rows whose parents are still there."""
        if self._chains is not None:
            self._chains.unlink(slots, self.namespaces(slots))
        super().remove(slots)

    def children(self, parents: Slots) -> tuple[Slots, Slots]:
        """The rows of some parents; only if they are chained.

        Returns:
            Numbers of the parents in the list, ascending, and slots; int64[m] each.
        """
        assert self._chains is not None, "not chained"
        return self._chains.of(parents)

    def childless(self, parents: Slots) -> npt.NDArray[np.bool_]:
        """Which of some parents have no rows; only if they are chained."""
        assert self._chains is not None, "not chained"
        return self._chains.none(parents)

    def meta(self) -> Mapping[str, Any]:
        """What snapshots say of the table: the parent's key and the value are its key."""
        names = list(self._parent.descriptor.key_schema.names)
        fields = list(self._parent.descriptor.key_schema)
        for field in self.descriptor.key_schema:
            name = field.name
            while name in names:
                name += "_"
            names.append(name)
            fields.append(field.with_name(name))
        schema = pa.schema(fields).remove_metadata()
        return {**super().meta(), "key_schema": schema.serialize().to_pybytes()}

    def _keys_of(self, slots: Slots) -> TableKeys:
        parents = self.namespaces(slots)
        columns = [*self._parent.keys(parents), *self._index.keys(slots)]
        return TableKeys(columns, self._parent.hash_of(parents), None)

    def _lookup(self, keys: TableKeys) -> Slots:
        parents = self._parent.lookup(keys.columns[: self._width], keys.hashes)
        found = np.full(len(parents), -1, np.int64)
        rows = np.flatnonzero(parents >= 0)
        values = [c.take(pa.array(rows)) for c in keys.columns[self._width :]]
        if len(rows):
            found[rows] = self._index.lookup(values, self.hashes(values), parents[rows])
        return found

    def _restored(self, columns: list[pa.Array], namespaces: Slots | None) -> Slots:
        parents = self._parent.lookup(columns[: self._width])
        if len(parents) and int(parents.min()) < 0:
            msg = f"state table '{self.descriptor.name}' has values of keys that are not there"
            raise CorruptFileError(msg, remedy="restore from another checkpoint")
        return self.upsert(columns[self._width :], parents)[0]

    def _decode_types(self) -> list[pa.DataType]:
        return [*self._parent.descriptor.key_schema.types, *self._types]

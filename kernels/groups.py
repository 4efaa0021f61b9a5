"""Aggregation of changelogs over slots: signs, decimals, texts, distinct values, chains.

Arguments common to all are those of :mod:`lesto.kernels.aggregate`; in addition

* ``signs`` int8[n]: 1 for a row that is added, -1 for one taken back; None: all are added.
* decimals are int64[2 * n], low word first; texts are Arrow's offsets and bytes.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lesto.kernels import arrow
from lesto.kernels.jit import native

Slots = npt.NDArray[np.int64]
Flags = npt.NDArray[np.uint8]
Signs = npt.NDArray[np.int8]
Links = npt.NDArray[np.int32]

GROUPS: Final = ("groups", "texts", "rowkeys", "aggregates", "hashing", "hashindex", "textindex")
"""What is to be warmed for these and for the tables they work on."""

_OPS: Final = {"sum": 0, "min": 1, "max": 2, "first": 3, "last": 4}
_ALL: Final = np.zeros(0, np.uint8)
_ADDED: Final = np.zeros(0, np.int8)
_NO_MASKS: Final = np.zeros(0, np.int64)


class Touched:
    """Finds the distinct slots of a batch; keeps a stamp a slot."""

    def __init__(self) -> None:
        self._stamps: Slots = np.zeros(1024, np.int64)
        self._epoch = 0

    def first_rows(self, slots: Slots, bound: int) -> Slots:
        """Rows at which each distinct slot stands first, ascending; negative slots are left out.

        Args:
            slots: int64[n].
            bound: above all slots.
        """
        if bound > len(self._stamps):
            self._stamps = np.zeros(max(bound, 2 * len(self._stamps)), np.int64)
        self._epoch += 1
        rows = np.empty(len(slots), np.int64)
        found = native("groups").touch(
            arrow.loopable(slots, np.int64), self._stamps, self._epoch, rows
        )
        return rows[:found]


def admit(slots: Slots, signs: Signs, counts: Slots, width: int, dirty: Flags) -> int:
    """Count rows by sign; ``slots`` becomes -1 where a row takes back from nothing.

    Args:
        slots: int64[n], changed.
        signs: int8[n].
        counts: int64[m * width]; the first of each slot is that of its rows.
        width: counts a slot.
        dirty: uint8[m].

    Returns:
        How many rows were skipped so.
    """
    _check(slots, counts[::width], dirty)
    skipped: int = native("groups").admit(
        slots, arrow.loopable(signs, np.int8), counts, width, dirty
    )
    return skipped


def count_masks(
    slots: Slots,
    masks: Slots | None,
    base: int,
    columns: Slots,
    signs: Signs | None,
    counts: Slots,
    width: int,
    dirty: Flags,
) -> None:
    """Count rows in several counts of their slots at once.

    Args:
        slots: int64[n].
        masks: int64[n], bits of a row; None: none but ``base``.
        base: bits of all rows.
        columns: int64[bits], the count that each bit names, -1 for none.
        signs: int8[n] or None.
        counts: int64[m * width].
        width: counts a slot.
        dirty: uint8[m].
    """
    _check(slots, counts[::width], dirty)
    native("groups").count_masks(
        arrow.loopable(slots, np.int64),
        _NO_MASKS if masks is None else arrow.loopable(masks, np.int64),
        base,
        columns,
        _ADDED if signs is None else arrow.loopable(signs, np.int8),
        counts,
        width,
        dirty,
    )


def add_counts(
    slots: Slots, values: Slots, counts: Slots, width: int, column: int, dirty: Flags
) -> None:
    """Add numbers to one count of the slots."""
    _check(slots, counts[::width], dirty)
    native("groups").add_counts(
        arrow.loopable(slots, np.int64), arrow.loopable(values, np.int64), counts, width, column,
        dirty,
    )  # fmt: skip


def sum_signed(
    slots: Slots,
    values: npt.NDArray[Any],
    validity: Flags | None,
    signs: Signs,
    acc: npt.NDArray[Any],
    seen: Flags,
    dirty: Flags,
) -> None:
    """Add values or take them away."""
    _check(slots, acc, seen, dirty)
    native("groups").sum_signed(
        arrow.loopable(slots, np.int64),
        arrow.loopable(values, acc.dtype),
        _flags(validity),
        arrow.loopable(signs, np.int8),
        acc,
        seen,
        dirty,
    )


def fold_decimals(
    op: str,
    slots: Slots,
    words: Slots,
    validity: Flags | None,
    signs: Signs | None,
    acc: Slots,
    seen: Flags,
    dirty: Flags,
) -> None:
    """Fold decimals; ``op`` is sum, min, max, first or last, and only a sum takes signs.

    A sum of more than 38 digits is null until the next value comes, as Flink has it.
    """
    _check(slots, seen, dirty)
    native("groups").fold_decimals(
        _OPS[op],
        arrow.loopable(slots, np.int64),
        arrow.loopable(words, np.int64),
        _flags(validity),
        _ADDED if signs is None else arrow.loopable(signs, np.int8),
        acc,
        seen,
        dirty,
    )


def fold_texts(
    op: str,
    slots: Slots,
    texts: tuple[npt.NDArray[Any], Flags],
    validity: Flags | None,
    acc: Any,
    dirty: Flags,
) -> None:
    """Fold texts; ``op`` is min, max, first or last.

    Args:
        op: how; texts are ordered by their bytes.
        slots: int64[n].
        texts: offsets and bytes of n texts.
        validity: uint8[n] or None.
        acc: a text accumulator of a state table.
        dirty: uint8[m].
    """
    _check(slots, acc.seen, dirty)
    slots = arrow.loopable(slots, np.int64)
    offsets = arrow.loopable(texts[0], texts[0].dtype)
    valid, row = _flags(validity), 0
    while True:
        row = native("texts").fold(
            _OPS[op], row, slots, offsets, texts[1], valid,
            acc.values, acc.arena, acc.state, acc.seen, dirty,
        )  # fmt: skip
        if row == len(slots):
            return
        acc.make_room(int(offsets[row + 1]) - int(offsets[row]))


def mark(slots: Slots, masks: Slots, flags: Slots, dirty: Flags) -> tuple[Slots, int]:
    """Set bits per slot.

    Returns:
        int64[n], the bits that each row was the first to set; and how many rows set any.
    """
    _check(slots, flags, dirty)
    out = np.empty(len(slots), np.int64)
    rows = native("groups").mark(
        arrow.loopable(slots, np.int64), arrow.loopable(masks, np.int64), flags, dirty, out
    )
    return out, rows


def step(
    slots: Slots, active: Flags | None, signs: Signs | None, counts: Slots, dirty: Flags
) -> tuple[Signs, int]:
    """Count values per slot.

    Returns:
        int8[n], 1 where a count leaves 0 and -1 where it comes back; and how many rows do that.
    """
    _check(slots, counts, dirty)
    out = np.empty(len(slots), np.int8)
    rows = native("groups").step(
        arrow.loopable(slots, np.int64),
        _flags(active),
        _ADDED if signs is None else arrow.loopable(signs, np.int8),
        counts,
        dirty,
        out,
    )
    return out, rows


class Chains:
    """The children of each parent, linked through their slots."""

    def __init__(self) -> None:
        self._following: Links = np.zeros(1024, np.int32)
        self._before: Links = np.zeros(1024, np.int32)
        self._heads: Links = np.zeros(1024, np.int32)

    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""
        return int(self._following.nbytes + self._before.nbytes + self._heads.nbytes)

    def link(self, slots: Slots, parents: Slots) -> None:
        """Add children, int64[n] each."""
        if len(slots) == 0:
            return
        self._following = _grown(self._following, int(slots.max()) + 1)
        self._before = _grown(self._before, len(self._following))
        self._heads = _grown(self._heads, int(parents.max()) + 1)
        native("groups").link(
            arrow.loopable(slots, np.int64),
            arrow.loopable(parents, np.int64),
            self._following,
            self._before,
            self._heads,
        )

    def unlink(self, slots: Slots, parents: Slots) -> None:
        """Take children out."""
        native("groups").unlink(
            arrow.loopable(slots, np.int64),
            arrow.loopable(parents, np.int64),
            self._following,
            self._before,
            self._heads,
        )

    def none(self, parents: Slots) -> npt.NDArray[np.bool_]:
        """Which parents have no children."""
        if len(parents):
            self._heads = _grown(self._heads, int(parents.max()) + 1)
        return np.asarray(self._heads[parents] == 0)

    def of(self, parents: Slots) -> tuple[Slots, Slots]:
        """Children of parents: the number of the parent in the list, ascending, and the slot."""
        parents = arrow.loopable(parents, np.int64)
        if len(parents):
            self._heads = _grown(self._heads, int(parents.max()) + 1)
        total = native("groups").chain_length(parents, self._heads, self._following)
        numbers, slots = np.empty(total, np.int64), np.empty(total, np.int64)
        native("groups").chained(parents, self._heads, self._following, numbers, slots)
        return numbers, slots


def _grown(links: Links, size: int) -> Links:
    if size <= len(links):
        return links
    out = np.zeros(max(size, 2 * len(links)), np.int32)
    out[: len(links)] = links
    return out


def _flags(validity: Flags | None) -> Flags:
    return _ALL if validity is None else arrow.loopable(validity, np.uint8)


def _check(slots: Slots, *places: npt.NDArray[Any]) -> None:
    bound = int(slots.max()) if len(slots) else -1
    shortest = min(map(len, places))
    if bound >= shortest:
        msg = f"slot {bound} has no place in accumulators of {shortest}: grow them first"
        raise IndexError(msg)

"""Loops behind ``lesto.kernels.groups``: what aggregates of a changelog need beside folding."""

from typing import Any

import numpy as np

from lesto.kernels.compiled.decorator import inline, kernel

SUM, MIN, MAX, FIRST, LAST = 0, 1, 2, 3, 4

# 10 ** 38: decimals reach up to it, not including it.
_LIMIT_HIGH = np.int64(0x4B3B4CA85A86C47A)
_LIMIT_LOW = np.uint64(0x098A224000000000)
_ONE = np.uint64(1)

_I, _U, _F = "int64[::1]", "uint8[::1]", "int8[::1]"


@kernel(f"int64({_I}, {_I}, int64, {_I})")
def touch(slots: Any, stamps: Any, epoch: Any, rows: Any) -> Any:
    """Rows at which each slot stands first (negative ones left out); returns how many."""
    count = 0
    for i in range(slots.size):
        s = slots[i]
        if s >= 0 and stamps[s] != epoch:
            stamps[s] = epoch
            rows[count] = i
            count += 1
    return count


@kernel(f"int64({_I}, {_F}, {_I}, int64, {_U})")
def admit(slots: Any, signs: Any, counts: Any, width: Any, dirty: Any) -> Any:
    """Count rows by sign in the first of ``width`` counts a slot.

    A row that takes back from nothing is skipped: its slot becomes -1.
    """
    skipped = 0
    for i in range(slots.size):
        s = slots[i]
        if s < 0:
            continue
        if signs[i] > 0:
            counts[s * width] += 1
        elif counts[s * width] > 0:
            counts[s * width] -= 1
        else:
            slots[i] = -1
            skipped += 1
            continue
        dirty[s] = 1
    return skipped


@kernel(f"void({_I}, {_I}, int64, {_I}, {_F}, {_I}, int64, {_U})")
def count_masks(
    slots: Any, masks: Any, base: Any, columns: Any, signs: Any, counts: Any, width: Any, dirty: Any
) -> None:
    """Add signs to the counts of a slot that a row's bits name.

    Args:
        slots: int64[n].
        masks: int64[n] or empty.
        base: bits of all rows beside.
        columns: int64[bits], the count that each bit names, or -1.
        signs: int8[n]; empty: all 1.
        counts: int64[m * width].
        width: counts a slot.
        dirty: uint8[m].
    """
    for i in range(slots.size):
        s = slots[i]
        mask = base | masks[i] if masks.size else base
        if s < 0 or mask == 0:
            continue
        sign = np.int64(signs[i]) if signs.size else np.int64(1)
        at = s * width
        for j in range(columns.size):
            if (mask >> j) & 1 and columns[j] >= 0:
                counts[at + columns[j]] += sign
        dirty[s] = 1


@kernel(f"void({_I}, {_I}, {_I}, int64, int64, {_U})")
def add_counts(slots: Any, values: Any, counts: Any, width: Any, column: Any, dirty: Any) -> None:
    """Add numbers to one count of the slots."""
    for i in range(slots.size):
        s = slots[i]
        if s >= 0:
            counts[s * width + column] += values[i]
            dirty[s] = 1


_SUM = f"void({_I}, {{0}}[::1], {_U}, {_F}, {{0}}[::1], {_U}, {_U})"


@kernel(_SUM.format("int64"), _SUM.format("float64"))
def sum_signed(
    slots: Any, values: Any, valid: Any, signs: Any, acc: Any, seen: Any, dirty: Any
) -> None:
    """Add or take away each value."""
    for i in range(slots.size):
        s = slots[i]
        if s < 0 or (valid.size > 0 and not valid[i]):
            continue
        if signs[i] > 0:
            acc[s] += values[i]
        else:
            acc[s] -= values[i]
        seen[s] = 1
        dirty[s] = 1


@inline
def less(a_low: Any, a_high: Any, b_low: Any, b_high: Any) -> Any:
    """Whether a 128-bit number is smaller than another."""
    if a_high != b_high:
        return a_high < b_high
    return np.uint64(a_low) < np.uint64(b_low)


@inline
def negated(low: Any, high: Any) -> Any:
    """The number with the other sign."""
    flipped = ~np.uint64(low) + _ONE
    carry = np.int64(1) if flipped == np.uint64(0) else np.int64(0)
    return np.int64(flipped), ~high + carry


@inline
def fits(low: Any, high: Any) -> Any:
    """Whether a number has at most 38 digits."""
    if high < 0:
        low, high = negated(low, high)
    return less(low, high, np.int64(_LIMIT_LOW), _LIMIT_HIGH)


@kernel(f"void(int64, {_I}, {_I}, {_U}, {_F}, {_I}, {_U}, {_U})")
def fold_decimals(
    op: Any, slots: Any, values: Any, valid: Any, signs: Any, acc: Any, seen: Any, dirty: Any
) -> None:
    """Fold numbers of two words each; a sum that has more than 38 digits is null again."""
    for i in range(slots.size):
        s = slots[i]
        if s < 0 or (valid.size > 0 and not valid[i]):
            continue
        low, high = values[2 * i], values[2 * i + 1]
        if signs.size > 0 and signs[i] < 0:
            low, high = negated(low, high)
        old_low, old_high = acc[2 * s], acc[2 * s + 1]
        if not seen[s]:
            seen[s] = 1
        elif op == SUM:
            total = np.uint64(old_low) + np.uint64(low)
            carry = np.int64(1) if total < np.uint64(low) else np.int64(0)
            wide = old_high + high + carry
            over = (old_high < 0) == (high < 0) and (wide < 0) != (high < 0)
            low, high = np.int64(total), wide
            if over or not fits(low, high):
                seen[s] = 0
                low, high = np.int64(0), np.int64(0)
        elif op == MIN:
            if not less(low, high, old_low, old_high):
                continue
        elif op == MAX:
            if not less(old_low, old_high, low, high):
                continue
        elif op == FIRST:
            continue
        acc[2 * s], acc[2 * s + 1] = low, high
        dirty[s] = 1


@kernel(f"int64({_I}, {_I}, {_I}, {_U}, {_I})")
def mark(slots: Any, masks: Any, flags: Any, dirty: Any, out: Any) -> Any:
    """Set bits per slot; ``out`` has those that a row was the first to set. Returns such rows."""
    rows = 0
    for i in range(slots.size):
        s = slots[i]
        fresh = masks[i] & ~flags[s] if s >= 0 else np.int64(0)
        out[i] = fresh
        if fresh != 0:
            flags[s] |= fresh
            dirty[s] = 1
            rows += 1
    return rows


@kernel(f"int64({_I}, {_U}, {_F}, {_I}, {_U}, {_F})")
def step(slots: Any, active: Any, signs: Any, counts: Any, dirty: Any, out: Any) -> Any:
    """Count values; ``out`` is 1 where a count leaves 0 and -1 where it comes back to it.

    A value taken back that is not there is passed over. Returns the rows where ``out`` is not 0.
    """
    rows = 0
    for i in range(slots.size):
        s = slots[i]
        out[i] = 0
        if s < 0 or (active.size > 0 and not active[i]):
            continue
        if signs.size == 0 or signs[i] > 0:
            counts[s] += 1
            if counts[s] == 1:
                out[i] = 1
        elif counts[s] > 0:
            counts[s] -= 1
            if counts[s] == 0:
                out[i] = -1
        else:
            continue
        dirty[s] = 1
        if out[i] != 0:
            rows += 1
    return rows


_LINKS = "int32[::1]"


@kernel(f"void({_I}, {_I}, {_LINKS}, {_LINKS}, {_LINKS})")
def link(slots: Any, parents: Any, following: Any, before: Any, heads: Any) -> None:
    """Put children in front of the chains of their parents; links are slots + 1, 0 for none."""
    for i in range(slots.size):
        s, parent = slots[i], parents[i]
        head = heads[parent]
        following[s] = head
        before[s] = 0
        if head:
            before[head - 1] = s + 1
        heads[parent] = s + 1


@kernel(f"void({_I}, {_I}, {_LINKS}, {_LINKS}, {_LINKS})")
def unlink(slots: Any, parents: Any, following: Any, before: Any, heads: Any) -> None:
    """Take children out of the chains of their parents."""
    for i in range(slots.size):
        s = slots[i]
        after, previous = following[s], before[s]
        if previous:
            following[previous - 1] = after
        else:
            heads[parents[i]] = after
        if after:
            before[after - 1] = previous
        following[s] = 0
        before[s] = 0


@kernel(f"int64({_I}, {_LINKS}, {_LINKS})")
def chain_length(parents: Any, heads: Any, following: Any) -> Any:
    """How many children some parents have together."""
    total = 0
    for i in range(parents.size):
        s = heads[parents[i]]
        while s:
            total += 1
            s = following[s - 1]
    return total


@kernel(f"void({_I}, {_LINKS}, {_LINKS}, {_I}, {_I})")
def chained(parents: Any, heads: Any, following: Any, numbers: Any, slots: Any) -> None:
    """The children of some parents: numbers of the parents in the list, and slots."""
    at = 0
    for i in range(parents.size):
        s = heads[parents[i]]
        while s:
            numbers[at] = i
            slots[at] = s - 1
            at += 1
            s = following[s - 1]

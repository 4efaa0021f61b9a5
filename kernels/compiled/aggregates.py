"""Loops behind ``lesto.kernels.aggregate``: accumulators over slots."""

from typing import Any

from lesto.kernels.compiled.decorator import kernel

SUM, MIN, MAX, FIRST, LAST = 0, 1, 2, 3, 4

_COUNT = "void(int64[::1], uint8[::1], int64[::1], uint8[::1])"
_RUN_COUNT = "void(int64[::1], uint8[::1], int64[::1], uint8[::1], int64[::1])"
_FOLD = "void(int64, int64[::1], {0}[::1], uint8[::1], {0}[::1], uint8[::1], uint8[::1])"
_RUN = (
    "void(int64, int64[::1], {0}[::1], uint8[::1], {0}[::1], uint8[::1], uint8[::1],"
    " {0}[::1], uint8[::1])"
)


@kernel(_COUNT)
def count(slots: Any, valid: Any, acc: Any, dirty: Any) -> None:
    """Count rows per slot."""
    for i in range(slots.size):
        s = slots[i]
        if s >= 0 and (valid.size == 0 or valid[i]):
            acc[s] += 1
            dirty[s] = 1


@kernel(_RUN_COUNT)
def run_count(slots: Any, valid: Any, acc: Any, dirty: Any, out: Any) -> None:
    """Count, and the count after each row."""
    for i in range(slots.size):
        s = slots[i]
        if s < 0:
            out[i] = 0
            continue
        if valid.size == 0 or valid[i]:
            acc[s] += 1
            dirty[s] = 1
        out[i] = acc[s]


@kernel(_FOLD.format("int64"), _FOLD.format("float64"))
def fold(op: Any, slots: Any, values: Any, valid: Any, acc: Any, seen: Any, dirty: Any) -> None:
    """Fold each value into its slot by ``op``; a slot not seen takes the value as it is."""
    for i in range(slots.size):
        s = slots[i]
        if s < 0 or (valid.size > 0 and not valid[i]):
            continue
        v = values[i]
        if not seen[s]:
            seen[s] = 1
            acc[s] = v
        elif op == SUM:
            acc[s] += v
        elif op == MIN:
            acc[s] = min(acc[s], v)
        elif op == MAX:
            acc[s] = max(acc[s], v)
        elif op == LAST:
            acc[s] = v
        else:
            continue
        dirty[s] = 1


@kernel(_RUN.format("int64"), _RUN.format("float64"))
def run(
    op: Any,
    slots: Any,
    values: Any,
    valid: Any,
    acc: Any,
    seen: Any,
    dirty: Any,
    out: Any,
    out_valid: Any,
) -> None:
    """As :func:`fold`, and after each row its slot's accumulator into ``out``."""
    for i in range(slots.size):
        s = slots[i]
        if s < 0:
            out[i] = 0
            out_valid[i] = 0
            continue
        if valid.size == 0 or valid[i]:
            v = values[i]
            dirty[s] = 1
            if not seen[s]:
                seen[s] = 1
                acc[s] = v
            elif op == SUM:
                acc[s] += v
            elif op == MIN:
                acc[s] = min(acc[s], v)
            elif op == MAX:
                acc[s] = max(acc[s], v)
            elif op == LAST:
                acc[s] = v
        out[i] = acc[s]
        out_valid[i] = seen[s]

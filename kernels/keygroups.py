"""Key groups and the channel that owns each, by Flink's formulas."""

import functools

import numpy as np
import numpy.typing as npt

from lesto.kernels import arrow
from lesto.kernels.jit import native

MAX_PARALLELISM_LIMIT = 1 << 15


def key_groups(hashes: npt.NDArray[np.uint64], max_parallelism: int) -> npt.NDArray[np.uint16]:
    """Key group of every hash: its upper 32 bits modulo ``max_parallelism``.

    The lower bits place a key in a hash index; keeping the two apart means that a subtask, which
    sees only some key groups, still fills its index evenly.

    Args:
        hashes: uint64[n].
        max_parallelism: number of key groups, 1..32768.

    Returns:
        uint16[n].
    """
    _check(max_parallelism, 1)
    out = np.empty(len(hashes), np.uint16)
    native("hashing").key_groups(arrow.loopable(hashes, np.uint64), max_parallelism, out)
    return out


def channels(
    hashes: npt.NDArray[np.uint64], max_parallelism: int, parallelism: int
) -> npt.NDArray[np.int32]:
    """Operator index that owns every hash.

    Returns:
        int32[n], each in 0..parallelism-1.
    """
    _check(max_parallelism, parallelism)
    out = np.empty(len(hashes), np.int32)
    owners = _owners(max_parallelism, parallelism)
    native("hashing").channels(arrow.loopable(hashes, np.uint64), owners, out)
    return out


def key_group_for_hash(value: int, max_parallelism: int) -> int:
    """Key group of one 64-bit hash."""
    return (value >> 32) % max_parallelism


def operator_index(key_group: int, max_parallelism: int, parallelism: int) -> int:
    """Index of the subtask that owns a key group."""
    return key_group * parallelism // max_parallelism


def key_group_range(max_parallelism: int, parallelism: int, index: int) -> tuple[int, int]:
    """First and last key group of subtask ``index``, both inclusive."""
    start = (index * max_parallelism + parallelism - 1) // parallelism
    end = ((index + 1) * max_parallelism - 1) // parallelism
    return start, end


@functools.lru_cache(maxsize=64)
def _owners(max_parallelism: int, parallelism: int) -> npt.NDArray[np.int32]:
    groups = np.arange(max_parallelism, dtype=np.int64)
    return (groups * parallelism // max_parallelism).astype(np.int32)


def _check(max_parallelism: int, parallelism: int) -> None:
    if not 1 <= parallelism <= max_parallelism <= MAX_PARALLELISM_LIMIT:
        msg = (
            f"need 1 <= parallelism ({parallelism}) <= max parallelism ({max_parallelism}) "
            f"<= {MAX_PARALLELISM_LIMIT}"
        )
        raise ValueError(msg)

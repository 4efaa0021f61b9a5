"""Splits that most sources share: ranges of positions, and the enumerators that hand them out."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar, cast

import msgspec

from lesto.common.source import EnumeratorContext, SourceSplit, SplitEnumerator


@dataclass(frozen=True, slots=True)
class RangeSplit:
    """Positions ``[next, end)`` of a numbered input; ``next`` is the progress.

    Attributes:
        split_id: unique in the source.
        start: first position of the split when it was made.
        next: next position to read.
        end: one past the last position.
    """

    split_id: str
    start: int
    next: int
    end: int

    def advanced_to(self, position: int) -> RangeSplit:
        """The same split with progress."""
        assert self.next <= position <= self.end, (self, position)
        return replace(self, next=position)


def encode_range(split: SourceSplit) -> bytes:
    """A range split as msgpack."""
    assert isinstance(split, RangeSplit)
    return msgspec.msgpack.encode([split.split_id, split.start, split.next, split.end])


def decode_range(data: bytes) -> RangeSplit:
    """Inverse of ``encode_range``."""
    split_id, start, position, end = msgspec.msgpack.decode(data, type=tuple[str, int, int, int])
    return RangeSplit(split_id, start, position, end)


def even_ranges(total: int, parts: int) -> list[RangeSplit]:
    """At most ``parts`` ranges that cover ``[0, total)``, sizes differing by one; none is empty.

    >>> [(s.start, s.end) for s in even_ranges(10, 3)]
    [(0, 3), (3, 6), (6, 10)]
    """
    bounds = [total * i // parts for i in range(parts + 1)]
    pairs = itertools.pairwise(bounds)
    return [RangeSplit(f"{lo}-{hi}", lo, lo, hi) for lo, hi in pairs if hi > lo]


S = TypeVar("S", bound=SourceSplit)


class PooledEnumerator(SplitEnumerator, Generic[S]):
    """Hands out a known list of splits in order, one a request; the base of bounded sources."""

    def __init__(
        self,
        context: EnumeratorContext,
        splits: Iterable[S],
        *,
        encode: Callable[[S], bytes],
    ) -> None:
        self._context = context
        self._pending: deque[S] = deque(splits)
        self._encode = encode

    def handle_split_request(self, subtask: int) -> None:
        """Assign the next split, or say that there is none left."""
        if self._pending:
            self._context.assign_split(self._pending.popleft(), subtask)
        else:
            self._context.signal_no_more_splits(subtask)

    def add_splits_back(self, splits: Sequence[SourceSplit], subtask: int) -> None:
        """They are the next ones; the reader asks for them."""
        self._pending.extendleft(cast("S", split) for split in reversed(splits))

    def snapshot_state(self, checkpoint_id: int) -> bytes:
        """The splits not yet assigned."""
        return msgspec.msgpack.encode([self._encode(s) for s in self._pending])


def decode_pool(data: bytes, decode: Callable[[bytes], S]) -> list[S]:
    """The splits of a ``PooledEnumerator`` snapshot."""
    return [decode(item) for item in msgspec.msgpack.decode(data, type=list[bytes])]

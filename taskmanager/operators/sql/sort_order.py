"""Orders of rows: columns become int64 words that compare as SQL compares the values.

NULLs are equal to each other; NaN is the greatest number and equal to itself; texts compare by
their UTF-8 bytes, as Flink's do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from lesto.kernels import arrow
from lesto.sql.values import ints

Words = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

#: Digits of a decimal that fit a word.
_ONE_WORD_DIGITS: Final = 18
#: Bits that numpy sorts by counting, and how many passes pay.
_DIGIT: Final = 16
_DIGITS_MAX: Final = 3
#: Up to so many rows passes do not pay.
_FEW_ROWS: Final = 1024
_LOW: Final = np.int64(0x7FFFFFFFFFFFFFFF)
_SIGN: Final = np.uint64(1 << 63)


@dataclass(frozen=True, slots=True)
class Order:
    """A column to sort by.

    Attributes:
        index: position of the column.
        descending: the greatest first.
        nulls_first: where NULLs go, whichever the direction.
    """

    index: int
    descending: bool = False
    nulls_first: bool = True


def is_orderable(kind: pa.DataType) -> bool:
    """Whether rows can be sorted by a column of a type."""
    return not pat.is_nested(kind)


def is_lasting(kind: pa.DataType) -> bool:
    """Whether one word stands for a value for good: those of texts count within one call alone."""
    if pat.is_decimal(kind):
        return bool(kind.precision <= _ONE_WORD_DIGITS)
    return is_orderable(kind) and not (
        pat.is_string(kind) or pat.is_binary(kind) or pat.is_null(kind)
    )


def sort_words(columns: Sequence[pa.Array], orders: Sequence[Order]) -> list[Words]:
    """Words of rows, the most significant first: rows compare as their words do.

    Args:
        columns: one an order.
        orders: directions; their indexes are not looked at.
    """
    found: list[Words] = []
    for column, order in zip(columns, orders, strict=True):
        words = _words(column)
        if order.descending:
            words = [~w for w in words]
        if column.null_count:
            null = np.asarray(pc.is_null(column))
            found.append(np.where(null, -1 if order.nulls_first else 1, 0).astype(np.int64))
            words = [np.where(null, 0, w) for w in words]
        found.extend(words)
    return found


def lead_words(column: pa.Array, order: Order) -> tuple[Words, Words]:
    """What tells NULLs, and the word of each value, of a column whose words are lasting."""
    found = sort_words([column], [order])
    return (found[0], found[1]) if len(found) == 2 else (np.zeros(len(column), np.int64), found[0])


def value_words(column: pa.Array) -> Words:
    """One word a value, which compare within the call; anything where NULL."""
    words = _words(column)
    if len(words) == 1:
        return words[0]
    order = permutation(words, len(column))
    found = np.empty(len(column), np.int64)
    found[order] = np.cumsum(changes_of([w[order] for w in words], len(column)))
    return found


def _words(column: pa.Array) -> list[Words]:
    kind = column.type
    if pat.is_null(kind):
        return [np.zeros(len(column), np.int64)]
    if pat.is_floating(kind):
        numbers = pc.cast(column, pa.float64()) if kind != pa.float64() else column
        values = arrow.view(numbers.buffers()[1], np.float64, numbers.offset, len(numbers)) + 0.0
        values[np.isnan(values)] = np.nan
        bits = values.view(np.int64)
        return [bits ^ ((bits >> np.int64(63)) & _LOW)]
    if pat.is_decimal(kind):
        return _decimal_words(column)
    if pat.is_string(kind) or pat.is_binary(kind):
        ranks = pc.rank(column, sort_keys="ascending", tiebreaker="dense")
        return [np.asarray(ranks).astype(np.int64)]
    return [ints(column)]


def _decimal_words(column: pa.Array) -> list[Words]:
    pairs = arrow.view(column.buffers()[1], np.uint64, 2 * column.offset, 2 * len(column))
    low = np.ascontiguousarray(pairs[::2])
    if column.type.precision <= _ONE_WORD_DIGITS:
        return [low.view(np.int64)]
    high = np.ascontiguousarray(pairs[1::2])
    return [high.view(np.int64), (low ^ _SIGN).view(np.int64)]


def permutation(words: Sequence[Words], rows: int) -> Rows:
    """The stable order of rows by words, the most significant first."""
    order: Rows | None = None
    for word in reversed(words):
        order = _reordered(word, order)
    return np.arange(rows, dtype=np.int64) if order is None else order


def _reordered(word: Words, order: Rows | None) -> Rows:
    """Rows in order by a word; what is equal stays in the order given."""
    if len(word) < _FEW_ROWS:
        found = np.argsort(word if order is None else word[order], kind="stable")
        return found if order is None else order[found]
    least = int(word.min())
    digits = ((int(word.max()) - least).bit_length() + _DIGIT - 1) // _DIGIT
    if digits > _DIGITS_MAX:
        found = np.argsort(word if order is None else word[order], kind="stable")
        return found if order is None else order[found]
    # Numpy sorts 16 bits by counting: several passes are quicker than one by comparing.
    above = (word - np.int64(least)).view(np.uint64)
    for digit in range(digits):
        part = (above >> np.uint64(_DIGIT * digit)).astype(np.uint16)
        found = np.argsort(part if order is None else part[order], kind="stable")
        order = found if order is None else order[found]
    return np.arange(len(word), dtype=np.int64) if order is None else order


def changes_of(words: Sequence[Words], rows: int) -> npt.NDArray[np.bool_]:
    """bool[n]: where a row differs from the one before it; the first one always does."""
    found = np.zeros(rows, np.bool_)
    if rows:
        found[0] = True
        for word in words:
            found[1:] |= word[1:] != word[:-1]
    return found


def orders_of(keys: Sequence[tuple[int, bool, bool]]) -> tuple[Order, ...]:
    """Orders of plain tuples: column, whether descending, whether NULLs come first."""
    return tuple(Order(*key) for key in keys)

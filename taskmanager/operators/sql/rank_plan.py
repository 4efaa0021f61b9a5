"""What a Top-N ranks and gives."""

from __future__ import annotations

from dataclasses import dataclass

from lesto.taskmanager.operators.sql.sort_order import Order


@dataclass(frozen=True, slots=True)
class TopN:
    """What is ranked.

    Attributes:
        partition: positions of the partition's columns.
        order: of its rows; what is equal goes by arrival.
        function: ROW_NUMBER, RANK or DENSE_RANK.
        start: first rank that is given, from 1.
        end: last rank that is given.
        with_rank: whether the rank is the last column of what is given.
        give_before: whether updates are wanted with UB.
        row_key: a unique key of the input, None if there is none.
        ttl_ms: of idle rows, 0 for good.
        final: whether only the ranks at the end of the input are given.
    """

    partition: tuple[int, ...]
    order: tuple[Order, ...]
    function: str
    start: int
    end: int
    with_rank: bool
    give_before: bool
    row_key: tuple[int, ...] | None = None
    ttl_ms: int = 0
    final: bool = False

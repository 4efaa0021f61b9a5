"""Functions of window joins and of partitions, as in Flink's
``org.apache.flink.api.common.functions``.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Iterable
from typing import Generic, TypeVar

from lesto.common.functions import Function

IN1 = TypeVar("IN1")
IN2 = TypeVar("IN2")
OUT = TypeVar("OUT")
IN = TypeVar("IN")


class Order(enum.Enum):
    """How a partition is sorted."""

    ASCENDING = "ascending"
    DESCENDING = "descending"


class JoinFunction(Function, Generic[IN1, IN2, OUT]):
    """One result for each pair of records with the same key and window."""

    @abstractmethod
    def join(self, first: IN1, second: IN2) -> OUT:
        """The result of a pair."""


class FlatJoinFunction(Function, Generic[IN1, IN2, OUT]):
    """Any number of results for each pair of records with the same key and window."""

    @abstractmethod
    def join(self, first: IN1, second: IN2) -> Iterable[OUT] | None:
        """The results of a pair."""


class CoGroupFunction(Function, Generic[IN1, IN2, OUT]):
    """Results for the two groups of records of a key and window; one of them may be empty."""

    @abstractmethod
    def co_group(self, first: list[IN1], second: list[IN2]) -> Iterable[OUT] | None:
        """The results of a key and window."""


class MapPartitionFunction(Function, Generic[IN, OUT]):
    """Results for all records of a partition, at the end of the input."""

    @abstractmethod
    def map_partition(self, values: Iterable[IN]) -> Iterable[OUT] | None:
        """The results of a partition."""

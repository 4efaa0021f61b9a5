"""Map, flat_map and process over two streams that are not keyed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lesto.common.elements import Batch, RowBatch
from lesto.taskmanager.operators.stateless import (
    FlatMapOperator,
    ProcessOperator,
    UserFunctionOperator,
)
from lesto.taskmanager.operators.user_functions import bound_method

_NONE = type(None)


class CoMapOperator(UserFunctionOperator):
    """At most one result for each record: ``map1(value)`` or ``map2(value)``.

    As in PyFlink, a record whose result is None has no result.
    """

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._maps: tuple[Callable[[Any], Any], ...] = (
            bound_method(function, "map1"),
            bound_method(function, "map2"),
        )

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Map each value by its side's function; event time and row kind stay."""
        assert isinstance(batch, RowBatch)
        fn = self._maps[input_index]
        rows = iter(batch.values)
        try:
            values = [fn(value) for value in rows]
        except Exception as error:
            raise self._row_error(error, rows, len(batch.values)) from error
        timestamps, kinds = batch.timestamps, batch.kinds
        if _NONE in {*map(type, values)}:
            kept = np.array([value is not None for value in values], dtype=bool)
            values = [value for value in values if value is not None]
            timestamps = None if timestamps is None else timestamps[kept]
            kinds = None if kinds is None else kinds[kept]
        if values:
            self.output.emit(RowBatch(values, timestamps, kinds))


class CoFlatMapOperator(FlatMapOperator):
    """Any number of results a record: ``flat_map1(value)`` or ``flat_map2(value)``."""

    def __init__(self, function: Any) -> None:
        super().__init__(function, "flat_map1")
        self._sides: tuple[Callable[[Any], Any], ...] = (
            bound_method(function, "flat_map1"),
            bound_method(function, "flat_map2"),
        )

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Collect the results of each value by its side's function; they keep its event time."""
        self._flat_map = self._sides[input_index]
        super().process_batch(batch)


class CoProcessOperator(ProcessOperator):
    """``process_element1(value, ctx)`` and ``process_element2`` yield results."""

    def __init__(self, function: Any) -> None:
        super().__init__(function, "process_element1")
        self._sides: tuple[Callable[..., Any], ...] = (
            bound_method(function, "process_element1"),
            bound_method(function, "process_element2"),
        )

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Run the side's function over the batch and emit what it yields, once."""
        self._process = self._sides[input_index]
        super().process_batch(batch)

"""All records of a subtask as one window: results when the input has ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from lesto.common.elements import Batch, RowBatch
from lesto.common.functions import WindowFunction
from lesto.state import codec
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.errors import InvalidFunctionError
from lesto.taskmanager.operators.field_access import column
from lesto.taskmanager.operators.results import emit_results
from lesto.taskmanager.operators.stateless import UserFunctionOperator
from lesto.taskmanager.operators.user_functions import (
    bound_method,
    current_row,
    function_error,
    function_name,
)
from lesto.taskmanager.operators.window_contents import (
    AggregatedContents,
    ReducedContents,
    WindowContents,
)
from lesto.taskmanager.operators.window_firing import STEP_MS
from lesto.taskmanager.operators.window_joins import UserPairFunction

#: Operator list state: the records, or what they are combined to.
PARTITION_STATE: Final = "partition"
#: Records of one item of the state.
CHUNK_ROWS: Final = 4096
#: Results between two looks at the clock.
EMITTED_ROWS: Final = 512


class MapPartition(UserPairFunction):
    """A user's function over a partition, as a window function."""

    method = "map_partition"

    def apply(self, key: Any, window: Any, inputs: Iterable[Any]) -> Iterable[Any]:
        """The results of a partition."""
        found = self._call(inputs)
        return () if found is None else found


class SortPartition(WindowFunction[Any, Any, Any, Any]):
    """A partition, sorted.

    Args:
        by: position or name of a field, or a callable record -> key.
        descending: largest first.
    """

    def __init__(self, by: Any, *, descending: bool) -> None:
        self._by = by
        self._descending = descending
        self.__qualname__ = (
            f"sort_partition({by if isinstance(by, int | str) else function_name(by)})"
        )

    def apply(self, key: Any, window: Any, inputs: Iterable[Any]) -> Iterable[Any]:
        """The records in order; equal ones as they came."""
        values, by = list(inputs), self._by
        keys = [*map(by, values)] if callable(by) else column(values, by)
        order = sorted(range(len(values)), key=keys.__getitem__, reverse=self._descending)
        return [values[i] for i in order]


class PartitionWindowOperator(UserFunctionOperator):
    """Collects or combines the records of its subtask; results when the input has ended.

    Args:
        kind: ``apply`` (a window function over all records), ``reduce`` or ``aggregate``.
        function: the function.
    """

    concurrent = True

    def __init__(self, kind: str, function: Any) -> None:
        super().__init__(function)
        self._combined: WindowContents | None = None
        if kind == "reduce":
            self._combined = ReducedContents(function)
        elif kind == "aggregate":
            self._combined = AggregatedContents(function)
        elif kind != "apply":
            msg = f"unknown kind of partition window {kind!r}"
            raise InvalidFunctionError(msg)
        self._apply = None if self._combined else bound_method(function, "apply")
        self._content: dict[Any, Any] = {}  # None -> what the records are combined to
        self._records: list[Any] = []
        self._full: list[bytes] = []  # of the records, whole chunks as they are stored
        self._results: Iterator[Any] | None = None

    def open(self) -> None:
        """Open the function, then take over the restored records."""
        super().open()
        combined = self._combined
        for item in self.context.restored_list(PARTITION_STATE):
            restored = codec.decode(item)
            if combined is None:
                self._records.extend(restored)
            elif None in self._content:
                try:
                    self._content[None] = combined.join(self._content[None], restored)
                except Exception as error:
                    raise self._error(error) from error
            else:
                self._content[None] = restored

    def _error(self, error: Exception, row: int | None = None) -> Exception:
        name = function_name(self._function)
        return function_error(self.context.operator_name, name, error, row, iterates=True)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Keep the records, or combine them."""
        assert isinstance(batch, RowBatch)
        values = batch.values
        if self._combined is None:
            self._records.extend(values)
            return
        rows = iter(values)
        try:
            self._combined.fold(self._content, [None] * len(values), rows)
        except Exception as error:
            raise self._error(error, current_row(rows, len(values))) from error

    def end_input(self, input_index: int = 0) -> None:
        """Give the results, a step at a time."""
        self._results = self._found()
        self.poll()

    def _found(self) -> Iterator[Any]:
        if self._combined is not None:
            for content in self._content.values():
                yield from self._combined.elements(content)
        elif self._records:
            assert self._apply is not None
            yield from self._apply(0, None, self._records)

    def poll(self) -> object:
        """One step of giving results."""
        if self._results is None:
            return False
        clock = self.context.clock
        began = clock.monotonic_ms()
        while True:
            try:
                some = list(islice(self._results, EMITTED_ROWS))
            except Exception as error:
                raise self._error(error) from error
            emit_results(self.output, some, None, None)
            if len(some) < EMITTED_ROWS:
                self._results = None
                self._records, self._content, self._full = [], {}, []
                return True
            if clock.monotonic_ms() - began >= STEP_MS:
                return True

    def in_flight(self) -> bool:
        """Whether results are still to come."""
        return self._results is not None

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """The records, or what they are combined to."""
        if self._combined is not None:
            items = [codec.encode(content) for content in self._content.values()]
        else:
            done = len(self._full) * CHUNK_ROWS
            whole = len(self._records) // CHUNK_ROWS * CHUNK_ROWS
            for at in range(done, whole, CHUNK_ROWS):
                self._full.append(codec.encode(self._records[at : at + CHUNK_ROWS]))
            items = list(self._full)
            if len(self._records) > whole:
                items.append(codec.encode(self._records[whole:]))
        return OperatorSnapshot(lists={PARTITION_STATE: items})

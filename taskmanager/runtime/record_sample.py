"""A look at the next records that an operator gives, as people read them.

The output has no tap but for that moment: what nobody looks at costs one comparison a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lesto.common.clock import Clock
from lesto.common.elements import NO_TIMESTAMP, Batch, ColumnarBatch, RowBatch, RowKind
from lesto.common.inspection import (
    COLUMNS_MAX,
    RECORDS_MAX,
    SAMPLE_MAX_MS,
    InspectionError,
    clipped,
)
from lesto.common.row import Row
from lesto.proto import runtime_pb2
from lesto.proto.inspecting import refusal
from lesto.taskmanager.core.task_states import TaskState
from lesto.taskmanager.runtime.chain import OperatorOutput
from lesto.taskmanager.runtime.mailbox import Timers
from lesto.taskmanager.runtime.task import Task

_KINDS: Final = {kind.value: kind.name for kind in RowKind}


class RecordSampler:
    """One sample; everything but its making runs on the mailbox thread.

    Args:
        question: which output, how many records, how long.
        timers: monotonic ones.
        clock: their clock.
        done: takes the answer, once.
    """

    def __init__(
        self,
        question: runtime_pb2.SampleRecordsQuestion,
        timers: Timers,
        clock: Clock,
        done: Callable[[runtime_pb2.Answer], None],
    ) -> None:
        self._question = question
        self._wanted = min(max(question.max_records, 1), RECORDS_MAX)
        self._timers = timers
        self._clock = clock
        self._done = done
        self._outputs: list[tuple[OperatorOutput, Any]] = []
        self._answer = runtime_pb2.Answer()
        self._answer.sample_records.SetInParent()
        self._cancel_timer: Callable[[], None] = lambda: None
        self._ended = False

    def start(self, tasks: list[Task]) -> None:
        """Look at the outputs of the tasks that are asked for."""
        for task in tasks:
            if self._is_asked_for(task):
                self._tap(task)
        if not self._outputs:
            error = InspectionError(
                "no running task of this slot has such an operator",
                remedy="GET /jobs/:jobid lists the vertices and where their subtasks run",
            )
            self._done(refusal(error))
            return
        wait_ms = min(max(self._question.timeout_ms, 1), SAMPLE_MAX_MS)
        self._cancel_timer = self._timers.add(
            self._clock.monotonic_ms() + wait_ms, lambda _due_ms: self._end()
        )

    def _is_asked_for(self, task: Task) -> bool:
        asked, ref = self._question, task.ref
        return (
            task.state is TaskState.RUNNING
            and (ref.job_id, ref.vertex_id) == (asked.job_id, asked.vertex_id)
            and asked.subtask in {-1, ref.subtask}
        )

    def _tap(self, task: Task) -> None:
        assert task.chain is not None, "a running task has a chain"
        for chained in task.chain.operators:
            if self._question.operator_uid not in {"", chained.node.uid}:
                continue
            if not self._question.operator_uid and chained is not task.chain.operators[-1]:
                continue  # without a name it is what leaves the task
            subtask = task.ref.subtask

            def tap(tag: str, batch: Batch, subtask: int = subtask) -> None:
                if tag == self._question.side_tag:
                    self._take(batch, subtask)

            chained.output.taps = (*chained.output.taps, tap)
            self._outputs.append((chained.output, tap))

    def _take(self, batch: Batch, subtask: int) -> None:
        found = self._answer.sample_records
        missing = self._wanted - len(found.records)
        if missing <= 0:
            return  # told, or about to be
        try:
            self._show(batch.slice(0, min(missing, len(batch))), subtask)
        except Exception as error:  # noqa: BLE001 - of a user's value; who looks hears, not the job
            told = InspectionError(f"a record cannot be shown: {clipped(error)}")
            self._answer, self._wanted = refusal(told), 0
        if len(found.records) >= self._wanted:
            # Not within the operator's own emit: another tap may be about to be called.
            self._cancel_timer()
            self._cancel_timer = self._timers.add(
                self._clock.monotonic_ms(), lambda _due_ms: self._end()
            )

    def _show(self, piece: Batch, subtask: int) -> None:
        found = self._answer.sample_records
        columns, types, rows = _texts(piece)
        if not found.columns:
            found.columns.extend(columns)
            found.types.extend(types)
        for index, values in enumerate(rows):
            record = found.records.add(values=values, subtask=subtask)
            at = None if piece.timestamps is None else int(piece.timestamps[index])
            if at is not None and at != NO_TIMESTAMP:
                record.timestamp_ms, record.has_timestamp = at, True
            if piece.kinds is not None:
                record.kind = _KINDS[int(piece.kinds[index])]

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        for output, tap in self._outputs:
            output.taps = tuple(other for other in output.taps if other is not tap)
        self._done(self._answer)


def _texts(batch: Batch) -> tuple[list[str], list[str], list[list[str]]]:
    """Column names, types and rows of a few records, as texts."""
    if isinstance(batch, ColumnarBatch):
        fields = list(batch.data.schema)[:COLUMNS_MAX]
        columns = [_values(column) for column in batch.data.columns[:COLUMNS_MAX]]
        rows = [[clipped(column[row]) for column in columns] for row in range(len(batch))]
        return [field.name for field in fields], [str(field.type) for field in fields], rows
    assert isinstance(batch, RowBatch)
    first = batch.values[0]
    names = _names(first)
    if names is None:
        return ["value"], [type(first).__name__], [[clipped(value)] for value in batch.values]
    rows = []
    for value in batch.values:
        same = _names(value) == names
        rows.append([clipped(field) for field in value] if same else [clipped(value)])
    return names, [type(field).__name__ for field in first], rows


def _values(column: Any) -> list[Any]:
    """An Arrow column's values; of moments that Python has no date for, their numbers."""
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        return [getattr(value, "value", value) for value in column]


def _names(value: object) -> list[str] | None:
    """Names of a row's fields; None for a value that has none."""
    if isinstance(value, Row):
        names = getattr(value, "_fields", None)
        if names and len(names) == len(value) <= COLUMNS_MAX:
            return list(names)
    if isinstance(value, tuple) and hasattr(value, "_fields") and len(value) <= COLUMNS_MAX:
        return list(value._fields)
    return None

"""One operator in the harness: its inputs' event time, and where its output goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lesto.common.elements import NO_TIMESTAMP, Batch, ColumnarBatch, LatencyMarker
from lesto.common.row import rows_from_columns
from lesto.taskmanager.core.watermarks import Advance, WatermarkMerger
from lesto.taskmanager.operators.base import Operator
from lesto.taskmanager.operators.function_state import FunctionState
from lesto.taskmanager.runtime.chain import converted, takes
from lesto.testing.errors import TestKitError
from lesto.testing.harness_context import HarnessOperatorContext

#: Real seconds that the end of input waits for answers.
END_WAIT_SECONDS = 30


@dataclass(slots=True)
class Collected:
    """What came out of the pipeline."""

    batches: list[Batch] = field(default_factory=list)
    sides: dict[str, list[Batch]] = field(default_factory=dict)
    watermarks: list[int] = field(default_factory=list)

    def values(self) -> list[Any]:
        """Records of the main output."""
        return [value for value, _ in self.timed()]

    def timed(self) -> list[tuple[Any, int | None]]:
        """Records of the main output and their event times."""
        return [pair for batch in self.batches for pair in _records(batch)]

    def side(self, tag: str) -> list[Any]:
        """Records of a side output."""
        return [value for batch in self.sides.get(tag, ()) for value, _ in _records(batch)]

    def clear(self) -> None:
        """Forget everything but watermarks."""
        self.batches.clear()
        self.sides.clear()


def _records(batch: Batch) -> list[tuple[Any, int | None]]:
    if isinstance(batch, ColumnarBatch):
        columns = [column.to_pylist() for column in batch.data.columns]
        values = list(rows_from_columns(batch.data.schema.names, columns))
    else:
        values = list(batch.values)
    if batch.timestamps is None:
        return [(value, None) for value in values]
    times = [None if t == NO_TIMESTAMP else t for t in batch.timestamps.tolist()]
    return list(zip(values, times, strict=True))


@dataclass(frozen=True, slots=True)
class _Link:
    """A consumer, the number of its channel, and the input that the channel feeds."""

    stage: Stage
    channel: int
    input_index: int


class Stage:
    """An operator and its ``Output``; without an operator, an input of the harness."""

    def __init__(
        self,
        name: str,
        schema: pa.Schema | None,
        operator: Operator | None = None,
        context: HarnessOperatorContext | None = None,
    ) -> None:
        self.name = name
        self.schema = schema
        self.operator = operator
        self.context = context
        self.hooks: FunctionState | None = None
        self._links: dict[str, list[_Link]] = {}
        self._collect: dict[str, Collected] = {}
        self._sides: Collected | None = None
        self._merger: WatermarkMerger | None = None
        self._open_inputs: dict[int, int] = {}

    # ------------------------------------------------------------------------------------- wiring

    def feed(self, stage: Stage, tag: str, channel: int, input_index: int) -> None:
        """Send an output to another operator."""
        self._links.setdefault(tag, []).append(_Link(stage, channel, input_index))
        stage._open_inputs[input_index] = stage._open_inputs.get(input_index, 0) + 1

    def collect(self, into: Collected, tag: str) -> None:
        """Keep an output for the test, and all side outputs."""
        self._collect[tag] = into
        self._sides = into

    def inputs_known(self, channels: int) -> None:
        """How many channels it has."""
        self._merger = WatermarkMerger(max(channels, 1))

    # ------------------------------------------------------------------------- Output of operators

    def emit(self, batch: Batch) -> None:
        """A batch on the main output."""
        self._deliver(batch, "")

    def emit_side(self, tag: str, batch: Batch) -> None:
        """A batch on a side output."""
        if self._sides is not None and len(batch):
            self._sides.sides.setdefault(tag, []).append(batch)
        self._deliver(batch, tag)

    def emit_watermark(self, timestamp: int) -> None:
        """Event time has advanced."""
        for into in {id(c): c for c in self._collect.values()}.values():
            into.watermarks.append(timestamp)
        for link in self._all_links():
            link.stage._on_watermark(link.channel, timestamp)

    def emit_status(self, idle: bool) -> None:
        """Idle or active."""
        for link in self._all_links():
            link.stage._on_status(link.channel, idle)

    def emit_latency_marker(self, marker: LatencyMarker) -> None:
        """Markers measure nothing here."""

    def emit_end(self) -> None:
        """No more records will come."""
        for link in self._all_links():
            link.stage._on_end(link)

    @property
    def in_flight(self) -> bool:
        """Whether results are still to come of what was pushed."""
        operator = self.operator
        return operator is not None and operator.concurrent and operator.in_flight()

    def open(self, *, keyed: bool) -> None:
        """Give the user's functions their operator state, then open the operator."""
        if self.operator is None or self.context is None:
            return
        self.hooks = FunctionState.of(self.operator, self.context, keyed=keyed)
        if self.hooks is not None:
            self.hooks.initialize()
        self.operator.open()

    def settle(self, patience: float) -> None:
        """Take results of work beside this thread until there are none to come.

        Args:
            patience: seconds to wait for the next one.
        """
        while self.in_flight:
            assert self.operator is not None
            assert self.context is not None
            woken = self.context.woken
            woken.clear()
            if not self.operator.poll() and not woken.wait(patience):
                return

    def close(self) -> None:
        """Close the operator, then its state."""
        if self.operator is not None:
            self.operator.close()
        if self.context is not None:
            self.context.close()

    # ------------------------------------------------------------------------------------ delivery

    def _all_links(self) -> list[_Link]:
        return [link for links in self._links.values() for link in links]

    def _deliver(self, batch: Batch, tag: str) -> None:
        if not len(batch):
            return
        into = self._collect.get(tag)
        if into is not None:
            into.batches.append(batch)
        for link in self._links.get(tag, ()):
            link.stage._take(batch, link.input_index, self.schema if not tag else None)

    def _take(self, batch: Batch, input_index: int, schema: pa.Schema | None) -> None:
        operator = self.operator
        assert operator is not None
        if takes(operator.input_form, batch):
            operator.process_batch(batch, input_index)
            return
        for piece in converted(batch, schema, self.name):
            operator.process_batch(piece, input_index)

    def _on_watermark(self, channel: int, timestamp: int) -> None:
        assert self._merger is not None
        self._advance(self._merger.on_watermark(channel, timestamp))

    def _on_status(self, channel: int, idle: bool) -> None:
        assert self._merger is not None
        self._advance(self._merger.on_status(channel, idle))

    def _on_end(self, link: _Link) -> None:
        assert self._merger is not None
        assert self.operator is not None
        self._advance(self._merger.on_end(link.channel))
        self._open_inputs[link.input_index] -= 1
        if self._open_inputs[link.input_index] == 0:
            self.operator.end_input(link.input_index)
            self.settle(END_WAIT_SECONDS)
            if self.in_flight:
                msg = f"'{self.name}' waits for answers {END_WAIT_SECONDS} s after its input's end"
                raise TestKitError(
                    msg, remedy="let the requests end, or advance() to their timeout"
                )
        if not any(self._open_inputs.values()):
            self.emit_end()

    def _advance(self, advance: Advance) -> None:
        assert self.operator is not None
        if advance.idle is not None:
            self.operator.process_status(advance.idle)
        if advance.watermark is not None:
            self.operator.process_watermark(advance.watermark)

"""A task's operators and the hand-over between them: a Python call per batch.

The chain is a tree: each operator but the head has one producer in the chain. Forms are converted
only where they change, once for all receivers of a batch that want the other form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import cloudpickle
import pyarrow as pa

from lesto.common.convert import SchemaMismatchError, to_columnar, to_named_rows, to_rows
from lesto.common.elements import (
    MAX_TIMESTAMP,
    MIN_TIMESTAMP,
    Batch,
    ColumnarBatch,
    Form,
    LatencyMarker,
    RowBatch,
    StreamStatus,
)
from lesto.proto import job_pb2
from lesto.taskmanager.operators.base import Operator, OperatorSnapshot
from lesto.taskmanager.operators.function_state import FunctionState
from lesto.taskmanager.runtime.environment import TaskOperatorContext
from lesto.taskmanager.runtime.errors import DeploymentError
from lesto.taskmanager.runtime.exchange.edge import EdgeWriter
from lesto.taskmanager.runtime.failures import mark_operator

#: Columns become so many rows at a time. Rows are some hundred bytes each in objects of their own:
#: a few thousand stay in the processor's cache from their making to their end.
CONVERTED_ROWS_MAX: Final = 2048


@dataclass(slots=True)
class OperatorStats:
    """Counted per batch, read once a second."""

    records_in: int = 0
    records_out: int = 0
    batches_in: int = 0
    batches_out: int = 0
    bytes_in: int = 0
    watermark: int = MIN_TIMESTAMP


@dataclass(slots=True)
class ChainedOperator:
    """An operator in its task.

    Attributes:
        upstream_input: the input index by which the producer in the chain feeds it; None for the
            head.
        hooks: state of the user's functions, and their word of checkpoints.
    """

    operator: Operator
    node: job_pb2.OperatorNode
    context: TaskOperatorContext
    output: OperatorOutput
    stats: OperatorStats = field(default_factory=OperatorStats)
    upstream_input: int | None = None
    hooks: FunctionState | None = None

    def open(self) -> None:
        """Open the operator; its functions' state comes first."""
        self.hooks = FunctionState.of(self.operator, self.context, keyed=self.node.keyed)
        if self.hooks is not None:
            self._hook(self.hooks.initialize)
        self.call("open")

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """State at the barrier."""
        hooks = self.hooks
        if hooks is not None:
            self._hook(lambda: hooks.prepare(checkpoint_id))
        made: OperatorSnapshot = self.call("snapshot", checkpoint_id, canonical)
        if hooks is not None:
            self._hook(lambda: hooks.save(made))
        return made

    def notify(self, checkpoint_id: int, *, complete: bool) -> None:
        """A checkpoint is complete, or given up."""
        method = "notify_checkpoint_complete" if complete else "notify_checkpoint_aborted"
        self.call(method, checkpoint_id)
        hooks = self.hooks
        if hooks is not None:
            told = hooks.complete if complete else hooks.aborted
            self._hook(lambda: told(checkpoint_id))

    def _hook(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            mark_operator(error, self.node.name)
            raise

    @property
    def name(self) -> str:
        """The operator's name."""
        return self.node.name

    def process(self, batch: Batch, input_index: int) -> None:
        """Hand over a batch that is in the operator's form."""
        self.stats.records_in += len(batch)
        self.stats.batches_in += 1
        try:
            self.operator.process_batch(batch, input_index)
        except BaseException as error:
            mark_operator(error, self.node.name)
            raise

    def call(self, method: str, *args: Any) -> Any:
        """Call another method of the operator; its errors name the operator."""
        try:
            return getattr(self.operator, method)(*args)
        except BaseException as error:
            mark_operator(error, self.node.name)
            raise


@dataclass(slots=True)
class _Receivers:
    """Who gets what is emitted under one tag."""

    operators: list[tuple[ChainedOperator, int]] = field(default_factory=list)
    edges: list[EdgeWriter] = field(default_factory=list)
    schema: pa.Schema | None = None


class OperatorOutput:
    """``Output`` of one operator: chained operators and the task's edges."""

    def __init__(self, schema: pa.Schema | None, *, batch: bool = False) -> None:
        self._batch = batch  # event time moves at the end only
        self._main = _Receivers(schema=schema)
        self._sides: dict[str, _Receivers] = {}
        self._all_operators: list[ChainedOperator] = []
        self._all_edges: list[EdgeWriter] = []
        self._watermark = MIN_TIMESTAMP
        self._idle = False
        self.stats = OperatorStats()
        #: Who looks at what passes, by tag; nobody but for a moment (see record_sample).
        self.taps: tuple[Callable[[str, Batch], None], ...] = ()

    @property
    def bytes_out(self) -> int:
        """Bytes given to channels."""
        return sum(edge.bytes_out for edge in self._all_edges)

    def connect_operator(self, tag: str, target: ChainedOperator, input_index: int) -> None:
        """Hand over to a chained operator."""
        self._receivers(tag).operators.append((target, input_index))
        self._all_operators.append(target)

    def connect_edge(self, tag: str, edge: EdgeWriter) -> None:
        """Write to an edge."""
        self._receivers(tag).edges.append(edge)
        self._all_edges.append(edge)

    def _receivers(self, tag: str) -> _Receivers:
        return self._sides.setdefault(tag, _Receivers()) if tag else self._main

    def emit(self, batch: Batch) -> None:
        """A batch on the main output."""
        if len(batch):
            self.stats.records_out += len(batch)
            self.stats.batches_out += 1
            if self.taps:
                self._show("", batch)
            _deliver(batch, self._main)

    def emit_side(self, tag: str, batch: Batch) -> None:
        """A batch on a side output."""
        receivers = self._sides.get(tag)
        if receivers is not None and len(batch):
            if self.taps:
                self._show(tag, batch)
            _deliver(batch, receivers)

    def _show(self, tag: str, batch: Batch) -> None:
        for tap in self.taps:
            tap(tag, batch)

    def emit_watermark(self, timestamp: int) -> None:
        """Event time has advanced."""
        if timestamp <= self._watermark or (self._batch and timestamp < MAX_TIMESTAMP):
            return
        self._watermark = self.stats.watermark = timestamp
        for target in self._all_operators:
            target.call("process_watermark", timestamp)
        for edge in self._all_edges:
            edge.watermark(timestamp)

    def emit_status(self, idle: bool) -> None:
        """Idle or active."""
        if idle == self._idle:
            return
        self._idle = idle
        for target in self._all_operators:
            target.call("process_status", idle)
        for edge in self._all_edges:
            edge.control(StreamStatus(idle))

    def emit_latency_marker(self, marker: LatencyMarker) -> None:
        """Pass a marker on."""
        for target in self._all_operators:
            target.call("process_latency_marker", marker)
        for edge in self._all_edges:
            edge.control(marker)


def converted(batch: Batch, schema: pa.Schema | None, name: str) -> Iterator[Batch]:
    """The batch in the other form, for operator ``name``.

    Columns become rows a piece at a time: the next is made when the operator is done with the one
    before.

    Raises:
        SchemaMismatchError: rows of a stream without a schema go to an operator that takes columns.
    """
    if isinstance(batch, RowBatch):
        if schema is None:
            msg = f"operator {name!r} takes columns, but its input has no schema"
            raise SchemaMismatchError(msg, remedy="declare the output type of the operator before")
        yield to_columnar(batch, schema)
        return
    rows = len(batch)
    for start in range(0, rows, CONVERTED_ROWS_MAX):
        yield to_rows(batch.slice(start, min(CONVERTED_ROWS_MAX, rows - start)))


def takes(form: Form, batch: Batch) -> bool:
    """Whether an operator that takes ``form`` takes the batch as it is."""
    return form is Form.ANY or (form is Form.COLUMNAR) == isinstance(batch, ColumnarBatch)


def _deliver(batch: Batch, receivers: _Receivers) -> None:
    others: list[tuple[ChainedOperator, int]] | None = None
    if receivers.schema is not None and receivers.operators and isinstance(batch, RowBatch):
        # Whether two operators are chained or not: the second sees the same records.
        batch = to_named_rows(batch, receivers.schema)
    for link in receivers.operators:
        target, input_index = link
        if takes(target.operator.input_form, batch):
            target.process(batch, input_index)
        elif others is None:
            others = [link]
        else:
            others.append(link)
    if others is not None:
        for piece in converted(batch, receivers.schema, others[0][0].node.name):
            for target, input_index in others:
                target.process(piece, input_index)
    for edge in receivers.edges:
        edge.emit(batch)


class OperatorChain:
    """The operators of a task, in topological order; the first is the head."""

    def __init__(self, operators: Sequence[ChainedOperator]) -> None:
        self.operators = tuple(operators)
        self.head = self.operators[0]
        for source in self.operators:
            for link in source.node.chained:
                target = self.operators[link.target_operator]
                if target.upstream_input is not None or target is self.head:
                    msg = f"operator {target.name!r} has two producers in one chain"
                    raise DeploymentError(msg)
                target.upstream_input = link.target_input
                source.output.connect_operator(link.side_tag, target, link.target_input)

    @property
    def steady(self) -> bool:
        """Whether all operators are: see :class:`Operator`."""
        return all(chained.operator.steady for chained in self.operators)

    def idle(self) -> None:
        """Input is idle."""
        for chained in self.operators:
            chained.call("idle")

    def close(self) -> list[BaseException]:
        """Close all operators, last first; returns what they raised."""
        errors: list[BaseException] = []
        for chained in reversed(self.operators):
            try:
                chained.call("close")
            except Exception as error:  # noqa: BLE001 - every operator is closed whatever another does
                errors.append(error)
            chained.context.close()
        return errors


def load_operator(node: job_pb2.OperatorNode) -> Operator:
    """The operator from its pickled factory.

    Raises:
        DeploymentError: the pickle cannot be loaded here (a module is missing, another version).
    """
    try:
        factory = cloudpickle.loads(node.factory_pickle)
        operator = factory.create()
    except Exception as error:
        mark_operator(error, node.name)
        msg = f"operator {node.name!r} cannot be loaded: {type(error).__name__}: {error}"
        wrapped = DeploymentError(
            msg, remedy="install the modules it needs on the TaskManagers", location=node.location
        )
        mark_operator(wrapped, node.name)
        raise wrapped from error
    if not isinstance(operator, Operator):
        msg = f"the factory of {node.name!r} made a {type(operator).__name__}, not an Operator"
        raise DeploymentError(msg)
    return operator


def schema_from_bytes(data: bytes) -> pa.Schema | None:
    """An Arrow schema from its IPC message; None for no bytes."""
    return pa.ipc.read_schema(pa.py_buffer(data)) if data else None

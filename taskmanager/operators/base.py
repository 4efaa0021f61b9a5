"""The contract between an operator and the task that runs it.

An operator runs on the mailbox thread of its slot process: no locks, no waiting. It takes a batch,
updates
state, and emits batches to its :class:`Output`. The task converts batches to the form the operator
asks
for, merges watermarks of its channels, and aligns barriers; an operator sees neither channels nor
barriers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from lesto.common.clock import Clock
from lesto.common.elements import Batch, Form, LatencyMarker

if TYPE_CHECKING:
    from lesto.common.accumulators import Accumulator
    from lesto.common.config import Configuration
    from lesto.common.metrics import MetricGroup
    from lesto.state.backend import KeyedStateBackend, PendingSnapshot


class Output(Protocol):
    """Where results go. Emitting never blocks; the task parks itself when channels are full."""

    def emit(self, batch: Batch) -> None:
        """A batch on the main output; empty batches are ignored."""
        ...

    def emit_side(self, tag: str, batch: Batch) -> None:
        """A batch on the side output ``tag``; dropped when nobody reads it."""
        ...

    def emit_watermark(self, timestamp: int) -> None:
        """Event time has advanced to ``timestamp`` (ms). Never goes back."""
        ...

    def emit_status(self, idle: bool) -> None:
        """The output has become idle or active."""
        ...

    def emit_latency_marker(self, marker: LatencyMarker) -> None:
        """Pass a latency marker on."""
        ...


class OperatorContext(Protocol):
    """What the task gives an operator."""

    job_id: str
    job_name: str
    operator_uid: str
    operator_name: str
    task_name: str
    subtask: int
    parallelism: int
    max_parallelism: int
    attempt: str  # "<epoch>-<attempt>", unique in the job's life
    restored: bool  # started from a checkpoint or savepoint
    checkpoint_root: str  # URI of the job's directory in checkpoint storage
    config: Configuration
    clock: Clock
    metrics: MetricGroup
    input_schemas: Sequence[pa.Schema | None]  # per input; None: rows
    local_dir: str  # of the slot, removed with it
    accumulators: dict[str, Accumulator]  # of all functions of the task

    def keyed_backend(self) -> KeyedStateBackend:
        """The operator's keyed state, already restored. Only operators declared keyed may ask."""
        ...

    def restored_list(self, name: str) -> Sequence[bytes]:
        """Operator list state given to this subtask at restore; empty when there is none."""
        ...

    def restored_names(self) -> Sequence[str]:
        """Names of all operator list state given to this subtask at restore."""
        ...

    def register_processing_timer(
        self, at_ms: int, callback: Callable[[int], None]
    ) -> Callable[[], None]:
        """Call back (mailbox thread) at a wall-clock ms; returns a function that cancels it."""
        ...

    def run_blocking(
        self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]
    ) -> None:
        """Run ``work`` on an I/O thread, then ``done(result, error)`` on the mailbox thread.

        Works of one operator run one at a time, in order.
        """
        ...

    def wake(self) -> None:
        """Thread-safe and cheap: poll the task again soon (for a ``concurrent`` operator)."""
        ...

    def fail(self, error: BaseException) -> None:
        """Fail the task (from a callback)."""
        ...


@dataclass(slots=True)
class OperatorSnapshot:
    """What an operator gives at a barrier.

    Attributes:
        keyed: pending snapshot of the keyed backend; the task finishes (uploads) it on an I/O
        thread.
        lists: operator list state by name; redistributed round robin at another parallelism.
        union_lists: operator list state of which every subtask gets all at restore.
        broadcast_lists: operator state that is the same in every subtask: at restore each gets the
            whole of one old subtask's, its own when the parallelism is unchanged.
    """

    keyed: PendingSnapshot | None = None
    lists: dict[str, list[bytes]] = field(default_factory=dict)
    union_lists: dict[str, list[bytes]] = field(default_factory=dict)
    broadcast_lists: dict[str, list[bytes]] = field(default_factory=dict)


class Operator(ABC):
    """An operator instance: one subtask's part.

    Attributes:
        input_form: the form in which batches are to be handed over.
        concurrent: it has work under way beside the mailbox thread, for instance requests that
            wait for answers. The task polls it (``poll``), takes input only while it has ``room``,
            and ends it only when nothing is ``in_flight``.
        steady: whether what a record costs is small and even, as in compiled loops over columns,
            unlike in users' code: then its task takes large steps.
    """

    input_form: Form = Form.ANY
    concurrent: bool = False
    steady: bool = False
    output: Output
    context: OperatorContext

    def setup(self, context: OperatorContext, output: Output) -> None:
        """Wire the operator; called once, first."""
        self.context = context
        self.output = output

    def open(self) -> None:  # noqa: B027 - optional hook
        """State is restored; get ready. May be slow (compile kernels, open user functions)."""

    @abstractmethod
    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Take one non-empty batch in ``input_form``."""

    def process_watermark(self, timestamp: int) -> None:
        """The merged watermark of the inputs has advanced: fire timers, then pass it on."""
        self.output.emit_watermark(timestamp)

    def process_status(self, idle: bool) -> None:
        """All inputs have become idle, or one is active again."""
        self.output.emit_status(idle)

    def process_latency_marker(self, marker: LatencyMarker) -> None:
        """Pass a latency marker on."""
        self.output.emit_latency_marker(marker)

    def end_input(self, input_index: int = 0) -> None:  # noqa: B027 - optional hook
        """The input has ended; follows the watermark MAX_TIMESTAMP. Emit what is left."""

    def prepare_snapshot(self, checkpoint_id: int) -> None:  # noqa: B027 - optional hook
        """Before the barrier is passed on: last chance to emit into the current checkpoint."""

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """State at the barrier. ``canonical``: backend-independent (a savepoint)."""
        return OperatorSnapshot()

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:  # noqa: B027 - optional hook
        """The checkpoint is complete and durable."""

    def notify_checkpoint_aborted(self, checkpoint_id: int) -> None:  # noqa: B027 - optional hook
        """The checkpoint will never complete."""

    def finish(self) -> None:  # noqa: B027 - optional hook
        """The job's last checkpoint is complete; follows its ``notify_checkpoint_complete``.

        The task ends once ``pending_work`` is false.
        """

    def pending_work(self) -> bool:
        """Whether commits or other asynchronous work is under way; a task finishes after it."""
        return False

    def functions(self) -> Sequence[Any]:
        """The user's functions; those that are checkpointed get operator state."""
        function = getattr(self, "_function", None)
        return () if function is None else (function,)

    def poll(self) -> object:
        """Concurrent operators: emit what has completed; truthy when anything has.

        Not called while outputs are full, nor behind the barrier of a stop.
        """
        return False

    def room(self) -> int:
        """Concurrent operators: records that it would take now; 0: the task takes no input."""
        return 1 << 40

    def in_flight(self) -> bool:
        """Concurrent operators: whether results are still to come of what was taken."""
        return False

    def idle(self) -> None:  # noqa: B027 - optional hook
        """Input is idle: flush what is buffered for throughput's sake."""

    def close(self) -> None:  # noqa: B027 - optional hook
        """Release resources; also called after a failure or cancellation."""


class OperatorFactory(Protocol):
    """Shipped with the job, makes an operator in each subtask."""

    def create(self) -> Operator:
        """A new operator."""
        ...


@dataclass(frozen=True, slots=True)
class SimpleFactory:
    """Calls a class with arguments: the usual factory."""

    operator: Callable[..., Operator]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def create(self) -> Operator:
        """A new operator."""
        return self.operator(*self.args, **self.kwargs)

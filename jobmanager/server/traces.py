"""Spans of what takes a job's time: starts, recoveries, checkpoints and subtasks' parts in them.

Spans are made when something is over, from the times that the job master has noted anyway: nothing
is measured for them. OpenTelemetry is imported when ``traces.otel.endpoint`` is set, and only then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from lesto.common import options
from lesto.common.config import Configuration
from lesto.jobmanager.core.checkpoint_stats import COMPLETED, FAILED
from lesto.jobmanager.core.states import JobState, TaskState
from lesto.jobmanager.errors import TracingUnavailableError
from lesto.proto import checkpoint_pb2

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

    from lesto.jobmanager.core.job_master import JobMaster
    from lesto.jobmanager.core.states import Transition
    from lesto.proto import client_pb2

NANOSECONDS_PER_MS: Final = 1_000_000
NANOSECONDS_PER_US: Final = 1_000
#: Subtasks of one checkpoint or start that get a span of their own.
SUBTASK_SPANS_MAX: Final = 1_000

Attributes = dict[str, str | int | bool]


class Tracing:
    """Where a JobManager's spans go.

    Args:
        tracer: of OpenTelemetry.
        shutdown: sends what is left.
    """

    def __init__(self, tracer: Tracer, shutdown: Callable[[], None]) -> None:
        self.tracer = tracer
        self.close = shutdown

    @staticmethod
    def of(config: Configuration) -> Tracing | None:
        """What the configuration asks for; None: no traces.

        Raises:
            TracingUnavailableError: OpenTelemetry is not installed.
        """
        endpoint = config.get(options.TRACES_ENDPOINT)
        if not endpoint:
            return None
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            msg = f"{options.TRACES_ENDPOINT.key} is set, and OpenTelemetry cannot be imported"
            raise TracingUnavailableError(msg, remedy="pip install 'lesto[otel]'") from error
        # Not the process's global provider: an embedded cluster is in a program of the user's.
        provider = TracerProvider(resource=Resource.create({"service.name": "lesto"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        return Tracing(provider.get_tracer("lesto"), provider.shutdown)


class JobTraces:
    """Spans of one job.

    Args:
        tracer: of OpenTelemetry.
        master: the job.
    """

    def __init__(self, tracer: Tracer, master: JobMaster) -> None:
        self._tracer = tracer
        self._master = master
        self._job: Attributes = {
            "lesto.job.id": master.graph.job_id,
            "lesto.job.name": master.graph.name,
            "lesto.job.epoch": master.execution.epoch,
        }
        self._told: set[int] = set()
        #: Since when the job is not up, and why; None: it is.
        self._seen: Transition[JobState] = master.states.story[-1]
        self._down: Transition[JobState] | None = self._seen

    def update(self) -> None:
        """Make the spans of what has ended since the last call (event loop)."""
        self._checkpoints()
        self._starts()

    # ------------------------------------------------------------------------------ checkpoints

    def _checkpoints(self) -> None:
        history = self._master.coordinator.statistics.history
        ended = [e for e in history if e.status in {COMPLETED, FAILED}]
        for entry in reversed(ended):
            if entry.checkpoint_id not in self._told:
                self._checkpoint(entry)
        self._told = {entry.checkpoint_id for entry in ended}

    def _checkpoint(self, entry: client_pb2.CheckpointStats) -> None:
        begin_ns = entry.trigger_timestamp_ms * NANOSECONDS_PER_MS
        end_ns = begin_ns + entry.duration_ms * NANOSECONDS_PER_MS
        kind = checkpoint_pb2.CheckpointType.Name(entry.type)
        attributes: Attributes = {
            "lesto.checkpoint.id": entry.checkpoint_id,
            "lesto.checkpoint.type": kind.removeprefix("CHECKPOINT_TYPE_"),
            "lesto.checkpoint.status": entry.status,
            "lesto.checkpoint.state_bytes": entry.state_bytes,
            "lesto.checkpoint.uploaded_bytes": entry.uploaded_bytes,
            "lesto.checkpoint.unaligned": entry.unaligned,
            "lesto.checkpoint.path": entry.path,
        }
        with self._span("checkpoint", begin_ns, end_ns, attributes) as root:
            if entry.status == FAILED:
                _mark_failed(root, entry.failure)
            names = {v.id: v.name for v in self._master.graph.vertices}
            for part in entry.subtasks[:SUBTASK_SPANS_MAX]:
                if part.ack_timestamp_ms:
                    self._subtask(root, begin_ns, names.get(part.vertex_id, ""), part)

    def _subtask(
        self, root: Span, begin_ns: int, name: str, part: client_pb2.SubtaskCheckpointStats
    ) -> None:
        """A subtask's part, and in it, one behind the other, its phases."""
        attributes: Attributes = {
            "lesto.task.name": name,
            "lesto.task.subtask": part.subtask,
            "lesto.checkpoint.state_bytes": part.state_bytes,
            "lesto.checkpoint.unaligned": part.unaligned,
        }
        end_ns = begin_ns + part.end_to_end_us * NANOSECONDS_PER_US
        with self._span("checkpoint.subtask", begin_ns, end_ns, attributes, root) as own:
            at_ns = begin_ns
            for phase, us in (
                ("start_delay", part.start_delay_us),
                ("alignment", part.alignment_us),
                ("sync", part.sync_us),
                ("async", part.async_us),
            ):
                then_ns = at_ns + us * NANOSECONDS_PER_US
                with self._span(f"checkpoint.{phase}", at_ns, then_ns, {}, own):
                    at_ns = then_ns

    # -------------------------------------------------------------------- starts and recoveries

    def _starts(self) -> None:
        master = self._master
        fresh = []
        for transition in reversed(master.states.story):
            if transition is self._seen:
                break
            fresh.append(transition)
        self._seen = master.states.story[-1]
        for transition in reversed(fresh):
            if self._down is None and transition.state is not JobState.RUNNING:
                self._down = transition
        if self._down is None or not master.execution.all_in(TaskState.RUNNING):
            return
        begin, self._down = self._down, None
        if begin.state not in {JobState.CREATED, JobState.RESTARTING}:
            return
        recovered = begin.state is JobState.RESTARTING
        attempts = [v for v in master.execution if v.attempt is not None]
        end_ms = max(v.attempt.states.story[-1].at_ms for v in attempts if v.attempt)
        attributes: Attributes = {"lesto.job.restarts": master.restarts}
        restored = master.coordinator.statistics.latest_restored
        if restored is not None:
            attributes["lesto.checkpoint.id"] = restored.checkpoint_id
            attributes["lesto.checkpoint.path"] = restored.path
        if recovered:
            attributes["lesto.job.cause"] = begin.cause
        name = "job.recovery" if recovered else "job.start"
        begin_ns = begin.at_ms * NANOSECONDS_PER_MS
        with self._span(name, begin_ns, end_ms * NANOSECONDS_PER_MS, attributes) as root:
            for vertex in attempts[:SUBTASK_SPANS_MAX]:
                assert vertex.attempt is not None
                story = vertex.attempt.states.story
                if story[-1].at_ms < begin.at_ms:
                    continue  # of a region that ran on
                own: Attributes = {
                    "lesto.task.name": vertex.vertex.name,
                    "lesto.task.subtask": vertex.key[1],
                    "lesto.slot": vertex.attempt.slot.slot_id,
                }
                for before, after in zip(story, list(story)[1:], strict=False):
                    phase = f"task.{before.state.name.lower()}"
                    start_ns = before.at_ms * NANOSECONDS_PER_MS
                    with self._span(phase, start_ns, after.at_ms * NANOSECONDS_PER_MS, own, root):
                        pass

    @contextmanager
    def _span(
        self, name: str, begin_ns: int, end_ns: int, attributes: Attributes, parent: Any = None
    ) -> Iterator[Span]:
        """A span of times that have passed."""
        from opentelemetry import context, trace

        # An empty one: a span of the program that embeds the cluster is no parent of ours.
        outer = context.Context()
        around = outer if parent is None else trace.set_span_in_context(parent, outer)
        span = self._tracer.start_span(
            f"lesto.{name}", around, attributes={**self._job, **attributes}, start_time=begin_ns
        )
        yield span
        span.end(max(begin_ns, end_ns))


def _mark_failed(span: Span, why: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR, why))

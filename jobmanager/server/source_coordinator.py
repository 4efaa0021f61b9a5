"""Runs the split enumerators of a job's sources.

All enumerators of a job share one thread. What a call assigns is passed on when the call returns,
in order with the snapshots: an assignment is either before a checkpoint's barriers and not in the
enumerators' snapshot, or after them and in it.

An enumerator outlives readers that restart alone. It gets back what they were given since their
checkpoint; what it assigned to an earlier attempt of a reader is refused by the job master.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import cloudpickle

from lesto.common.clock import Clock
from lesto.common.logs import get_logger
from lesto.common.source import Source, SourceSplit, SplitEnumerator
from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.split_assignments import SplitAssignments
from lesto.jobmanager.errors import SourceCoordinatorError
from lesto.jobmanager.server.user_failures import describe
from lesto.proto import job_pb2

logger = get_logger("lesto.jobmanager.sources")

#: Posts an event from the enumerators' thread; waits while the job's queue is full.
Post = Callable[[ev.Event], None]


class _Context:
    """What one enumerator may do."""

    def __init__(self, uid: str, parallelism: int, clock: Clock) -> None:
        self.uid = uid
        self.outbox: list[tuple[int, bytes | None]] = []
        self.interval_ms: int | None = None
        self.source: Source | None = None
        self.may_assign = False
        self._parallelism = parallelism
        self._clock = clock

    @property
    def parallelism(self) -> int:
        """Number of readers."""
        return self._parallelism

    @property
    def clock(self) -> Clock:
        """The injected clock."""
        return self._clock

    def assign_split(self, split: SourceSplit, subtask: int) -> None:
        """Give a split to a reader."""
        self._check(subtask)
        assert self.source is not None
        self.outbox.append((subtask, self.source.serialize_split(split)))

    def signal_no_more_splits(self, subtask: int) -> None:
        """Tell a reader that none will follow."""
        self._check(subtask)
        self.outbox.append((subtask, None))

    def discovery_interval_ms(self, interval_ms: int) -> None:
        """Ask that ``discover`` be called at this interval."""
        if interval_ms < 1:
            msg = f"a discovery interval of {interval_ms} ms is not positive"
            raise SourceCoordinatorError(msg)
        self.interval_ms = interval_ms

    def _check(self, subtask: int) -> None:
        if not self.may_assign:
            msg = (
                "an enumerator assigned a split outside of start, discover and handle_split_request"
            )
            raise SourceCoordinatorError(
                msg, remedy="assign in these calls only, and not from threads of your own"
            )
        if not 0 <= subtask < self._parallelism:
            msg = f"there is no reader {subtask}: the source has parallelism {self._parallelism}"
            raise SourceCoordinatorError(msg)


@dataclass(slots=True)
class _Running:
    node: job_pb2.OperatorNode
    context: _Context
    enumerator: SplitEnumerator
    assignments: SplitAssignments = field(default_factory=SplitAssignments)
    #: Attempt of readers that have restarted alone; the others have the enumerators' own.
    readers: dict[int, int] = field(default_factory=dict)


class SourceCoordinator:
    """The enumerators of one job; its methods are called on the event loop.

    Args:
        graph: the job.
        clock: for the enumerators.
        post: gives events to the job, callable from any thread.
    """

    def __init__(self, graph: job_pb2.JobGraph, clock: Clock, post: Post) -> None:
        self._graph = graph
        self._clock = clock
        self._post = post
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="enumerators")
        self._running: dict[str, _Running] = {}
        self._attempt = 0
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    def start(self, attempt: int, states: Mapping[str, bytes]) -> None:
        """Make the enumerators of an attempt."""
        self._stop_timers()
        loop = asyncio.get_running_loop()
        # Now: rescaling changes the graph.
        widths = {vertex.id: vertex.parallelism for vertex in self._graph.vertices}
        self._submit(lambda: self._start(attempt, states, widths, loop))

    def stop(self) -> None:
        """Close the enumerators."""
        self._stop_timers()
        self._submit(self._close_all)

    def close(self) -> None:
        """The job has ended; the thread ends when its work is done."""
        if not self._closed:
            self.stop()
            self._closed = True
            self._executor.shutdown(wait=False)

    def handle_split_request(
        self, attempt: int, uid: str, subtask: int, event: bytes = b""
    ) -> None:
        """A reader asks for work, or (with an event) tells something."""

        def call(running: _Running) -> None:
            if event:
                running.enumerator.handle_reader_event(subtask, event)
                return
            running.enumerator.handle_split_request(subtask)

        self._submit(lambda: self._call(attempt, uid, call))

    def reset_readers(self, reset: do.ResetReaders) -> None:
        """Some readers start again alone."""
        self._submit(lambda: self._reset_readers(reset))

    def snapshot(self, attempt: int, checkpoint_id: int, completed: int = 0) -> None:
        """Snapshot all enumerators at once.

        Args:
            attempt: of their start.
            checkpoint_id: the new checkpoint.
            completed: the newest complete one: no reader goes back behind it.
        """
        self._submit(lambda: self._snapshot(attempt, checkpoint_id, completed))

    def _submit(self, work: Callable[[], None]) -> None:
        if not self._closed:
            self._executor.submit(self._guarded, work)

    @staticmethod
    def _guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            logger.exception("enumerators.internal_error")
            raise

    # ------------------------------------------------------------------ on the enumerators' thread

    def _start(
        self,
        attempt: int,
        states: Mapping[str, bytes],
        widths: Mapping[str, int],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._close_all()
        self._attempt = attempt
        for path in self._graph.python_paths:
            if path not in sys.path:
                sys.path.append(path)
        for vertex in self._graph.vertices:
            node = vertex.operators[0]
            if node.kind == job_pb2.OPERATOR_KIND_SOURCE and not self._open(
                node, widths[vertex.id], states.get(node.uid)
            ):
                return
        for running in self._running.values():
            if running.context.interval_ms is not None:
                loop.call_soon_threadsafe(
                    self._arm, attempt, running.node.uid, running.context.interval_ms
                )

    def _open(self, node: job_pb2.OperatorNode, parallelism: int, state: bytes | None) -> bool:
        context = _Context(node.uid, parallelism, self._clock)
        try:
            source = context.source = cloudpickle.loads(node.source_pickle)
            context.may_assign = True
            enumerator = source.create_enumerator(context, state)
            running = self._running[node.uid] = _Running(node, context, enumerator)
            enumerator.start()
        except Exception as error:  # noqa: BLE001 - user code: reported as the job's failure
            self._failed(node, error)
            return False
        self._flush(running)
        return True

    def _call(self, attempt: int, uid: str, call: Callable[[_Running], None]) -> None:
        running = self._running.get(uid)
        if attempt != self._attempt or running is None:
            return
        running.context.may_assign = True
        try:
            call(running)
        except Exception as error:  # noqa: BLE001 - user code: reported as the job's failure
            self._failed(running.node, error)
            return
        self._flush(running)

    def _flush(self, running: _Running) -> None:
        """Pass on what a call has assigned, as few messages as keep the order of each reader."""
        context = running.context
        context.may_assign = False
        outbox, context.outbox = context.outbox, []
        by_reader: dict[int, list[bytes | None]] = {}
        for subtask, split in outbox:
            by_reader.setdefault(subtask, []).append(split)
        for subtask, splits in by_reader.items():
            for split in splits:
                if split is not None:
                    running.assignments.assigned(subtask, split)
            self._post(
                ev.SplitsAssigned(
                    attempt=running.readers.get(subtask, self._attempt),
                    operator_uid=context.uid,
                    subtask=subtask,
                    splits=tuple(split for split in splits if split is not None),
                    no_more_splits=None in splits,
                )
            )

    def _reset_readers(self, reset: do.ResetReaders) -> None:
        if reset.enumerators != self._attempt:
            return
        for uid, subtask in reset.readers:
            running = self._running.get(uid)
            if running is None:
                return  # one has failed since, and all were closed
            running.readers[subtask] = reset.attempt
            self._call(reset.enumerators, uid, _give_back(subtask, reset.restored_id))

    def _snapshot(self, attempt: int, checkpoint_id: int, completed: int) -> None:
        if attempt != self._attempt:
            return
        states = {}
        for uid, running in self._running.items():
            running.assignments.cut(checkpoint_id)
            running.assignments.completed(completed)
            try:
                states[uid] = running.enumerator.snapshot_state(checkpoint_id)
            except Exception as error:  # noqa: BLE001 - user code: reported as the job's failure
                self._failed(running.node, error)
                return
        self._post(ev.EnumeratorsSnapshotted(attempt, checkpoint_id, states))

    def _close_all(self) -> None:
        self._attempt = 0
        running, self._running = list(self._running.values()), {}
        for one in running:
            try:
                one.enumerator.close()
            except Exception:
                logger.exception("enumerator.close_failed", operator=one.node.uid)

    def _failed(self, node: job_pb2.OperatorNode, error: Exception) -> None:
        attempt = self._attempt
        self._close_all()
        self._post(ev.EnumeratorFailed(attempt, node.uid, describe(error, node)))

    # ---------------------------------------------------------------------------- on the event loop

    def _arm(self, attempt: int, uid: str, interval_ms: int) -> None:
        if not self._closed:
            self._timers[uid] = asyncio.create_task(self._discover(attempt, uid, interval_ms))

    async def _discover(self, attempt: int, uid: str, interval_ms: int) -> None:
        """Call ``discover`` again and again; the pause begins when a call has returned."""
        loop = asyncio.get_running_loop()
        while not self._closed:
            await asyncio.sleep(interval_ms / 1000)
            work = lambda: self._call(attempt, uid, lambda r: r.enumerator.discover())  # noqa: E731
            await loop.run_in_executor(self._executor, self._guarded, work)

    def _stop_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()


def _give_back(subtask: int, restored_id: int) -> Callable[[_Running], None]:
    def call(running: _Running) -> None:
        source = running.context.source
        assert source is not None, "an enumerator without its source"
        back = running.assignments.take_back(subtask, restored_id)
        splits = [source.deserialize_split(split) for split in back]
        running.enumerator.add_splits_back(splits, subtask)

    return call

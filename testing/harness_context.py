"""The context that the harness gives an operator: virtual time, snapshots on a local disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from lesto.common.accumulators import Accumulator
from lesto.common.clock import Clock, VirtualClock
from lesto.common.config import Configuration
from lesto.common.metrics import MetricGroup
from lesto.state.backend import KeyedStateBackend
from lesto.state.factory import create_backend
from lesto.state.storage import SnapshotStore

MAX_PARALLELISM = 128


@dataclass(frozen=True, slots=True)
class OperatorState:
    """State of one operator in a snapshot of the harness."""

    keyed: Any | None
    lists: Mapping[str, Sequence[bytes]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Restored:
    """State to start from, and where its files are."""

    state: OperatorState
    store: SnapshotStore


class Alarms:
    """Processing-time timers and blocking work of all operators, in virtual time."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.woken = threading.Event()
        self._timers: list[tuple[int, Callable[[int], None]]] = []
        self._work: list[tuple[Callable[[], Any], Callable[[Any, BaseException | None], None]]] = []

    def add(self, at_ms: int, callback: Callable[[int], None]) -> Callable[[], None]:
        """Ring at a time; returns what cancels it."""
        timer = (at_ms, callback)
        self._timers.append(timer)

        def cancel() -> None:
            if timer in self._timers:
                self._timers.remove(timer)

        return cancel

    def advance_to(self, end_ms: int) -> None:
        """Let time pass; timers ring in order, each at its time."""
        while due := [timer for timer in self._timers if timer[0] <= end_ms]:
            timer = min(due, key=lambda t: t[0])
            self._timers.remove(timer)
            self.clock.advance(max(0, timer[0] - self.clock.now_ms()))
            timer[1](timer[0])
            self.work()
        self.clock.advance(end_ms - self.clock.now_ms())

    def submit(
        self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]
    ) -> None:
        """Keep work that must not run within an operator's call."""
        self._work.append((work, done))

    def work(self) -> None:
        """Do it."""
        while self._work:
            work, done = self._work.pop(0)
            result, error = None, None
            try:
                result = work()
            except BaseException as caught:  # noqa: BLE001 - handed to ``done``
                error = caught
            done(result, error)


class HarnessOperatorContext:
    """See ``lesto.taskmanager.operators.base.OperatorContext``."""

    def __init__(
        self,
        *,
        name: str,
        uid: str,
        folder: Path,
        backend: str,
        config: Configuration,
        metrics: MetricGroup,
        alarms: Alarms,
        input_schemas: Sequence[pa.Schema | None],
        output_schema: pa.Schema | None,
        restored: Restored | None,
    ) -> None:
        self.job_id = "0" * 32
        self.job_name = "test"
        self.operator_uid = uid
        self.operator_name = name
        self.task_name = name
        self.subtask = 0
        self.parallelism = 1
        self.max_parallelism = MAX_PARALLELISM
        self.attempt = "1-1"
        self.restored = restored is not None
        self.checkpoint_root = folder.as_uri()
        self.config = config
        self.clock: Clock = alarms.clock
        self.metrics = metrics
        self.input_schemas: Sequence[pa.Schema | None] = tuple(input_schemas)
        self.output_schema = output_schema
        self.failure: BaseException | None = None
        self.local_dir = str(folder)
        self.accumulators: dict[str, Accumulator] = {}
        self._folder = folder
        self._kind = backend
        self._alarms = alarms
        self._restored = restored
        self._backend: KeyedStateBackend | None = None

    @property
    def woken(self) -> threading.Event:
        """Set when an answer has come."""
        return self._alarms.woken

    @property
    def backend(self) -> KeyedStateBackend | None:
        """The keyed backend if it was made."""
        return self._backend

    def keyed_backend(self) -> KeyedStateBackend:
        """Keyed state, restored at the first call."""
        if self._backend is None:
            self._backend = create_backend(
                self._kind,
                key_group_start=0,
                key_group_end=MAX_PARALLELISM - 1,
                max_parallelism=MAX_PARALLELISM,
                local_dir=self._folder,
                config=self.config,
            )
            if self._restored is not None and self._restored.state.keyed is not None:
                self._backend.restore([self._restored.state.keyed], self._restored.store)
        return self._backend

    def restored_list(self, name: str) -> Sequence[bytes]:
        """Operator list state of the snapshot."""
        return () if self._restored is None else tuple(self._restored.state.lists.get(name, ()))

    def restored_names(self) -> Sequence[str]:
        """Names of the operator list state of the snapshot."""
        return () if self._restored is None else tuple(self._restored.state.lists)

    def register_processing_timer(
        self, at_ms: int, callback: Callable[[int], None]
    ) -> Callable[[], None]:
        """Call back in virtual time."""
        return self._alarms.add(at_ms, callback)

    def run_blocking(
        self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]
    ) -> None:
        """Run it once the operator's call is over."""
        self._alarms.submit(work, done)

    def fail(self, error: BaseException) -> None:
        """Keep the failure for the test."""
        self.failure = self.failure or error

    def wake(self) -> None:
        """Thread-safe: an answer has come."""
        self._alarms.woken.set()

    def close(self) -> None:
        """Close the backend."""
        if self._backend is not None:
            self._backend.close()

"""Runs one operator as a task would: batches in, output out, snapshots, virtual time.

A snapshot goes through the real storage on disk, so that what a test restores is what a checkpoint
holds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lesto.common.clock import VirtualClock
from lesto.common.config import Configuration
from lesto.common.elements import NO_TIMESTAMP, Batch, Form, LatencyMarker, RowBatch
from lesto.common.metrics import MetricRegistry
from lesto.kernels.keygroups import key_group_for_hash, key_group_range, operator_index
from lesto.kernels.scalar import hash_value
from lesto.state.backend import KeyedStateBackend
from lesto.state.factory import create_backend
from lesto.state.storage import SnapshotStore
from lesto.taskmanager.operators.base import Operator
from lesto.taskmanager.operators.expiry import sweep_expired

MAX_PARALLELISM = 128


@dataclass
class CollectedOutput:
    """Everything an operator emitted; ``log`` has it in order."""

    rows: list[Any] = field(default_factory=list)
    timestamps: list[int | None] = field(default_factory=list)
    sides: dict[str, list[Any]] = field(default_factory=dict)
    watermarks: list[int] = field(default_factory=list)
    statuses: list[bool] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    log: list[Any] = field(default_factory=list)

    def emit(self, batch: Batch) -> None:
        if not len(batch):
            return
        if isinstance(batch, RowBatch):
            self.rows.extend(batch.values)
        else:
            self.rows.extend(batch.data.to_pylist())
        assert batch.timestamps is None or len(batch.timestamps) == len(batch)
        times = [None] * len(batch) if batch.timestamps is None else batch.timestamps.tolist()
        self.timestamps.extend(times)
        self.batches.append(batch)
        self.log.append(("rows", list(self.rows[-len(batch) :])))

    def emit_side(self, tag: str, batch: Batch) -> None:
        values = batch.values if isinstance(batch, RowBatch) else batch.data.to_pylist()
        self.sides.setdefault(tag, []).extend(values)

    def emit_watermark(self, timestamp: int) -> None:
        assert not self.watermarks or timestamp > self.watermarks[-1], "event time went back"
        self.watermarks.append(timestamp)
        self.log.append(("watermark", timestamp))

    def emit_status(self, idle: bool) -> None:
        self.statuses.append(idle)
        self.log.append(("idle", idle))

    def emit_latency_marker(self, marker: LatencyMarker) -> None:
        self.log.append(("marker", marker))

    def timed(self) -> list[tuple[Any, int | None]]:
        """Rows with their event times."""
        return list(zip(self.rows, self.timestamps, strict=True))

    def take(self) -> list[Any]:
        """The rows so far, which are forgotten."""
        rows, self.rows, self.timestamps = self.rows, [], []
        return rows


@dataclass
class Saved:
    """A finished snapshot of one subtask."""

    handle: Any
    lists: dict[str, list[bytes]]
    union_lists: dict[str, list[bytes]]
    broadcast_lists: dict[str, list[bytes]] = field(default_factory=dict)


class HarnessContext:
    """The operator's context."""

    def __init__(self, harness: Harness, name: str) -> None:
        self.job_id = "0" * 32
        self.job_name = "test"
        self.operator_uid = "uid"
        self.operator_name = name
        self.task_name = "task"
        self.subtask = harness.subtask
        self.parallelism = harness.parallelism
        self.max_parallelism = MAX_PARALLELISM
        self.attempt = "1-1"  # as the JobManager's first
        self.restored = harness.restored is not None
        self.checkpoint_root = str(harness.directory)
        self.config = harness.config
        self.clock = harness.clock
        self.metrics = harness.registry.group(operator=name)
        self.input_schemas: Sequence[Any] = (None,)
        self.failures: list[BaseException] = []
        self.local_dir = str(harness.directory)
        self.accumulators: dict[str, Any] = {}
        self.split_requests = 0
        self.watermark_reports: list[tuple[str, int]] = []
        self.wakeups = 0
        self.events: list[bytes] = []
        self.woken = threading.Event()
        self._harness = harness

    def keyed_backend(self) -> KeyedStateBackend:
        return self._harness.backend()

    def restored_list(self, name: str) -> Sequence[bytes]:
        return self._harness.restored_lists.get(name, ())

    def restored_names(self) -> Sequence[str]:
        return tuple(self._harness.restored_lists)

    def register_processing_timer(
        self, at_ms: int, callback: Callable[[int], None]
    ) -> Callable[[], None]:
        timer = (at_ms, callback)
        self._harness.alarms.append(timer)

        def cancel() -> None:
            if timer in self._harness.alarms:
                self._harness.alarms.remove(timer)

        return cancel

    def run_blocking(
        self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]
    ) -> None:
        self._harness.blocking.append((work, done))

    def fail(self, error: BaseException) -> None:
        self.failures.append(error)

    def request_split(self) -> None:
        self.split_requests += 1

    def report_watermark(self, group: str, watermark: int, max_drift_ms: int) -> None:
        self.watermark_reports.append((group, watermark))

    def send_event(self, event: bytes) -> None:
        self.events.append(event)

    def wakeup(self) -> None:
        self.wakeups += 1

    def wake(self) -> None:
        self.woken.set()


class Harness:
    """One subtask of an operator.

    Args:
        operator: the operator.
        directory: for snapshots and working files.
        backend: "hashmap" or "rocksdb".
        restore: snapshots of all subtasks to start from.
        parallelism: of the operator.
        subtask: index of this one.
        clock: virtual time.
        config: options.
    """

    def __init__(
        self,
        operator: Operator,
        directory: Path,
        *,
        backend: str = "hashmap",
        restore: Sequence[Saved] | None = None,
        parallelism: int = 1,
        subtask: int = 0,
        clock: VirtualClock | None = None,
        config: dict[str, str] | None = None,
        name: str = "op",
        open: bool = True,
    ) -> None:
        self.operator = operator
        self.directory = directory
        self.kind = backend
        self.restored = restore
        self.parallelism = parallelism
        self.subtask = subtask
        self.clock = clock or VirtualClock(1_000_000)
        self.config = Configuration.from_dict(config or {})
        self.registry = MetricRegistry()
        self.output = CollectedOutput()
        self.alarms: list[tuple[int, Callable[[int], None]]] = []
        self.blocking: list[tuple[Callable[[], Any], Callable[[Any, Any], None]]] = []
        self.restored_lists = self._lists(restore or [])
        self._backend: KeyedStateBackend | None = None
        self._store = SnapshotStore(directory.as_uri())
        self._next_checkpoint = 1
        self.context = HarnessContext(self, name)
        operator.setup(self.context, self.output)
        if open:
            operator.open()

    def _lists(self, saved: Sequence[Saved]) -> dict[str, list[bytes]]:
        lists: dict[str, list[bytes]] = {}
        for part in saved:
            for name, items in part.union_lists.items():
                lists.setdefault(name, []).extend(items)
        split: dict[str, list[bytes]] = {}
        for part in saved:
            for name, items in part.lists.items():
                split.setdefault(name, []).extend(items)
        for name, items in split.items():
            lists.setdefault(name, []).extend(items[self.subtask :: self.parallelism])
        if saved:
            for name, items in saved[self.subtask % len(saved)].broadcast_lists.items():
                lists.setdefault(name, []).extend(items)
        return lists

    def backend(self) -> KeyedStateBackend:
        if self._backend is None:
            first, last = key_group_range(MAX_PARALLELISM, self.parallelism, self.subtask)
            self._backend = create_backend(
                self.kind,
                key_group_start=first,
                key_group_end=last,
                max_parallelism=MAX_PARALLELISM,
                local_dir=self.directory,
            )
            sweep_expired(self.context, self._backend)
            handles = [part.handle for part in self.restored or () if part.handle is not None]
            if handles:
                self._backend.restore(handles, self._store)
        return self._backend

    def feed(
        self, values: Iterable[Any], timestamps: Sequence[int] | None = None, input_index: int = 0
    ) -> None:
        """One batch of rows."""
        rows = list(values)
        times = None if timestamps is None else np.array(timestamps, dtype=np.int64)
        if rows:
            assert self.operator.input_form in {Form.ROWS, Form.ANY}
            self.operator.process_batch(RowBatch(rows, times), input_index)

    def feed_timed(self, records: Iterable[tuple[Any, int | None]], input_index: int = 0) -> None:
        """One batch of (value, event time)."""
        pairs = list(records)
        self.feed(
            [value for value, _ in pairs],
            [NO_TIMESTAMP if time is None else time for _, time in pairs],
            input_index,
        )

    def watermark(self, timestamp: int) -> None:
        self.operator.process_watermark(timestamp)

    def advance(self, ms: int) -> None:
        """Let virtual time pass; alarms ring in order."""
        end = self.clock.now_ms() + ms
        while due := [alarm for alarm in self.alarms if alarm[0] <= end]:
            alarm = min(due, key=lambda a: a[0])
            self.alarms.remove(alarm)
            self.clock.advance(max(0, alarm[0] - self.clock.now_ms()))
            alarm[1](alarm[0])
        self.clock.advance(end - self.clock.now_ms())

    def run_blocking(self) -> None:
        """Do what was handed to the I/O thread."""
        while self.blocking:
            work, done = self.blocking.pop(0)
            result, error = None, None
            try:
                result = work()
            except BaseException as caught:
                error = caught
            done(result, error)

    def snapshot(self, *, canonical: bool = False) -> Saved:
        """Take and finish a checkpoint; it completes at once for the backend."""
        checkpoint_id = self._next_checkpoint
        self._next_checkpoint += 1
        self.operator.prepare_snapshot(checkpoint_id)
        state = self.operator.snapshot(checkpoint_id, canonical)
        handle = None
        if state.keyed is not None:
            handle = state.keyed.finish(self._store)
            self.backend().notify_checkpoint_complete(checkpoint_id)
        return Saved(handle, state.lists, state.union_lists, state.broadcast_lists)

    def close(self) -> None:
        self.operator.close()
        if self._backend is not None:
            self._backend.close()

    def counter(self, name: str) -> float:
        """Value of one of the operator's counters."""
        return self.context.metrics.counter(name).get_count()


def owner(key: Any, parallelism: int) -> int:
    """The subtask that a key belongs to."""
    group = key_group_for_hash(hash_value(key), MAX_PARALLELISM)
    return operator_index(group, MAX_PARALLELISM, parallelism)

"""The TaskManagers that are connected, and the slots they offer.

Everything here runs on the JobManager's event loop, so nothing needs a lock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from lesto.common.clock import Clock
from lesto.common.inspection import ProcessNotFoundError
from lesto.common.logs import get_logger
from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core.slots import Allocated, Slot, SlotPool
from lesto.jobmanager.server.metrics import count_lost_taskmanager
from lesto.jobmanager.server.questions import Questions
from lesto.proto import client_pb2, runtime_pb2

logger = get_logger("lesto.jobmanager.taskmanagers")

#: Messages that wait for a TaskManager to read them; one that lets more pile up counts as lost.
OUTBOUND_MESSAGES_MAX = 100_000


class JobListener(Protocol):
    """Who has slots or waits for them: the runner of a job."""

    def tell(self, event: ev.Event) -> None:
        """Take an event about slots; never blocks."""
        ...


class Session:
    """One TaskManager's connection."""

    def __init__(self, register: runtime_pb2.RegisterTaskManager, clock: Clock) -> None:
        self.info = register
        self.slots: dict[str, runtime_pb2.SlotInfo] = {}
        self.closed_because = ""
        self._clock = clock
        self._outbound: deque[runtime_pb2.ToTaskManager] = deque()
        self._wake = asyncio.Event()
        self.heard()

    @property
    def taskmanager_id(self) -> str:
        """Unique per process."""
        return self.info.taskmanager_id

    @property
    def closed(self) -> bool:
        """Whether the connection is over."""
        return bool(self.closed_because)

    def heard(self) -> None:
        """It has said something: it is alive."""
        self.heard_mono_ms = self._clock.monotonic_ms()
        self.heard_wall_ms = self._clock.now_ms()

    def send(self, message: runtime_pb2.ToTaskManager) -> None:
        """Queue a message; in order with all others."""
        if self.closed:
            return
        if len(self._outbound) >= OUTBOUND_MESSAGES_MAX:
            self.close(f"it does not read: {OUTBOUND_MESSAGES_MAX} messages wait for it")
            return
        self._outbound.append(message)
        self._wake.set()

    def close(self, reason: str) -> None:
        """End the connection."""
        if not self.closed:
            self.closed_because = reason
        self._wake.set()

    async def next_outbound(self) -> runtime_pb2.ToTaskManager | None:
        """The next message to send; None when the connection is closed."""
        while not self._outbound and not self.closed:
            self._wake.clear()
            await self._wake.wait()
        return None if self.closed else self._outbound.popleft()


class TaskManagers:
    """All sessions and the slot pool."""

    def __init__(self, clock: Clock, *, slot_request_timeout_ms: int) -> None:
        self.pool = SlotPool()
        self.sessions: dict[str, Session] = {}
        self._clock = clock
        self._timeout_ms = slot_request_timeout_ms
        self._jobs: dict[str, JobListener] = {}
        self._adaptive: dict[str, JobListener] = {}
        self._free = 0
        self.questions = Questions()
        self.stopping = False  # the whole cluster ends: a lost connection is no news
        self._timer: asyncio.TimerHandle | None = None
        self.on_change: Callable[[], None] = lambda: None

    # ------------------------------------------------------------------------------- TaskManagers

    def register(self, register: runtime_pb2.RegisterTaskManager) -> Session:
        """A TaskManager has connected; an older connection of it is over."""
        older = self.sessions.get(register.taskmanager_id)
        if older is not None:
            self.disconnected(older, "it connected anew")
        session = Session(register, self._clock)
        self.sessions[session.taskmanager_id] = session
        logger.info(
            "taskmanager.registered",
            taskmanager=session.taskmanager_id,
            host=register.host,
            slots=len(register.slots),
        )
        self.report_slots(session, register.slots)
        return session

    def report_slots(self, session: Session, slots: Iterable[runtime_pb2.SlotInfo]) -> None:
        """Slots have changed their status."""
        for info in slots:
            if info.status == runtime_pb2.SLOT_STATUS_LOST:
                session.slots.pop(info.slot_id, None)
                self._slot_lost(info.slot_id, info.lost_reason or "its process ended")
                continue
            for other in [s for s in session.slots.values() if s.index == info.index]:
                if other.slot_id != info.slot_id:
                    del session.slots[other.slot_id]
                    self._slot_lost(other.slot_id, "its process was replaced")
            session.slots[info.slot_id] = info
            if info.status == runtime_pb2.SLOT_STATUS_READY:
                slot = Slot(info.slot_id, session.taskmanager_id, info.flight_uri)
                self._deliver(self.pool.offer(slot))
        self._arm()
        self.on_change()

    def disconnected(self, session: Session, reason: str) -> None:
        """A connection is over: its slots are lost at once."""
        session.close(reason)
        self.questions.lost(session, reason)
        if self.sessions.get(session.taskmanager_id) is not session:
            return
        del self.sessions[session.taskmanager_id]
        if not self.stopping:
            count_lost_taskmanager()
        log = logger.info if self.stopping else logger.warning
        log("taskmanager.lost", taskmanager=session.taskmanager_id, reason=reason)
        for slot_id in list(session.slots):
            self._slot_lost(slot_id, f"TaskManager {session.taskmanager_id}: {reason}")
        session.slots.clear()
        self._arm()
        self.on_change()

    def beat(self, timeout_ms: int, sequence: int) -> None:
        """Send heartbeats, and close connections that have been silent for too long."""
        now_ms = self._clock.monotonic_ms()
        for session in list(self.sessions.values()):
            silent_ms = now_ms - session.heard_mono_ms
            if silent_ms > timeout_ms:
                self.disconnected(session, f"no heartbeat for {silent_ms / 1000:.1f} s")
            else:
                beat = runtime_pb2.Heartbeat(sequence=sequence)
                session.send(runtime_pb2.ToTaskManager(heartbeat=beat))

    def close(self, reason: str) -> None:
        """End all connections: the JobManager stops."""
        if self._timer is not None:
            self._timer.cancel()
        for session in self.sessions.values():
            session.close(reason)
            self.questions.lost(session, reason)
        self.sessions.clear()

    # ---------------------------------------------------------------------------------------- jobs

    def request(self, job_id: str, listener: JobListener, count: int, timeout_ms: int = 0) -> None:
        """A job wants slots; it is told SlotsAllocated or SlotsRefused.

        Args:
            job_id: the job.
            listener: whom to tell.
            count: more slots than it has.
            timeout_ms: how long to wait; 0: the cluster's slot.request.timeout.
        """
        self._jobs[job_id] = listener
        now_ms = self._clock.monotonic_ms()
        self._deliver(self.pool.request(job_id, count, now_ms, timeout_ms or self._timeout_ms))
        self._arm()

    def watch(self, job_id: str, listener: JobListener) -> None:
        """Tell a job how many slots are free, now and at each change, until it is released."""
        self._adaptive[job_id] = listener
        listener.tell(ev.SlotsFree(self.pool.available))

    def withdraw(self, job_id: str) -> None:
        """A job does not want more slots after all."""
        self.pool.withdraw(job_id)
        self._arm()

    def release_slot(self, slot_id: str) -> None:
        """A job gives one slot back."""
        self._deliver(self.pool.release_slot(slot_id))
        self._arm()

    def release(self, job_id: str) -> None:
        """A job has ended."""
        self._jobs.pop(job_id, None)
        self._adaptive.pop(job_id, None)
        self._deliver(self.pool.release(job_id))
        self._arm()

    def send(self, slot_id: str, command: runtime_pb2.TaskCommand) -> None:
        """A command to a slot; one to a slot that is gone is dropped; its loss is told apart."""
        session = self._session_of(slot_id)
        if session is not None:
            wrapped = runtime_pb2.SlotCommand(slot_id=slot_id, command=command)
            session.send(runtime_pb2.ToTaskManager(command=wrapped))

    def kill(self, slot_id: str, reason: str) -> None:
        """Have a slot's process killed."""
        session = self._session_of(slot_id)
        if session is not None:
            kill = runtime_pb2.KillSlot(slot_id=slot_id, reason=reason)
            session.send(runtime_pb2.ToTaskManager(kill_slot=kill))

    async def ask(
        self, taskmanager_id: str, slot_id: str, question: runtime_pb2.Question
    ) -> runtime_pb2.Answer:
        """Ask a TaskManager or one of its slots.

        Raises:
            ProcessNotFoundError: there is none of that id, or it was lost meanwhile.
            ProcessSilentError: it has not answered in time.
        """
        session = self.sessions.get(taskmanager_id)
        if session is None or (slot_id and slot_id not in session.slots):
            what = "slot" if session is not None else "TaskManager"
            msg = f"there is no {what} of that id"
            raise ProcessNotFoundError(msg, remedy="GET /taskmanagers lists them")
        return await self.questions.ask(session, slot_id, question)

    def info(self) -> list[client_pb2.TaskManagerInfo]:
        """As the client is told."""
        return [self._info(session) for session in self.sessions.values()]

    def _info(self, session: Session) -> client_pb2.TaskManagerInfo:
        ready = [s for s in session.slots if s in self.pool.slots]
        return client_pb2.TaskManagerInfo(
            taskmanager_id=session.taskmanager_id,
            host=session.info.host,
            pid=session.info.pid,
            slots=sorted(session.slots.values(), key=lambda slot: slot.index),
            last_heartbeat_ms=session.heard_wall_ms,
            free_slots=sum(s not in self.pool.owners for s in ready),
            metrics_address=session.info.metrics_address,
            memory_bytes=session.info.memory_bytes,
            cpus=session.info.cpus,
        )

    def _session_of(self, slot_id: str) -> Session | None:
        slot = self.pool.slots.get(slot_id)
        return self.sessions.get(slot.taskmanager_id) if slot is not None else None

    def _slot_lost(self, slot_id: str, reason: str) -> None:
        owner = self.pool.lost(slot_id)
        if owner is not None and owner in self._jobs:
            self._jobs[owner].tell(ev.SlotLost(slot_id, reason))

    def _deliver(self, allocations: list[Allocated]) -> None:
        for allocated in allocations:
            self._jobs[allocated.job_id].tell(ev.SlotsAllocated(allocated.slots))

    def _arm(self) -> None:
        """Something has changed: tell who follows it; wake when a request has waited too long."""
        if self._free != self.pool.available:
            self._free = self.pool.available
            for listener in self._adaptive.values():
                listener.tell(ev.SlotsFree(self._free))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline_ms = self.pool.next_deadline_ms()
        if deadline_ms is not None:
            wait_ms = max(0, deadline_ms - self._clock.monotonic_ms())
            self._timer = asyncio.get_running_loop().call_later(wait_ms / 1000, self._expire)

    def _expire(self) -> None:
        self._timer = None
        for refused in self.pool.tick(self._clock.monotonic_ms()):
            self._jobs[refused.job_id].tell(ev.SlotsRefused(refused.error, refused.available))
        self._arm()

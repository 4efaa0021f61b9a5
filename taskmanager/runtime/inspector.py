"""Answers questions about a slot's process beside its mailbox thread, which may be stuck."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from lesto.common.inspection import (
    QUESTIONS_MAX,
    Doing,
    InspectionError,
    ProcessSilentError,
)
from lesto.proto import runtime_pb2
from lesto.proto.inspecting import ProcessInspector, refusal
from lesto.taskmanager.runtime.mailbox import Mailbox
from lesto.taskmanager.runtime.record_sample import RecordSampler
from lesto.taskmanager.runtime.task import Task

#: Samples of several users at once share the threads; each costs the slot a look every few ms.
_THREADS: Final = 2


class SlotInspector:
    """Takes questions and sends answers, a bounded number at a time.

    Args:
        mailbox: of the slot; its thread is the one that stacks are sampled of.
        tasks: the slot's tasks; called on the mailbox thread.
        send: takes each answer, from any thread.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        tasks: Callable[[], list[Task]],
        send: Callable[[runtime_pb2.Inspected], None],
    ) -> None:
        self._mailbox = mailbox
        self._tasks = tasks
        self._send = send
        self._open = threading.BoundedSemaphore(QUESTIONS_MAX)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="slot-inspector")
        ident = threading.get_ident()  # the mailbox's thread makes this
        self._process = ProcessInspector(None, doing={ident: self._doing})

    def ask(self, inspect: runtime_pb2.Inspect) -> None:
        """Take a question; thread-safe, returns at once."""
        if not self._open.acquire(blocking=False):
            error = ProcessSilentError(
                f"{QUESTIONS_MAX} questions wait for this slot", remedy="ask again in a moment"
            )
            self._send(runtime_pb2.Inspected(id=inspect.id, answer=refusal(error)))
            return
        if inspect.question.WhichOneof("question") == "sample_records":
            self._sample_records(inspect)
        else:
            self._pool.submit(self._answer, inspect)

    def _answer(self, inspect: runtime_pb2.Inspect) -> None:
        try:
            answer = self._process.answer(inspect.question)
        except Exception as error:  # noqa: BLE001 - who asked must hear of it
            answer = refusal(InspectionError(f"the slot could not answer: {error!r}"))
        self._done(inspect.id, answer)

    def _done(self, number: int, answer: runtime_pb2.Answer) -> None:
        self._open.release()
        self._send(runtime_pb2.Inspected(id=number, answer=answer))

    def _sample_records(self, inspect: runtime_pb2.Inspect) -> None:
        """Records are looked at where they pass: on the mailbox thread."""
        number = inspect.id
        sampler = RecordSampler(
            inspect.question.sample_records,
            self._mailbox.mono,
            self._mailbox.clock,
            lambda answer: self._done(number, answer),
        )
        self._mailbox.post(lambda: sampler.start(self._tasks()))

    def _doing(self) -> Doing | None:
        running = self._mailbox.running
        if not isinstance(running, Task):
            return None
        ref = running.ref
        return Doing(ref.job_id, ref.vertex_id, ref.subtask, running.name)

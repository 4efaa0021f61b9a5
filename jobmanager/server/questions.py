"""Questions to the processes of a cluster that wait for their answers.

All of it runs on the JobManager's event loop. An answer is nobody's business but the asker's: one
that comes late, or that nobody waits for any more, is dropped.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Protocol

from lesto.common.inspection import (
    ANSWER_GRACE_SECONDS,
    QUESTIONS_MAX,
    SAMPLE_MAX_MS,
    ProcessNotFoundError,
    ProcessSilentError,
)
from lesto.proto import runtime_pb2
from lesto.proto.inspecting import seconds_for

#: Numbers of questions begin anywhere, so that no answer to an earlier JobManager fits.
_NUMBER_BYTES = 5


class Asked(Protocol):
    """A TaskManager's connection."""

    @property
    def taskmanager_id(self) -> str:
        """Whose it is."""
        ...

    def send(self, message: runtime_pb2.ToTaskManager) -> None:
        """Queue a message."""
        ...


class Questions:
    """Open questions by number."""

    def __init__(self) -> None:
        self._next = int(secrets.token_hex(_NUMBER_BYTES), 16)
        self._open: dict[int, tuple[Asked, asyncio.Future[runtime_pb2.Answer]]] = {}

    async def ask(
        self, session: Asked, slot_id: str, question: runtime_pb2.Question
    ) -> runtime_pb2.Answer:
        """Send a question and wait for the answer.

        Raises:
            ProcessSilentError: none came in time, or too many questions are open there.
            ProcessNotFoundError: the TaskManager was lost meanwhile.
        """
        if sum(other is session for other, _ in self._open.values()) >= QUESTIONS_MAX:
            msg = f"{QUESTIONS_MAX} questions wait for TaskManager {session.taskmanager_id}"
            raise ProcessSilentError(msg, remedy="ask again in a moment")
        self._next += 1
        number = self._next
        future: asyncio.Future[runtime_pb2.Answer] = asyncio.get_running_loop().create_future()
        self._open[number] = (session, future)
        inspect = runtime_pb2.Inspect(id=number, slot_id=slot_id, question=question)
        session.send(runtime_pb2.ToTaskManager(inspect=inspect))
        wait = min(seconds_for(question), SAMPLE_MAX_MS / 1000) + ANSWER_GRACE_SECONDS
        try:
            async with asyncio.timeout(wait):
                return await future
        except TimeoutError:
            msg = f"TaskManager {session.taskmanager_id} has not answered for {wait:g} s"
            raise ProcessSilentError(msg, remedy="see whether it is overloaded or stuck") from None
        finally:
            del self._open[number]

    def answered(self, inspected: runtime_pb2.Inspected) -> None:
        """An answer has come."""
        found = self._open.get(inspected.id)
        if found is not None and not found[1].done():
            found[1].set_result(inspected.answer)

    def lost(self, session: Asked, reason: str) -> None:
        """A connection is over: nobody will answer."""
        for other, future in list(self._open.values()):
            if other is session and not future.done():
                msg = f"TaskManager {session.taskmanager_id} was lost: {reason}"
                future.set_exception(ProcessNotFoundError(msg))

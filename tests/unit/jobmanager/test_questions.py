"""Questions to TaskManagers: answered once, by who was asked, or refused in time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lesto.common import inspection
from lesto.common.inspection import ProcessNotFoundError, ProcessSilentError
from lesto.jobmanager.server import questions as module
from lesto.jobmanager.server.questions import Questions
from lesto.proto import runtime_pb2

DUMP = runtime_pb2.Question(thread_dump=runtime_pb2.ThreadDumpQuestion())


class Session:
    def __init__(self, name: str) -> None:
        self.taskmanager_id = name
        self.sent: list[Any] = []

    def send(self, message: runtime_pb2.ToTaskManager) -> None:
        self.sent.append(message.inspect)


def _answer(number: int, text: str) -> runtime_pb2.Inspected:
    return runtime_pb2.Inspected(id=number, answer=runtime_pb2.Answer(error=text))


async def _asked(questions: Questions, session: Session) -> asyncio.Task[Any]:
    task = asyncio.create_task(questions.ask(session, "slot-1", DUMP))
    await asyncio.sleep(0)
    return task


def test_answers_go_to_their_askers_in_any_order() -> None:
    async def run() -> None:
        questions, session = Questions(), Session("tm-1")
        first, second = await _asked(questions, session), await _asked(questions, session)
        assert [message.slot_id for message in session.sent] == ["slot-1", "slot-1"]
        questions.answered(_answer(session.sent[1].id, "second"))
        questions.answered(_answer(session.sent[0].id, "first"))
        assert (await first).error == "first"
        assert (await second).error == "second"
        questions.answered(_answer(session.sent[0].id, "late"))
        questions.answered(_answer(77, "unasked"))

    asyncio.run(run())


def test_a_lost_taskmanager_answers_nobody_and_others_still_do() -> None:
    async def run() -> None:
        questions, lost, other = Questions(), Session("tm-1"), Session("tm-2")
        gone, waiting = await _asked(questions, lost), await _asked(questions, other)
        questions.lost(lost, "killed")
        with pytest.raises(ProcessNotFoundError, match="tm-1 was lost: killed"):
            await gone
        questions.answered(_answer(other.sent[0].id, "here"))
        assert (await waiting).error == "here"

    asyncio.run(run())


def test_silence_has_an_end(monkeypatch) -> None:
    monkeypatch.setattr(module, "ANSWER_GRACE_SECONDS", 0.05)

    async def run() -> None:
        with pytest.raises(ProcessSilentError, match="has not answered"):
            await Questions().ask(Session("tm-1"), "", DUMP)

    asyncio.run(run())


def test_the_number_of_open_questions_is_bounded() -> None:
    async def run() -> None:
        questions, session = Questions(), Session("tm-1")
        tasks = [await _asked(questions, session) for _ in range(inspection.QUESTIONS_MAX)]
        with pytest.raises(ProcessSilentError, match="questions wait"):
            await questions.ask(session, "", DUMP)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not questions._open

    asyncio.run(run())

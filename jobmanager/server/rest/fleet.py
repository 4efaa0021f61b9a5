"""Asks many processes the same at once, within bounds, and shares what pollers ask again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from lesto.common.errors import LestoError
from lesto.jobmanager.server.rest.api import JobManagerApi
from lesto.proto import runtime_pb2

#: Questions that one part of this server has open at once.
QUESTIONS_AT_ONCE: Final = 8
#: Processes that one request asks; of more, the first.
PROCESSES_MAX: Final = 64
#: Answers kept for those who ask the same a moment later.
SHARED_MAX: Final = 64

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Process:
    """A slot, or with an empty ``slot_id`` a TaskManager itself."""

    taskmanager_id: str
    slot_id: str = ""

    @property
    def name(self) -> str:
        """For people."""
        return self.slot_id or self.taskmanager_id


@dataclass(frozen=True, slots=True)
class Answers:
    """What several processes have answered.

    Attributes:
        given: by process.
        unanswered: ``slot: why`` of those that have not.
    """

    given: tuple[tuple[Process, runtime_pb2.Answer], ...]
    unanswered: tuple[str, ...]


class Fleet:
    """Asks processes in parallel.

    Args:
        api: the JobManager.
    """

    def __init__(self, api: JobManagerApi) -> None:
        self._api = api
        self._pool = ThreadPoolExecutor(QUESTIONS_AT_ONCE, thread_name_prefix="rest-fleet")

    def ask(self, processes: Iterable[Process], question: runtime_pb2.Question) -> Answers:
        """Ask all; one that does not answer is named.

        Raises:
            LestoError: nobody answered; why the first did not.
        """
        asked = list(dict.fromkeys(processes))
        left_out = asked[PROCESSES_MAX:]
        futures = [
            (one, self._pool.submit(self._api.inspect, question, one.taskmanager_id, one.slot_id))
            for one in asked[:PROCESSES_MAX]
        ]
        given: list[tuple[Process, runtime_pb2.Answer]] = []
        errors: list[tuple[Process, LestoError]] = []
        for one, future in futures:
            try:
                given.append((one, future.result()))
            except LestoError as error:
                errors.append((one, error))
        if errors and not given:
            raise errors[0][1]
        unanswered = [f"{one.name}: {error.message}" for one, error in errors]
        unanswered += [f"{one.name}: at most {PROCESSES_MAX} are asked" for one in left_out]
        return Answers(tuple(given), tuple(unanswered))

    def close(self) -> None:
        """Ask nobody any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Shared(Generic[T]):
    """Keeps answers for a moment; those who ask the same meanwhile wait for the same one.

    Args:
        seconds: for how long.
        clock: monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[Hashable, tuple[float, Future[T]]] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the answer of a moment ago, or make one; an error is not kept."""
        future: Future[T] = Future()
        with self._lock:
            self._forget()
            found = self._kept.setdefault(key, (float("inf"), future))
        if found[1] is not future:
            return found[1].result()
        try:
            made = make()
        except BaseException as error:
            with self._lock:
                self._kept.pop(key, None)
            future.set_exception(error)
            raise
        with self._lock:
            self._kept[key] = (self._clock() + self._seconds, future)
        future.set_result(made)
        return made

    def _forget(self) -> None:
        now = self._clock()
        for key in [key for key, (until, _) in self._kept.items() if until <= now]:
            del self._kept[key]
        settled: list[Any] = [key for key, (until, _) in self._kept.items() if until < float("inf")]
        for key in settled[: max(0, len(self._kept) - SHARED_MAX)]:
            del self._kept[key]

"""What a process can say about itself to people who look: its threads, and where their time goes.

Everything is bounded and done from a thread that is not the one looked at, so that a process that
is stuck can be asked too.

>>> any("doctest" in found.stack for found in threads())
True
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Final

from lesto.common.errors import Domain, LestoError

#: Longest time that stacks are sampled, or that records are waited for.
SAMPLE_MAX_MS: Final = 30_000
SAMPLE_INTERVAL_MIN_MS: Final = 2
SAMPLE_INTERVAL_DEFAULT_MS: Final = 10
#: Different stacks that one sample keeps; the rarest beyond them count as one, "(other)".
STACKS_MAX: Final = 2_000
#: Frames of one stack, the innermost.
FRAMES_MAX: Final = 128
#: Records of one sample.
RECORDS_MAX: Final = 100
#: Characters of one value, columns of one record.
VALUE_CHARACTERS_MAX: Final = 300
COLUMNS_MAX: Final = 200
#: Bytes of one piece of a log.
LOG_PIECE_BYTES_MAX: Final = 1 << 20
#: Metric values of one answer.
METRICS_MAX: Final = 20_000
#: Questions that wait or are being answered, of one process.
QUESTIONS_MAX: Final = 16
#: What a question may take beyond its own time.
ANSWER_GRACE_SECONDS: Final = 5.0

_OTHER: Final = ("(other)",)


class InspectionError(LestoError):
    """A question about a running process cannot be answered."""

    code = "LESTO-4130"
    domain = Domain.USER
    retryable = False


class ProcessNotFoundError(InspectionError):
    """There is no TaskManager or slot of this id, or it has just ended."""

    code = "LESTO-4131"


class ProcessSilentError(InspectionError):
    """A process has not answered in time, or too many questions wait for it."""

    code = "LESTO-4132"
    domain = Domain.EXTERNAL
    retryable = True


@dataclass(frozen=True, slots=True)
class ThreadStack:
    """One thread: its stack as Python prints it, outermost frame first."""

    name: str
    daemon: bool
    stack: str
    ident: int


def threads() -> list[ThreadStack]:
    """Return the stacks of all threads but the asking one's inner frames, main thread first."""
    known = {thread.ident: thread for thread in threading.enumerate()}
    main = threading.main_thread().ident
    found = []
    for ident, frame in sys._current_frames().items():
        thread = known.get(ident)
        text = "".join(traceback.format_stack(frame, FRAMES_MAX))
        name = thread.name if thread is not None else f"thread-{ident}"
        found.append(ThreadStack(name, bool(thread and thread.daemon), text, ident))
    return sorted(found, key=lambda one: (one.ident != main, one.name))


@dataclass(frozen=True, slots=True)
class Doing:
    """What a thread is at: the task, and words for people."""

    job_id: str = ""
    vertex_id: str = ""
    subtask: int = -1
    text: str = ""


#: Says what a thread is at; None: nothing that counts.
Label = Callable[[], Doing | None]


class StackSampler:
    """Looks at threads' stacks every so often and counts what it sees.

    CPython shows a thread's frames when it gives up the interpreter lock, so time inside a library
    that holds on to the lock is seen at the Python line that called it.

    Args:
        labels: of the threads looked at, by ident: called at each look, None leaves the look out.
    """

    def __init__(self, labels: Mapping[int, Label]) -> None:
        self._labels = labels
        self._counts: dict[tuple[Doing, tuple[CodeLine, ...]], int] = {}
        self.samples = 0

    def run(
        self, duration_ms: int, interval_ms: int, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Sample for a time; both in ms, kept within the limits."""
        duration = min(max(duration_ms, 1), SAMPLE_MAX_MS) / 1000
        interval = max(interval_ms or SAMPLE_INTERVAL_DEFAULT_MS, SAMPLE_INTERVAL_MIN_MS) / 1000
        end = time.monotonic() + duration
        while (left := end - time.monotonic()) > 0:
            sleep(min(interval, left))
            self.look()

    def look(self) -> None:
        """Look once."""
        self.samples += 1
        frames = sys._current_frames()
        for ident, label in self._labels.items():
            frame = frames.get(ident)
            named = label() if frame is not None else None
            if frame is None or named is None:
                continue
            key = (named, _lines(frame))
            if key not in self._counts and len(self._counts) >= STACKS_MAX:
                key = (named, ())
            self._counts[key] = self._counts.get(key, 0) + 1

    def stacks(self) -> list[tuple[Doing, tuple[str, ...], int]]:
        """Return what was done, frames from the outermost, and how often; oftenest first."""
        found: dict[tuple[Doing, tuple[str, ...]], int] = {}
        for (label, lines), count in self._counts.items():
            texts = tuple(_frame_text(*line) for line in lines) or _OTHER
            found[label, texts] = found.get((label, texts), 0) + count
        ordered = sorted(found.items(), key=lambda item: -item[1])
        return [(label, texts, count) for (label, texts), count in ordered]


#: Code and line of a frame: cheap to collect, turned into text once.
CodeLine = tuple[CodeType, int]


def _lines(frame: FrameType | None) -> tuple[CodeLine, ...]:
    found: list[CodeLine] = []
    while frame is not None and len(found) < FRAMES_MAX:
        found.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return tuple(reversed(found))


def _frame_text(code: CodeType, line: int) -> str:
    return f"{code.co_qualname} ({code.co_filename}:{line})"


def clipped(value: object) -> str:
    """Return a value as text of bounded length that can be encoded.

    >>> clipped("a" * 1000)[-20:]
    'aaaaaaaa… (1,000 ch)'
    """
    try:
        text = value if isinstance(value, str) else repr(value)
    except Exception as error:  # noqa: BLE001 - a user's __repr__; what it raised is the answer
        text = f"<{type(value).__name__}: its repr raised {type(error).__name__}>"
    # Halves of surrogate pairs are text to Python; no message takes them.
    shown = text[:VALUE_CHARACTERS_MAX].encode(errors="backslashreplace").decode()
    return shown if len(text) <= VALUE_CHARACTERS_MAX else f"{shown}… ({len(text):,} ch)"

"""The two ends of a channel as tasks see them, and the channel within a slot.

A channel is first in, first out, for batches and control elements alike. Its bytes are bounded;
the bound may be overrun by what one step of the producing task emits. Neither end ever waits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lesto.common.elements import Barrier, ColumnarBatch, RowBatch
from lesto.taskmanager.core.credit import WINDOW_PARTS
from lesto.taskmanager.runtime.exchange.wire import CHANNEL_CLOSED, Element

if TYPE_CHECKING:
    from collections.abc import Callable

#: A buffered element and the bytes it counts for.
Entry = tuple[Element, int]
#: The same in the form that nobody changes, ready to be encoded (``ChannelEncoder.freeze``).
Frozen = tuple[Any, int]


@dataclass(frozen=True, slots=True)
class ChannelKey:
    """Names one channel of one attempt of a job."""

    job_id: str
    epoch: int
    attempt: int
    edge_id: str
    producer: int
    consumer: int

    def __str__(self) -> str:
        return (
            f"{self.edge_id}[{self.producer}->{self.consumer}] of job {self.job_id} "
            f"({self.epoch}-{self.attempt})"
        )


class InputChannel(ABC):
    """The consumer's end.

    Attributes:
        queue: elements that have come and were not taken.
        finished: the producer has closed it in good order and everything is taken.
        announce: told of each barrier that has come into the queue; on any thread.
    """

    def __init__(self) -> None:
        self.queue: deque[Entry] = deque()
        self.finished = False
        self.announce: Callable[[Barrier], None] | None = None

    def take(self, *, hold: bool = False) -> Element:
        """Remove the first element of a non-empty queue.

        Args:
            hold: a batch's bytes count as queued until they are given to ``release``.
        """
        element, nbytes = self.queue.popleft()
        if nbytes:
            if not hold:
                self._taken(nbytes)
        elif element is CHANNEL_CLOSED:
            self.finished = True
        return element

    def release(self, nbytes: int) -> None:
        """The task is through with so many bytes of a batch that it holds."""
        self._taken(nbytes)

    def cut(self, checkpoint_id: int) -> list[Element] | None:
        """Take a checkpoint's barrier out of the queue; the elements in front of it, which stay.

        None when the barrier is not in the queue.
        """
        front: list[Element] = []
        for index, (element, _) in enumerate(self.queue):
            if type(element) is Barrier and element.checkpoint_id == checkpoint_id:
                del self.queue[index]
                return front
            front.append(element)
        return None

    @abstractmethod
    def narrow(self, window_bytes: int) -> bool:
        """Let no more than these bytes wait here; whether that is less than the channel's bound."""

    @property
    @abstractmethod
    def queued_bytes(self) -> int:
        """Bytes that have come and were not taken, and those that are held."""

    @property
    def window_bytes(self) -> int:
        """Bytes that may wait here; 0: nothing is added any more."""
        return 0

    @abstractmethod
    def _taken(self, nbytes: int) -> None:
        """Give the bytes back to the producer."""

    @abstractmethod
    def close(self) -> None:
        """The consumer is gone; whatever comes is dropped."""


class OutputChannel(ABC):
    """The producer's end."""

    @property
    @abstractmethod
    def writable(self) -> bool:
        """Whether there is room for a batch."""

    @property
    def room(self) -> int | None:
        """Bytes that a batch should not exceed, where the consumer lets few wait; else None."""
        return None

    @property
    def held_bytes(self) -> int:
        """Bytes that a barrier would overtake here."""
        return 0

    @abstractmethod
    def send(self, element: Element) -> int:
        """Queue an element, also beyond the bound. Returns its bytes."""

    @abstractmethod
    def overtake(self, barrier: Barrier) -> list[Frozen]:
        """Send a barrier in front of what has not left; returns what it overtook, which follows.

        A barrier of the same checkpoint that was sent and has not left goes instead: then what is
        behind it is not overtaken.
        """

    def holds(self, checkpoint_id: int) -> bool:
        """Whether the checkpoint's barrier was sent and has not left."""
        return False

    @abstractmethod
    def close(self, *, graceful: bool) -> None:
        """No more elements. Not graceful: the consumer sees a broken connection."""


class LocalChannel(InputChannel, OutputChannel):
    """Both ends in one slot process: elements go by reference, on one thread.

    Args:
        limit_bytes: bytes queued at which the producer is parked.
        start_bytes: the same to begin with, until ``narrow`` says how much the task can use.
        wake: tells the mailbox that the consumer has something to do.
    """

    def __init__(
        self, limit_bytes: int, wake: Callable[[], None], *, start_bytes: int | None = None
    ) -> None:
        super().__init__()
        self._limit = limit_bytes
        self._window = min(limit_bytes, start_bytes or limit_bytes)
        self._queued = 0
        self._wake = wake
        self._open = True

    @property
    def queued_bytes(self) -> int:
        """Bytes queued."""
        return self._queued

    @property
    def window_bytes(self) -> int:
        """Bytes at which the producer is parked."""
        return self._window

    @property
    def writable(self) -> bool:
        """Whether there is room for a batch."""
        return self._queued < self._window

    @property
    def room(self) -> int | None:
        """As ``CreditSender`` has it."""
        if self._window == self._limit:
            return None
        return max(self._window - self._queued, self._window // WINDOW_PARTS, 1)

    def narrow(self, window_bytes: int) -> bool:
        """The producer is parked at so many bytes."""
        self._window = min(window_bytes, self._limit)
        self._wake()
        return self._window < self._limit

    def send(self, element: Element) -> int:
        """Queue an element."""
        if not self._open:
            return 0
        batch = isinstance(element, (ColumnarBatch, RowBatch))
        nbytes = max(1, element.nbytes) if batch else 0  # type: ignore[union-attr]
        self._queued += nbytes
        self.queue.append((element, nbytes))
        if self.announce is not None and type(element) is Barrier:
            self.announce(element)
        self._wake()
        return nbytes

    def overtake(self, barrier: Barrier) -> list[Frozen]:
        """Send the barrier: the queue is the consumer's, who takes the barrier out of it."""
        self.send(barrier)
        return []

    def close(self, *, graceful: bool = False) -> None:
        """Close from either end; after a graceful close the consumer still takes what is queued."""
        if graceful:
            self.send(CHANNEL_CLOSED)
        else:
            self.queue.clear()
            self._queued = 0
        self._open = False

    def _taken(self, nbytes: int) -> None:
        self._queued -= nbytes
        self._wake()

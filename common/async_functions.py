"""Functions that wait for other systems: requests under way side by side, and when to try again."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from lesto.common.functions import IN, OUT, Function

T = TypeVar("T")
ResultPredicate = Callable[[Any], bool]
ExceptionPredicate = Callable[[Exception], bool]


class AsyncRetryPredicate(ABC, Generic[T]):
    """Says after which answers a request is made again."""

    @abstractmethod
    def result_predicate(self) -> ResultPredicate | None:
        """Whether a list of results asks for another attempt; None: never."""

    @abstractmethod
    def exception_predicate(self) -> ExceptionPredicate | None:
        """Whether an exception asks for another attempt; None: never."""


class AsyncRetryStrategy(ABC, Generic[T]):
    """When, and how often, a request is made again.

    One object serves all requests of a subtask: what it answers must follow from the number of the
    attempt alone.
    """

    @abstractmethod
    def can_retry(self, current_attempts: int) -> bool:
        """Whether another attempt may follow the attempt of this number, from 1."""

    @abstractmethod
    def get_backoff_time_millis(self, current_attempts: int) -> int:
        """Pause behind the attempt of this number, ms."""

    @abstractmethod
    def get_retry_predicate(self) -> AsyncRetryPredicate[T]:
        """Which answers ask for another attempt."""

    @staticmethod
    def no_restart() -> AsyncRetryStrategy[Any]:
        """One attempt."""
        return NO_RETRY_STRATEGY

    @staticmethod
    def fixed_delay(
        max_attempts: int,
        backoff_time_millis: int,
        result_predicate: ResultPredicate | None = None,
        exception_predicate: ExceptionPredicate | None = None,
    ) -> AsyncRetryStrategy[Any]:
        """Up to ``max_attempts`` further attempts, a fixed time apart."""
        return FixedDelayRetryStrategy(
            max_attempts, backoff_time_millis, result_predicate, exception_predicate
        )

    @staticmethod
    def exponential_backoff(
        max_attempts: int,
        initial_delay: int,
        max_retry_delay: int,
        multiplier: float,
        result_predicate: ResultPredicate | None = None,
        exception_predicate: ExceptionPredicate | None = None,
    ) -> AsyncRetryStrategy[Any]:
        """Up to ``max_attempts`` further attempts, with pauses that grow."""
        return ExponentialBackoffDelayRetryStrategy(
            max_attempts,
            initial_delay,
            max_retry_delay,
            multiplier,
            result_predicate,
            exception_predicate,
        )


class RetryPredicate(AsyncRetryPredicate[T]):
    """Two callables."""

    def __init__(
        self,
        result_predicate: ResultPredicate | None,
        exception_predicate: ExceptionPredicate | None,
    ) -> None:
        self._result = result_predicate
        self._exception = exception_predicate

    def result_predicate(self) -> ResultPredicate | None:
        """Of results."""
        return self._result

    def exception_predicate(self) -> ExceptionPredicate | None:
        """Of exceptions."""
        return self._exception


class NoRetryStrategy(AsyncRetryStrategy[T]):
    """One attempt."""

    def can_retry(self, current_attempts: int) -> bool:
        """Never."""
        return False

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        """There is no pause: -1."""
        return -1

    def get_retry_predicate(self) -> AsyncRetryPredicate[T]:
        """Nothing asks for another attempt."""
        return RetryPredicate(None, None)


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            msg = f"{name} must be greater than zero, not {value!r}"
            raise ValueError(msg)


class FixedDelayRetryStrategy(AsyncRetryStrategy[T]):
    """Further attempts, a fixed time apart.

    Args:
        max_attempts: attempts behind the first, at least 1.
        backoff_time_millis: ms between two attempts.
        result_predicate: which results ask for another attempt.
        exception_predicate: which exceptions do.

    Raises:
        ValueError: a number is not positive.
    """

    def __init__(
        self,
        max_attempts: int,
        backoff_time_millis: int,
        result_predicate: ResultPredicate | None = None,
        exception_predicate: ExceptionPredicate | None = None,
    ) -> None:
        _positive(max_attempts=max_attempts, backoff_time_millis=backoff_time_millis)
        self._max_attempts = max_attempts
        self._backoff_ms = backoff_time_millis
        self._predicate: AsyncRetryPredicate[T] = RetryPredicate(
            result_predicate, exception_predicate
        )

    def can_retry(self, current_attempts: int) -> bool:
        """Up to the number given."""
        return current_attempts <= self._max_attempts

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        """Always the same."""
        return self._backoff_ms

    def get_retry_predicate(self) -> AsyncRetryPredicate[T]:
        """As given."""
        return self._predicate


class ExponentialBackoffDelayRetryStrategy(AsyncRetryStrategy[T]):
    """Further attempts with growing pauses: initial * multiplier^n, up to a maximum.

    Args:
        max_attempts: attempts behind the first, at least 1.
        initial_delay: first pause, ms.
        max_retry_delay: longest pause, ms.
        multiplier: growth from one pause to the next.
        result_predicate: which results ask for another attempt.
        exception_predicate: which exceptions do.

    Raises:
        ValueError: a number is not positive.

    >>> strategy = ExponentialBackoffDelayRetryStrategy(5, 10, 50, 2.0)
    >>> [strategy.get_backoff_time_millis(n) for n in (1, 2, 3, 4)]
    [10, 20, 40, 50]
    """

    def __init__(
        self,
        max_attempts: int,
        initial_delay: int,
        max_retry_delay: int,
        multiplier: float,
        result_predicate: ResultPredicate | None = None,
        exception_predicate: ExceptionPredicate | None = None,
    ) -> None:
        _positive(
            max_attempts=max_attempts,
            initial_delay=initial_delay,
            max_retry_delay=max_retry_delay,
            multiplier=multiplier,
        )
        self._max_attempts = max_attempts
        self._initial_ms = initial_delay
        self._most_ms = max_retry_delay
        self._multiplier = multiplier
        self._predicate: AsyncRetryPredicate[T] = RetryPredicate(
            result_predicate, exception_predicate
        )

    def can_retry(self, current_attempts: int) -> bool:
        """Up to the number given."""
        return current_attempts <= self._max_attempts

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        """Grows with the attempts; depends on nothing else, for requests run side by side."""
        delay: float = self._initial_ms
        for _ in range(1, current_attempts):
            delay = min(delay * self._multiplier, self._most_ms)
        return int(min(delay, self._most_ms))

    def get_retry_predicate(self) -> AsyncRetryPredicate[T]:
        """As given."""
        return self._predicate


NO_RETRY_STRATEGY: AsyncRetryStrategy[Any] = NoRetryStrategy()


def empty_result_predicate(result: Any) -> bool:
    """Whether a request brought nothing."""
    return result is None or len(result) == 0


def has_exception_predicate(error: Exception) -> bool:
    """Whether it raised anything."""
    return error is not None


def exception_type_predicate(error: Exception, expected_error_type: type[Exception]) -> bool:
    """Whether it raised an exception of a type."""
    return isinstance(error, expected_error_type)


class AsyncFunction(Function, Generic[IN, OUT]):
    """A request for each record; many are under way at one time.

    ``async_invoke`` runs on an event loop beside the task: it awaits, and must not block. ``open``
    and ``close`` may be ``async def`` too, and then run on that loop.
    """

    @abstractmethod
    async def async_invoke(self, value: IN) -> list[OUT]:
        """The results of a record, as a list."""

    def timeout(self, value: IN) -> list[OUT]:
        """Results to take when the request took too long; raises by default."""
        shown = f"{value!r:.200}"
        msg = f"the request for {shown} took too long; a method timeout(value) would answer it"
        raise TimeoutError(msg)


class AsyncFunctionDescriptor:
    """An async function with its settings."""

    class OutputMode:
        """In which order results leave."""

        ORDERED = 0
        UNORDERED = 1


#: Requests under way at one time, unless told.
DEFAULT_CAPACITY: Final = 100


@dataclass(frozen=True, slots=True)
class AsyncCall:
    """How a user's function is called for a record.

    Attributes:
        method: ``async_invoke``, ``map``, ``filter``, ``flat_map`` or ``process_element``.
        timeout_ms: limit of a request with all its attempts; 0: none.
        capacity: requests under way at one time, at most.
        ordered: results leave in the order of the records.
        retry: further attempts, or None.
    """

    method: str
    capacity: int
    timeout_ms: int = 0
    ordered: bool = True
    retry: AsyncRetryStrategy[Any] | None = None

    @property
    def keeps_kind(self) -> bool:
        """Whether a result stands for its record, whose row kind it keeps."""
        return self.method in {"map", "filter"}


def is_async(function: Any) -> bool:
    """Whether calling it gives something to await, or to iterate over by ``async for``.

    >>> async def fetch(value): ...
    >>> is_async(fetch), is_async(len)
    (True, False)
    """
    if isinstance(function, type):
        return False
    for candidate in (function, getattr(function, "__call__", None)):  # noqa: B004
        if inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate):
            return True
    return False

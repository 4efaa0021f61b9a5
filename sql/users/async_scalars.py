"""Scalar functions that wait: the calls of a batch are under way together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from datetime import timedelta
from typing import Any, Final

import pyarrow as pa

from lesto.common import options
from lesto.common.option_types import ConfigOption
from lesto.sql.errors import UserSqlFunctionError
from lesto.sql.types import SqlType
from lesto.sql.users.calling import UserCall, failed, rows_in
from lesto.sql.users.values import to_python

#: Calls of one subtask under way (``table.exec.async-scalar.max-concurrent-operations``).
CONCURRENT: Final = 10
#: Longest wait for a row with its attempts, in ms (``table.exec.async-scalar.timeout``).
TIMEOUT_MS: Final = 180_000
#: Calls for a row at most (``table.exec.async-scalar.max-attempts``).
ATTEMPTS: Final = 3
#: Wait between two of them, in ms (``table.exec.async-scalar.retry-delay``).
RETRY_DELAY_MS: Final = 100

_MS: Final = timedelta(milliseconds=1)
_OPTIONS: Final[dict[ConfigOption[Any], str]] = {
    options.TABLE_ASYNC_CALLS: "concurrent",
    options.TABLE_ASYNC_TIMEOUT: "timeout_ms",
    options.TABLE_ASYNC_ATTEMPTS: "attempts",
    options.TABLE_ASYNC_DELAY: "retry_delay_ms",
}


class AsyncScalarCall(UserCall):
    """A scalar function that is ``async def``; results keep the order of the rows.

    Args:
        name: see :class:`UserCall`.
        function: see there.
        arguments: see there.
        result: type of the values.
        deterministic: see there.
        concurrent: calls under way at most.
        timeout_ms: the longest that a row may take.
        attempts: calls for a row at most.
        retry_delay_ms: wait between two of them.
    """

    def __init__(
        self,
        name: str,
        function: Any,
        arguments: Sequence[SqlType],
        result: SqlType,
        *,
        deterministic: bool = True,
        concurrent: int = CONCURRENT,
        timeout_ms: int = TIMEOUT_MS,
        attempts: int = ATTEMPTS,
        retry_delay_ms: int = RETRY_DELAY_MS,
    ) -> None:
        super().__init__(name, function, arguments, result, deterministic=deterministic)
        self.concurrent = concurrent
        self.timeout_ms = timeout_ms
        self.attempts = attempts
        self.retry_delay_ms = retry_delay_ms
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_loop": None, "_thread": None}

    def open(self) -> None:
        """Take the job's options over, and call the user's ``open``."""
        if not self._opened and self._runtime is not None:
            for option, name in _OPTIONS.items():
                text = self._runtime.get_job_parameter(option.key)
                if text is not None:
                    value = option.parse(text)
                    setattr(self, name, value if isinstance(value, int) else value // _MS)
        super().open()

    def evaluate(self, columns: Sequence[pa.Array], rows: int) -> pa.Array:
        """The function's values for a batch.

        Raises:
            UserSqlFunctionError: a row failed at each attempt, or took too long.
            InvalidUserResultError: it returned something else than its type says.
        """
        self.open()
        lists = [to_python(c, k) for c, k in zip(columns, self.arguments, strict=True)]
        work = self._all(list(rows_in(lists, rows)))
        try:
            found = asyncio.run_coroutine_threadsafe(work, self._running()).result()
        except CancelledError as error:
            msg = f"{self.name} was cancelled"
            raise UserSqlFunctionError(
                msg, remedy="do not cancel the task that calls it"
            ) from error
        return self.column(found)

    def close(self) -> None:
        """End the loop, and call the user's ``close``."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
        super().close()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            name = f"async-{self.name}"
            self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
            self._thread.start()
        return self._loop

    async def _all(self, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The values of all rows; after the first failure no further calls begin."""
        found: list[Any] = [None] * len(rows)
        left = iter(enumerate(rows))

        async def work() -> None:
            for number, row in left:
                found[number] = await self._one(number, row)

        workers = [asyncio.ensure_future(work()) for _ in range(min(self.concurrent, len(rows)))]
        try:
            await asyncio.gather(*workers)
        except BaseException:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            raise
        return found

    async def _one(self, number: int, row: tuple[Any, ...]) -> Any:
        limit = asyncio.timeout(self.timeout_ms / 1000)
        try:
            async with limit:
                return await self._attempts(number, row)
        except TimeoutError as error:
            if not limit.expired():
                raise failed(self.name, error, number) from error
            msg = f"{self.name} took longer than {self.timeout_ms} ms, row {number} of its batch"
            raise UserSqlFunctionError(
                msg, remedy="make it quicker, or raise table.exec.async-scalar.timeout"
            ) from error

    async def _attempts(self, number: int, row: tuple[Any, ...]) -> Any:
        call = self.method("eval")
        for attempt in range(1, self.attempts + 1):
            try:
                return await call(*row)
            except Exception as error:
                if attempt == self.attempts:
                    raise failed(self.name, error, number) from error
            await asyncio.sleep(self.retry_delay_ms / 1000)
        return None

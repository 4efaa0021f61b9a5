"""The end of a job in its log, so that no later leader runs it again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from lesto.common.logs import get_logger
from lesto.jobmanager.core.states import JobState
from lesto.jobmanager.server.ha.job_log import JobLog
from lesto.proto import client_pb2
from lesto.state.errors import StorageError

logger = get_logger("lesto.jobmanager.job_end")

#: Tries to write it while the storage refuses; about a minute.
TRIES_MAX = 12
FIRST_PAUSE_SECONDS = 0.1
PAUSE_SECONDS_MAX = 10.0


class JobEndRecord:
    """Writes a job's last details and then the last entry of its log, once.

    Args:
        log: the job's.
        state: in which it has ended.
        details: shown of it from now on.
    """

    def __init__(self, log: JobLog, state: JobState, details: client_pb2.JobDetails) -> None:
        self._log = log
        self._state = state
        self._details = details
        self._lock = asyncio.Lock()
        self._written: bool | None = None

    async def write(self, off_loop: Callable[..., Awaitable[Any]]) -> bool:
        """Write it; whether it is durable. Only the first call does anything.

        Raises:
            LeaderFencedError: another leader has claimed the job: it will end there.
            NotLeaderError: this JobManager does not lead any more.
        """
        async with self._lock:
            if self._written is None:
                self._written = await self._try(off_loop)
            return self._written

    async def _try(self, off_loop: Callable[..., Awaitable[Any]]) -> bool:
        pause = FIRST_PAUSE_SECONDS
        for number in range(TRIES_MAX):
            try:
                await off_loop(self._write)
                return True
            except StorageError as error:
                logger.warning("job.end_not_recorded", error=str(error), tries=number + 1)
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_SECONDS_MAX)
        logger.error(
            "job.end_unknown_to_others",
            reason="its files stay; after a restart of the JobManager it ends once more",
        )
        return False

    def _write(self) -> None:
        name = self._log.save_details(self._details.SerializeToString())
        self._log.end(self._state.name, name)

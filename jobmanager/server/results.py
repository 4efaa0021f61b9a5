"""Streams the committed results of a collect sink to a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor

from lesto.jobmanager.errors import JobNotFoundError
from lesto.jobmanager.server.dispatcher import Job
from lesto.proto import client_pb2

#: Shortest pause between two looks at the directory; while the job runs and a client fetches.
POLL_SECONDS = 0.02
#: Longest pause, when nothing happens in the job.
IDLE_POLL_SECONDS = 0.2

_FORMATS = {"arrow", "pickle"}


async def fetch_results(
    job: Job, operator_uid: str, io: Executor, *, keep: bool = False
) -> AsyncIterator[client_pb2.ResultBatch]:
    """Batches in order of their names until the job has ended; then the files are deleted.

    Args:
        job: whose.
        operator_uid: of the sink.
        io: threads.
        keep: do not delete: what was sent may not have arrived.

    Raises:
        JobNotFoundError: the job has no such operator.
    """
    if operator_uid not in job.uids:
        msg = f"job {job.graph.name} has no operator {operator_uid!r}"
        raise JobNotFoundError(msg)
    loop = asyncio.get_running_loop()
    seen: set[str] = set()
    while True:
        runner = job.runner
        revision = runner.revision if runner is not None else 0
        names = await loop.run_in_executor(io, job.store.results, operator_uid)
        for name in names:
            if name not in seen:
                payload = await loop.run_in_executor(io, job.store.read, name)
                seen.add(name)
                suffix = name.rpartition(".")[2]
                assert suffix in _FORMATS, f"a result file of unknown format: {name}"
                yield client_pb2.ResultBatch(payload=payload, format=suffix, name=name)
        if runner is not None and runner.ended.is_set() and not runner.master.state.terminal:
            return  # it goes on under another leader, and so do its results
        if runner is None or runner.ended.is_set():
            if runner is None or not (set(names) - seen):
                break
            continue
        await asyncio.sleep(POLL_SECONDS)
        await runner.changed_since(revision, IDLE_POLL_SECONDS)
    if not keep:
        await loop.run_in_executor(io, job.store.delete_results, operator_uid)

"""Results of ``execute_and_collect``: records as their checkpoints complete."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lesto.client.datastream.errors import JobBuildError
from lesto.client.datastream.location import user_location
from lesto.client.errors import JobManagerCallError
from lesto.client.job_client import JobClient
from lesto.common.row import rows_from_columns

if TYPE_CHECKING:
    from lesto.client.datastream.environment import StreamExecutionEnvironment
    from lesto.client.datastream.transformations import Transformation
    from lesto.proto import client_pb2 as pb


class CloseableIterator:
    """Records of a running job. Use it with ``with``, or close it: that cancels a job that has not
    ended.

    Iterating raises JobExecutionError when the job has failed.
    """

    def __init__(self, job: JobClient, operator_uid: str) -> None:
        self._job = job
        self._records = self._read(operator_uid)
        self._ended = False

    def _read(self, operator_uid: str) -> Iterator[Any]:
        for message in self._job.client.results(self._job.job_id, operator_uid):
            yield from decode(message)
        self._ended = True
        self._job.wait()

    def get_job_client(self) -> JobClient:
        """The job."""
        return self._job

    def next(self) -> Any:
        """The next record; raises StopIteration at the end."""
        return next(self)

    def __iter__(self) -> CloseableIterator:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._records)
        except StopIteration:
            self.close()
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Cancel the job if it has not ended, and release everything."""
        try:
            if not self._ended:
                self._ended = True
                self._records.close()  # type: ignore[attr-defined]
                if not self._job.status().is_globally_terminal_state():
                    self._job.cancel_and_wait()
        finally:
            self._job.close()

    def __enter__(self) -> CloseableIterator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncRecords:
    """Records of a stream in a job that something else submits; made by ``collect_async``."""

    def __init__(self) -> None:
        self._records: Iterator[Any] | None = None

    def begin(self, job: JobClient, operator_uid: str) -> None:
        """The job was submitted."""

        def read() -> Iterator[Any]:
            for message in job.client.results(job.job_id, operator_uid):
                yield from decode(message)

        self._records = read()

    def __iter__(self) -> AsyncRecords:
        return self

    def __next__(self) -> Any:
        if self._records is None:
            msg = "the job of these records was not submitted yet"
            raise JobBuildError(
                msg,
                remedy="call env.execute_async() first, and keep its JobClient open meanwhile",
                location=user_location(),
            )
        return next(self._records)

    def close(self) -> None:
        """Read no more."""
        if self._records is not None:
            self._records.close()  # type: ignore[attr-defined]


def decode(message: pb.ResultBatch) -> list[Any]:
    """The records of a message: Rows for columns, values as they were otherwise."""
    match message.format:
        case "arrow":
            with pa.ipc.open_stream(message.payload) as reader:
                table = reader.read_all()
            columns = [column.to_pylist() for column in table.columns]
            return list(rows_from_columns(table.schema.names, columns))
        case "pickle":
            # From the JobManager this client has authenticated to, and from the user's own
            # functions.
            return list(pickle.loads(message.payload))
        case other:
            msg = f"the JobManager sent results in the unknown format '{other}'"
            raise JobManagerCallError(msg, remedy="use the same version of Lesto on both sides")


def collect(
    env: StreamExecutionEnvironment, sink: Transformation, job_name: str | None
) -> CloseableIterator:
    """Run the environment's job and give the records that reach the sink."""
    uid = env._uid_of(sink)
    return CloseableIterator(env.execute_async(job_name), uid)

"""A job's log in durable storage, for the JobManager that runs the job. Blocking: for I/O threads.

The decisions are ``jobmanager.core.job_log``'s; here are the objects. A lock keeps the I/O threads
of one JobManager apart.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

from lesto.common.clock import Clock
from lesto.common.logs import get_logger
from lesto.jobmanager.core.job_log import (
    CancelWanted,
    CheckpointCompleted,
    Create,
    Ended,
    Entry,
    EpochClaimed,
    LogState,
    LogWriter,
    Rescaled,
    Steps,
    Submitted,
)
from lesto.jobmanager.errors import JobLogError, NotLeaderError
from lesto.jobmanager.server.ha import entry_codec
from lesto.state.errors import CheckpointExistsError, MissingFileError, StorageError
from lesto.state.files import Files

logger = get_logger("lesto.jobmanager.job_log")
R = TypeVar("R")

#: Digits of an entry's number: listings are in order.
_DIGITS = 12
#: Entries between two summaries of the log; recovery reads at most so many entries, and one list.
BASE_EVERY = 256


class JobLog:
    """The log below ``<job>/log``.

    Args:
        root: URI of the job's directory in the job store.
        clock: for the time in entries, which only people read.
        may_write: whether this JobManager leads, as far as it knows; asked before each write.
    """

    def __init__(self, root: str, clock: Clock, may_write: Callable[[], bool]) -> None:
        self.root = root
        self._files = Files(root)
        self._clock = clock
        self._may_write = may_write
        self._writer = LogWriter()
        self._lock = threading.Lock()
        self._ended: Ended | None = None
        self._base_seq = 0

    @property
    def state(self) -> LogState:
        """What is known of the log; read it when nothing is being written."""
        return self._writer.state

    @property
    def epoch(self) -> int:
        """Claimed here; 0: none."""
        return self._writer.epoch

    def read(self) -> LogState:
        """Read to the end.

        Raises:
            JobLogError: it is damaged.
            StorageError: the storage refused.
        """
        with self._lock:
            if not self._writer.state.seq:
                self._begin_at_base()
            self._run(self._writer.catch_up())
            return self._writer.state

    def _begin_at_base(self) -> None:
        """Start from the newest summary, or from the first entry without one."""
        names = [name.rpartition("/")[2] for name in self._files.list("bases")]
        for name in sorted((n for n in names if n.isdecimal()), reverse=True):
            path = f"bases/{name}"
            try:
                content = self._content(path)
                if content is not None:
                    self._writer.state = entry_codec.decode_state(content, path)
                    self._base_seq = self._writer.state.seq
                    return
            except JobLogError as error:  # the entries say the same
                logger.warning("job_log.base_unusable", error=str(error))

    def _maybe_write_base(self) -> None:
        """Sum up what was logged, so that a job of a million checkpoints is recovered quickly.

        Entries are not deleted: they are what fences ex-leaders.
        """
        state = self._writer.state
        if state.ended is not None or state.seq - self._base_seq < BASE_EVERY:
            return
        self._base_seq = state.seq
        try:
            self._files.create(_base_name(state.seq), entry_codec.encode_state(state))
        except CheckpointExistsError:
            return
        except StorageError as error:  # the next one will do
            logger.warning("job_log.base_not_written", error=str(error))

    def submit(self, graph: str, name: str) -> bool:
        """Begin the log; False: it had begun before.

        Args:
            graph: name of the job graph among the job's artifacts.
            name: the job's.
        """
        entry = Submitted(id=_new_id(), epoch=0, at_ms=self._now(), graph=graph, name=name)
        with self._lock:
            return self._run(self._writer.submit(entry))

    def claim(self, leader: str, term: int) -> int:
        """Claim the job's next epoch.

        Raises:
            LeaderFencedError: a later leader has claimed it.
            StorageError: the storage refused.
        """
        entry_id = _new_id()

        def make(epoch: int) -> EpochClaimed:
            return EpochClaimed(
                id=f"{entry_id}-{epoch}", epoch=epoch, at_ms=self._now(), leader=leader, term=term
            )

        with self._lock:
            return self._run(self._writer.claim(make))

    def checkpoint(self, number: int, path: str, *, savepoint: bool, restarts: int) -> None:
        """A checkpoint's metadata is written: with this entry it is complete.

        Raises:
            LeaderFencedError: another leader has claimed the job; the checkpoint is void.
            StorageError: the storage refused.
        """
        self._append(
            CheckpointCompleted(
                id=_new_id(),
                epoch=self.epoch,
                at_ms=self._now(),
                checkpoint_id=number,
                path=path,
                savepoint=savepoint,
                restarts=restarts,
            )
        )

    def rescaled(self, parallelism: Mapping[str, int]) -> None:
        """The job goes on with this parallelism by vertex; raises as :meth:`checkpoint`."""
        self._append(
            Rescaled(
                id=_new_id(), epoch=self.epoch, at_ms=self._now(), parallelism=dict(parallelism)
            )
        )

    def cancel_wanted(self) -> None:
        """A client asks for the job's end; raises as :meth:`checkpoint`."""
        if not self.state.cancel_wanted:
            self._append(CancelWanted(id=_new_id(), epoch=self.epoch, at_ms=self._now()))

    def end(self, state: str, details: str) -> None:
        """The job has ended; may be repeated. Raises as :meth:`checkpoint`."""
        if self._ended is None:
            self._ended = Ended(
                id=_new_id(), epoch=self.epoch, at_ms=self._now(), state=state, details=details
            )
        self._append(self._ended)

    def save_details(self, details: bytes) -> str:
        """Keep the last details of the job, which is about to end, beside its log; their name.

        Raises:
            NotLeaderError: this JobManager does not lead any more.
            StorageError: the storage refused.
        """
        self.check_leading()
        name = f"details-{self.epoch}"
        self._files.write(name, lambda: iter([details]))
        return name

    def check(self) -> None:
        """Make sure, before something is deleted, that nobody else has claimed the job.

        Raises:
            LeaderFencedError: somebody has.
            StorageError: the storage refused.
        """
        self.check_leading()
        with self._lock:
            self._run(self._writer.check())

    def _append(self, entry: Entry) -> None:
        with self._lock:
            self._run(self._writer.append(entry))
            self._maybe_write_base()
        logger.debug("job_log.appended", root=self.root, kind=type(entry).__name__)

    def _run(self, steps: Steps[R]) -> R:
        """Execute the steps of the protocol."""
        answer: Entry | bool | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as stop:
                value: R = stop.value
                return value
            answer = self._create(step) if isinstance(step, Create) else self._read(step.seq)

    def _create(self, step: Create) -> bool:
        self.check_leading()
        try:
            self._files.create(_name(step.seq), entry_codec.encode(step.entry))
        except CheckpointExistsError:
            return False
        return True

    def _read(self, seq: int) -> Entry | None:
        content = self._content(_name(seq))
        return entry_codec.decode(content, f"{self.root}/{_name(seq)}") if content else None

    def _content(self, name: str) -> bytes | None:
        try:
            with self._files.open_input(name) as source:
                return bytes(source.read())
        except MissingFileError:
            return None

    def check_leading(self) -> None:
        """Make sure that this JobManager has no reason to think that it does not lead.

        Raises:
            NotLeaderError: it has.
        """
        if not self._may_write():
            msg = "this JobManager has lost its leadership: it writes nothing any more"
            raise NotLeaderError(msg, remedy="none is needed: another JobManager runs the job")

    def _now(self) -> int:
        return self._clock.now_ms()


def _base_name(seq: int) -> str:
    return f"bases/{seq:0{_DIGITS}}"


def entry_name(seq: int) -> str:
    """Path of an entry below the job's directory."""
    return f"log/{seq:0{_DIGITS}}"


_name = entry_name


def _new_id() -> str:
    return secrets.token_hex(8)

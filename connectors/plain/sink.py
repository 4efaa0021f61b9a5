"""A sink in two phases, a method for each: what is written shows when a checkpoint is complete."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import msgspec

from lesto.common.elements import Batch, Form, RowBatch
from lesto.common.sink import Committer, Sink, SinkWriter, WriterContext

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class TwoPhaseSink(Sink):
    """Exactly once, by a transaction from one checkpoint to the next.

    ``begin`` gives a transaction of any kind; ``write`` adds to it; ``prepare`` makes it durable,
    invisible, and gives what is needed to publish it from anywhere: of numbers, texts, lists and
    dicts. ``commit`` publishes that. After a failure it may get the same again, also such as it has
    published: it must then change nothing. What was not prepared is given to ``abort``, if the
    process still can, and is written again by the restarted job.
    """

    input_form = Form.ROWS

    @abstractmethod
    def begin(self, context: WriterContext) -> Any:
        """A new transaction; ``context.attempt`` and ``context.subtask`` make its name unique."""

    @abstractmethod
    def write(self, transaction: Any, records: Sequence[Any]) -> None:
        """Add records, in order."""

    @abstractmethod
    def prepare(self, transaction: Any) -> Any:
        """Make it durable and give what ``commit`` needs; None: there is nothing to publish."""

    @abstractmethod
    def commit(self, prepared: Any) -> None:
        """Publish; runs on another thread, maybe on another machine, maybe again."""

    def abort(self, transaction: Any) -> None:
        """Give up a transaction that was not prepared."""

    def create_writer(self, context: WriterContext) -> SinkWriter:
        """Writes transactions, one at a time."""
        return _Writer(self, context)

    def create_committer(self) -> Committer:
        """Publishes them."""
        return _Committer(self)


class _Writer(SinkWriter):
    def __init__(self, sink: TwoPhaseSink, context: WriterContext) -> None:
        self._sink = sink
        self._context = context
        self._transaction: Any = None
        self._open = False

    def write(self, batch: Batch) -> None:
        """Begin a transaction with the first records behind a checkpoint."""
        assert isinstance(batch, RowBatch)
        if not self._open:
            self._transaction = self._sink.begin(self._context)
            self._open = True
        self._sink.write(self._transaction, batch.values)

    def prepare_commit(self, checkpoint_id: int) -> Sequence[bytes]:
        """The transaction, if there is one."""
        if not self._open:
            return ()
        prepared = self._sink.prepare(self._transaction)
        self._transaction, self._open = None, False
        return () if prepared is None else (_encode(prepared),)

    def close(self) -> None:
        """Give up what was not prepared."""
        if self._open:
            self._open = False
            self._sink.abort(self._transaction)


class _Committer(Committer):
    def __init__(self, sink: TwoPhaseSink) -> None:
        self._sink = sink

    def commit(self, committables: Sequence[bytes]) -> None:
        """One after another."""
        for committable in committables:
            self._sink.commit(_decode(committable))

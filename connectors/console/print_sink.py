"""The print sink: one line a record on the standard output of the slot's process."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from lesto.common.elements import Batch, ColumnarBatch, Form, RowBatch, RowKind
from lesto.common.sink import Sink, SinkWriter, WriterContext
from lesto.connectors.errors import OutputError

KIND_TEXTS = {
    RowKind.INSERT: "+I",
    RowKind.UPDATE_BEFORE: "-U",
    RowKind.UPDATE_AFTER: "+U",
    RowKind.DELETE: "-D",
}


class PrintSink(Sink):
    """Prints records as Flink does: ``<identifier>:<subtask>> <record>``.

    Args:
        identifier: put before each line; empty: none.
        to_stderr: write to standard error.
    """

    input_form = Form.ANY

    def __init__(self, identifier: str = "", *, to_stderr: bool = False) -> None:
        self.identifier = identifier
        self.to_stderr = to_stderr

    def create_writer(self, context: WriterContext) -> SinkWriter:
        """A writer for one subtask."""
        return PrintWriter(line_prefix(self.identifier, context), self.to_stderr)


def line_prefix(identifier: str, context: WriterContext) -> str:
    """What a subtask's lines begin with: ``<identifier>:<subtask>> ``, as far as there are."""
    subtask = str(context.subtask + 1) if context.parallelism > 1 else ""
    parts = [p for p in (identifier, subtask) if p]
    return f"{':'.join(parts)}> " if parts else ""


class PrintWriter(SinkWriter):
    """Prints a line a record.

    Args:
        prefix: of each line.
        to_stderr: write to standard error.
    """

    def __init__(self, prefix: str, to_stderr: bool) -> None:
        self._prefix = prefix
        self._to_stderr = to_stderr

    def write(self, batch: Batch) -> None:
        """One write call a batch, so that lines of slots do not mix."""
        prefix = self._prefix
        lines = [f"{prefix}{text}\n" for text in self.texts(batch)]
        stream = sys.stderr if self._to_stderr else sys.stdout
        try:
            stream.write("".join(lines))
            stream.flush()
        except BrokenPipeError as error:  # as in `lesto run job.py | head -1`
            msg = "nobody reads the standard output of the job any more"
            raise OutputError(
                msg, remedy="keep the pipe's reader running, or write to a file with a FileSink"
            ) from error

    def texts(self, batch: Batch) -> Iterable[str]:
        """The text of each record."""
        return _texts(batch)

    def prepare_commit(self, checkpoint_id: int) -> Sequence[bytes]:
        """Nothing to publish: what is printed is seen."""
        return ()


def _texts(batch: Batch) -> Iterable[str]:
    values: Iterable[Any]
    if isinstance(batch, RowBatch):
        values = map(str, batch.values)
    else:
        values = _row_texts(batch)
    if batch.kinds is None:
        return values
    kinds = [KIND_TEXTS[RowKind(k)] for k in batch.kinds.tolist()]
    return (f"{kind}{value}" for kind, value in zip(kinds, values, strict=True))


def _row_texts(batch: ColumnarBatch) -> Iterable[str]:
    names = batch.data.schema.names
    for values in zip(*(c.to_pylist() for c in batch.data.columns), strict=True):
        inner = ", ".join(f"{n}={v!r}" for n, v in zip(names, values, strict=True))
        yield f"Row({inner})"

"""A sink that drops everything: for benchmarks and for pipelines run for their side effects."""

from __future__ import annotations

from collections.abc import Sequence

from lesto.common.elements import Batch, Form
from lesto.common.sink import Sink, SinkWriter, WriterContext


class BlackholeSink(Sink):
    """Takes batches in either form and drops them."""

    input_form = Form.ANY

    def create_writer(self, context: WriterContext) -> SinkWriter:
        """A writer that keeps nothing."""
        return _BlackholeWriter()


class _BlackholeWriter(SinkWriter):
    def write(self, batch: Batch) -> None:
        """Drop the batch."""

    def prepare_commit(self, checkpoint_id: int) -> Sequence[bytes]:
        """Nothing to publish."""
        return ()

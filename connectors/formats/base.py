"""What a message format is: bytes of many messages in, one batch out, and back.

Files have formats of whole lines (``connectors/files``); a message stands for itself, so its bytes
may hold anything and a bad one does not spoil its neighbours.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch, Form, RowBatch
from lesto.connectors.errors import ConnectorConfigError

Payload = bytes | None


@dataclass(frozen=True, slots=True)
class BadMessage:
    """A message that could not be read.

    Attributes:
        index: its place among the messages given.
        why: what is wrong with it.
    """

    index: int
    why: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """The result of ``decode``.

    Attributes:
        batch: the records, in order; as many as there were messages without the bad ones, unless
            ``origins`` says otherwise.
        bad: messages left out, ascending by index.
        origins: int64[records], ascending: the message that each record came from, counted without
            the bad ones, where a message may give several or none; None: each gives one.
    """

    batch: Batch
    bad: Sequence[BadMessage] = ()
    origins: npt.NDArray[np.int64] | None = None


class DeserializationSchema(ABC):
    """Reads messages.

    Attributes:
        schema: columns of the batches, or None for rows of Python values.
        skips_bad_messages: leave them out (counted), whatever the source was told.
    """

    schema: pa.Schema | None = None
    skips_bad_messages: bool = False

    @abstractmethod
    def decode(self, messages: Sequence[Payload]) -> Decoded:
        """Records of messages; bad ones are returned, not raised. A null message is bad."""


class SerializationSchema(ABC):
    """Writes messages.

    Attributes:
        input_form: the form of batch it takes.
    """

    input_form: Form = Form.ANY

    def open(self, subject: str) -> None:  # noqa: B027 - optional hook
        """Called once before the first batch, on the worker.

        Args:
            subject: name of what is written, for a schema registry: ``topic-value``.
        """

    @abstractmethod
    def encode(self, batch: Batch) -> list[Payload]:
        """One message a record."""


#: Types of errors that a decoder of single messages reports as a bad message.
DECODE_ERRORS: Final = (ValueError, TypeError, KeyError, IndexError, EOFError, StopIteration)


def decode_each(
    messages: Sequence[Payload],
    decode: Callable[[bytes], Any],
    errors: tuple[type[Exception], ...] = DECODE_ERRORS,
) -> tuple[list[Any], list[BadMessage]]:
    """Values of messages one by one, and those that cannot be read."""
    values: list[Any] = []
    bad: list[BadMessage] = []
    for index, message in enumerate(messages):
        if message is None:
            bad.append(BadMessage(index, "the message is null"))
            continue
        try:
            values.append(decode(message))
        except errors as error:
            text = str(error).split("\n", 1)[0]
            bad.append(BadMessage(index, f"{type(error).__name__}: {text}" if text else "damaged"))
    return values, bad


def batch_of_dicts(values: Sequence[dict[str, Any]], schema: pa.Schema) -> ColumnarBatch:
    """Records with names as columns; fields that are missing become null."""
    arrays = [pa.array([v.get(f.name) for v in values], f.type) for f in schema]
    return ColumnarBatch(pa.RecordBatch.from_arrays(arrays, schema=schema))


def dicts_of(batch: Batch, what: str) -> list[dict[str, Any]]:
    """Records as dicts by field name.

    Raises:
        ConnectorConfigError: records without names.
    """
    if isinstance(batch, ColumnarBatch):
        rows: list[dict[str, Any]] = batch.data.to_pylist()
        return rows
    return [_dict(value, what) for value in batch.values]


def _dict(value: Any, what: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    as_dict = getattr(value, "as_dict", None)
    if as_dict is not None and value.get_field_names() is not None:
        made: dict[str, Any] = as_dict()
        return made
    msg = f"{what} messages need records with field names, got a {type(value).__name__}"
    raise ConnectorConfigError(msg, remedy="map records to dicts, named Rows, or columns")


def rows_only(batch: Batch) -> list[Any]:
    """Python values of a batch of rows."""
    assert isinstance(batch, RowBatch), "asked for rows"
    return batch.values

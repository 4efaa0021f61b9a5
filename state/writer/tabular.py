"""What users have, as Arrow batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.types as pat

from lesto.common.errors import did_you_mean
from lesto.state.errors import SavepointWriteError

#: Rows that are encoded at once.
BATCH_ROWS: Final = 16_384


def as_reader(data: Any, schema: pa.Schema | None = None) -> pa.RecordBatchReader:
    """Record batches of Arrow data, of pandas, or of anything with Arrow's C stream interface.

    Args:
        data: a Table, RecordBatch, RecordBatchReader, pandas or Polars DataFrame, ...
        schema: what to cast to, such as the schema that the reader gave: other libraries drop what
            it says of Python types.

    Raises:
        SavepointWriteError: the data is none of these, or does not fit the schema.
    """
    reader = _reader(data)
    return reader if schema is None else _cast(reader, schema)


def _reader(data: Any) -> pa.RecordBatchReader:
    if isinstance(data, pa.RecordBatchReader):
        return data
    if isinstance(data, pa.Table):
        return data.to_reader(BATCH_ROWS)
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data]).to_reader(BATCH_ROWS)
    if type(data).__module__.partition(".")[0] == "pandas":
        return _from_pandas(data).to_reader(BATCH_ROWS)
    if hasattr(data, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(data)
    msg = f"state is made from Arrow tables, not from a {type(data).__qualname__}"
    raise SavepointWriteError(
        msg, remedy="give a pyarrow Table or RecordBatchReader, or a pandas or Polars DataFrame"
    )


def _from_pandas(data: Any) -> pa.Table:
    try:
        return pa.Table.from_pandas(data, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError, AttributeError) as error:
        msg = f"pandas data does not fit in Arrow columns: {error}"
        raise SavepointWriteError(
            msg, remedy="give a DataFrame whose columns have values of one type each"
        ) from error


def _cast(reader: pa.RecordBatchReader, schema: pa.Schema) -> pa.RecordBatchReader:
    missing = [name for name in schema.names if name not in reader.schema.names]
    if missing:
        raise _no_column(missing[0], reader.schema.names)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            try:
                arrays = [batch.column(field.name).cast(field.type) for field in schema]
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                msg = f"the data does not fit the given schema: {error}"
                raise SavepointWriteError(
                    msg, remedy="cast the data, or leave schema out"
                ) from error
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Its batches, none with more than BATCH_ROWS rows."""
    for batch in reader:
        for at in range(0, batch.num_rows, BATCH_ROWS):
            yield batch.slice(at, BATCH_ROWS)


def require(schema: pa.Schema, names: Iterable[str]) -> None:
    """Check that columns are there, once each.

    Raises:
        SavepointWriteError: one is missing or ambiguous.
    """
    for name in names:
        found = schema.names.count(name)
        if found == 0:
            raise _no_column(name, schema.names)
        if found > 1:
            msg = f"the data has {found} columns '{name}'"
            raise SavepointWriteError(msg, remedy="rename all but one")


def _no_column(name: str, names: Sequence[str]) -> SavepointWriteError:
    has = ", ".join(names) or "none"
    msg = f"the data has no column '{name}'{did_you_mean(name, names)}; it has: {has}"
    return SavepointWriteError(msg, remedy="rename the column, or say which one it is")


def plain_key_type(kind: pa.DataType) -> pa.DataType:
    """The type as streams have it: other libraries prefer the large or dictionary forms.

    >>> plain_key_type(pa.large_string())
    DataType(string)
    """
    if pat.is_dictionary(kind):
        return plain_key_type(kind.value_type)
    if pat.is_large_string(kind) or pat.is_string_view(kind):
        return pa.string()
    if pat.is_large_binary(kind) or pat.is_binary_view(kind):
        return pa.binary()
    return kind

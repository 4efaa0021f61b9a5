"""Lines of JSON objects to Arrow columns: the one place that calls Arrow's JSON reader."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.json as pajson

#: An object longer than this is not read to infer a schema, in bytes.
_SAMPLE_BLOCK_BYTES = 1 << 24


def json_columns(lines: bytes, schema: pa.Schema) -> pa.RecordBatch:
    r"""Read objects, one a line, as one batch of exactly this schema.

    Fields that are missing become null, others are ignored. Blank lines are skipped.

    Args:
        lines: UTF-8 text; at least one object.

    Raises:
        pa.ArrowInvalid: not JSON, or a value that is not of its column's type.
        pa.ArrowNotImplementedError: a value of a kind that Arrow does not read into the column.

    >>> json_columns(b'{"a": 1, "b": 2}\n{}', pa.schema([("a", pa.int64())])).to_pylist()
    [{'a': 1}, {'a': None}]
    """
    table = pajson.read_json(
        io.BytesIO(lines),
        read_options=_options(len(lines) + 1),
        parse_options=pajson.ParseOptions(
            explicit_schema=schema, unexpected_field_behavior="ignore"
        ),
    )
    columns = table.select(schema.names).cast(schema).combine_chunks()
    return columns.to_batches()[0]


def inferred_schema(lines: bytes) -> pa.Schema:
    """The columns that a sample of objects has.

    Raises:
        pa.ArrowInvalid: not JSON, or values of two types in one column.
    """
    return pajson.read_json(io.BytesIO(lines), read_options=_options(_SAMPLE_BLOCK_BYTES)).schema


def _options(block_bytes: int) -> pajson.ReadOptions:
    # Callers have threads of their own; one block holds all, so that no line is cut.
    return pajson.ReadOptions(use_threads=False, block_size=block_bytes)

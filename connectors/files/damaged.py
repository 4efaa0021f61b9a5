"""A file that a library cannot read, told by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from lesto.connectors.errors import UnreadableFileError


@contextmanager
def readable(path: str, kind: str) -> Iterator[None]:
    """Turn what Arrow raises on a file into an error that names the file.

    Args:
        path: the file.
        kind: what it should be, such as ``Parquet``.

    Raises:
        UnreadableFileError: it is of another format, or damaged.
    """
    try:
        yield
    except pa.ArrowInvalid as error:
        why = str(error).splitlines()[0]
        msg = f"'{path}' cannot be read as {kind}: {why}"
        remedy = "check the file, or say what it is with format= (csv, jsonl, parquet, text)"
        raise UnreadableFileError(msg, remedy=remedy) from None

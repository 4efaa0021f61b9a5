"""A split of a file: a range of bytes (text) or of row groups (Parquet), with its progress."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import msgspec

from lesto.common.source import SourceSplit


@dataclass(frozen=True, slots=True)
class FileSplit:
    """Part ``[start, end)`` of a file.

    Attributes:
        uri: as the user gave it; decides the file system.
        path: of the file inside the file system.
        start: first byte or row group.
        end: one past the last.
        position: next byte or row group to read.
        skip: records of row group ``position`` already read (Parquet).
    """

    uri: str
    path: str
    start: int
    end: int
    position: int
    skip: int = 0

    @property
    def split_id(self) -> str:
        """Unique in the source."""
        return f"{self.path}#{self.start}"


def encode_split(split: SourceSplit) -> bytes:
    """A file split as msgpack."""
    assert isinstance(split, FileSplit)
    return msgspec.msgpack.encode(astuple(split))


def decode_split(data: bytes) -> FileSplit:
    """Inverse of ``encode_split``."""
    return FileSplit(*msgspec.msgpack.decode(data, type=tuple[str, str, int, int, int, int]))

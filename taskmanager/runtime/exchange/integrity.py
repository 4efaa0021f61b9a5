"""Checksums of messages on data channels: what arrives is what was sent, byte for byte.

TCP's own checksum is 16 bits and ends at each hop; HTTP/2 and Arrow IPC have none. Without TLS a
changed byte would become a wrong record. The metadata of a message carries its CRC-32 in front, and
within it that of the Arrow body. Runs on the channels' I/O threads.

The body is summed column by column in a form that does not depend on where an array begins in its
buffers: a slice is sent by its values.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.types as pat

from lesto.taskmanager.runtime.errors import ChannelProtocolError

_CRC_BYTES: Final = 4


def seal(message: bytes) -> bytes:
    """The message with its checksum in front."""
    return zlib.crc32(message).to_bytes(_CRC_BYTES, "little") + message


def unseal(sealed: bytes, name: str) -> bytes:
    """The message.

    Raises:
        ChannelProtocolError: it was changed on the way.
    """
    message = sealed[_CRC_BYTES:]
    if len(sealed) < _CRC_BYTES or zlib.crc32(message) != int.from_bytes(
        sealed[:_CRC_BYTES], "little"
    ):
        raise damaged(name)
    return message


def damaged(name: str) -> ChannelProtocolError:
    """The error of a message that was changed on the way."""
    return ChannelProtocolError(
        f"channel {name}: a message was damaged on the network: its checksum is wrong",
        remedy="the job restarts by itself; if it comes again, look for broken memory or hardware",
    )


def body_checksum(batch: pa.RecordBatch) -> int:
    """CRC-32 of a batch's values."""
    crc = len(batch)
    for column in batch.columns:
        crc = _column(column, crc)
    return crc


def _column(array: Any, crc: int) -> int:
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _column(array.storage, crc)
    if not len(array) or pat.is_null(kind):
        return crc
    if array.null_count:
        crc = zlib.crc32(array.is_valid().to_numpy(zero_copy_only=False), crc)
    if pat.is_boolean(kind):
        return zlib.crc32(array.fill_null(False).to_numpy(zero_copy_only=False), crc)
    if pat.is_primitive(kind) or pat.is_decimal(kind) or pat.is_fixed_size_binary(kind):
        return _fixed(array, kind.bit_width // 8, crc)
    if pat.is_string(kind) or pat.is_binary(kind):
        return _variable(array, np.int32, crc)
    if pat.is_large_string(kind) or pat.is_large_binary(kind):
        return _variable(array, np.int64, crc)
    if pat.is_dictionary(kind):
        return _column(array.dictionary, _column(array.indices, crc))
    if pat.is_struct(kind):
        for index in range(kind.num_fields):
            crc = _column(array.field(index), crc)
        return crc
    # Lists, maps, views: rare, and their encoding does not change on the way.
    return zlib.crc32(pa.RecordBatch.from_arrays([array], ["_"]).serialize(), crc)


def _fixed(array: Any, width: int, crc: int) -> int:
    values = array.buffers()[1]
    if values is None:
        return crc
    start = array.offset * width
    return zlib.crc32(memoryview(values)[start : start + len(array) * width], crc)


def _variable(array: Any, width: type, crc: int) -> int:
    _, raw, values = array.buffers()
    first = array.offset
    offsets: Any = np.frombuffer(raw, width)[first : first + len(array) + 1]
    crc = zlib.crc32(offsets - offsets[0], crc)
    if values is None:
        return crc
    return zlib.crc32(memoryview(values)[int(offsets[0]) : int(offsets[-1])], crc)

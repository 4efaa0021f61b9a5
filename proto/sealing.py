"""Checksums of control messages: between machines TCP's 16 bits and HTTP/2's none are not enough.

A message carries the CRC-32 of itself without that field. A changed byte in an assigned split or a
deployment would otherwise become lost data, or an error that looks like the user's.
"""

from __future__ import annotations

import zlib
from typing import TypeVar

from lesto.proto import runtime_pb2

M = TypeVar("M", runtime_pb2.FromTaskManager, runtime_pb2.ToTaskManager)


def seal(message: M) -> M:
    """Put the checksum into the message, which nobody changes any more."""
    message.checksum = 0
    message.checksum = _checksum(message)
    return message


def is_intact(message: M) -> bool:
    """Whether the message is what was sent; one without a checksum is taken as it is."""
    given = message.checksum
    if not given:
        return True
    message.checksum = 0
    whole = _checksum(message) == given
    message.checksum = given
    return whole


def _checksum(message: M) -> int:
    # Never 0, which means that there is none.
    return zlib.crc32(message.SerializeToString(deterministic=True)) or 1

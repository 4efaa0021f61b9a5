"""Messages between the REST server and the process of a SQL session, over a pipe each way.

A message is a JSON object and, behind it, bytes that are passed on unread: the lengths of both in
four bytes each, then both.
"""

from __future__ import annotations

import json
import struct
from typing import IO, Any, Final

_HEAD: Final = struct.Struct("!II")
#: Longest JSON and longest bytes of a message.
MAX_HEADER_BYTES: Final = 8 << 20
MAX_PAYLOAD_BYTES: Final = 32 << 20


def write_frame(stream: IO[bytes], header: dict[str, Any], payload: bytes = b"") -> None:
    """Write a message.

    Raises:
        ValueError: it is too long.
        OSError: nobody reads.
    """
    text = json.dumps(header).encode()
    if len(text) > MAX_HEADER_BYTES or len(payload) > MAX_PAYLOAD_BYTES:
        msg = f"a message has {len(text)} + {len(payload)} bytes"
        raise ValueError(msg)
    stream.write(_HEAD.pack(len(text), len(payload)) + text + payload)
    stream.flush()


def read_frame(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Read a message; None: there is no further one.

    Raises:
        ValueError: what comes is none.
    """
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    text_size, payload_size = _HEAD.unpack(head)
    if text_size > MAX_HEADER_BYTES or payload_size > MAX_PAYLOAD_BYTES:
        msg = f"a message would have {text_size} + {payload_size} bytes"
        raise ValueError(msg)
    text = stream.read(text_size)
    payload = stream.read(payload_size)
    if len(text) < text_size or len(payload) < payload_size:
        return None
    header = json.loads(text)
    if not isinstance(header, dict):
        msg = "a message is no object"
        raise ValueError(msg)
    return header, payload

"""Log files of other processes, streamed in bounded pieces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from starlette.responses import StreamingResponse

from lesto.jobmanager.server.rest.errors import RangeError
from lesto.proto import runtime_pb2

#: Bytes that one question asks for, and that one answer sends at most; logs rotate well below.
PIECE_BYTES: Final = 256 * 1024
ANSWER_BYTES_MAX: Final = 256 * 1024 * 1024
TEXT: Final = "text/plain; charset=utf-8"
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

#: Reads a piece: (offset, bytes) -> answer.
ReadPiece = Callable[[int, int], runtime_pb2.ReadLogAnswer]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file: from ``start`` to before ``end``, both in bytes."""

    start: int
    end: int


def part_of(header: str, size: int) -> Part | None:
    """Return the part that a Range header asks for; None: it asks for none that can be given.

    Args:
        header: empty: there is none.
        size: of the file.

    Raises:
        RangeError: the file does not have it.

    >>> part_of("bytes=10-19", 100), part_of("bytes=-5", 100), part_of("lines=1-2", 100)
    (Part(start=10, end=20), Part(start=95, end=100), None)
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.group(1) == match.group(2) == "":
        return None  # a server may ignore what it does not understand
    first, last = match.groups()
    if not first:
        part = Part(max(0, size - int(last)), size)
    else:
        part = Part(int(first), min(size, int(last) + 1) if last else size)
    if part.start >= part.end:
        msg = f"the file has {size} bytes"
        raise RangeError(msg, remedy="Ask for a part of it.")
    return part


def tail(offset: int, size: int) -> Part:
    """Return the part from an offset on; a negative one counts from the end.

    >>> tail(-10, 100), tail(200, 100)
    (Part(start=90, end=100), Part(start=100, end=100))
    """
    start = offset if offset >= 0 else max(0, size + offset)
    return Part(min(start, size), size)


def pieces(read: ReadPiece, part: Part) -> Iterator[bytes]:
    """Yield a part of a file; ends early where the file has become shorter."""
    position = part.start
    end = min(part.end, part.start + ANSWER_BYTES_MAX)
    while position < end:
        piece = read(position, min(PIECE_BYTES, end - position))
        # A rotated file begins anew: what follows is not what was asked for.
        if not piece.content or piece.offset != position:
            return
        yield piece.content
        position += len(piece.content)


def response(
    content: Iterator[bytes], part: Part, size: int, *, partial: bool
) -> StreamingResponse:
    """Return the streamed answer.

    Args:
        content: of the part.
        part: of the file.
        size: of the whole file, which may grow meanwhile.
        partial: the answer is to a Range header.
    """
    headers = {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
        "X-Log-Size": str(size),
        "X-Log-Offset": str(part.start),
    }
    if partial:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    return StreamingResponse(
        content, status_code=206 if partial else 200, headers=headers, media_type=TEXT
    )

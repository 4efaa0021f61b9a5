"""What to do with a record that cannot be read: fail, skip, or put it aside."""

from __future__ import annotations

import enum
import hashlib
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from lesto.connectors.errors import ConnectorConfigError, MalformedRecordError
from lesto.connectors.files.listing import resolve

#: Longest part of a bad record that an error message shows, in characters.
SHOWN_CHARACTERS_MAX: Final = 120


class OnError(enum.Enum):
    """The user's choice."""

    FAIL = "fail"
    SKIP = "skip"
    DEAD_LETTER = "dead-letter"


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A line that could not be read.

    Attributes:
        offset: byte offset of the line in the file.
        raw: the line without its end.
        why: what is wrong with it.
    """

    offset: int
    raw: bytes
    why: str


@dataclass(frozen=True, slots=True)
class MalformedPolicy:
    """The user's choice and where dead letters go."""

    on_error: OnError = OnError.FAIL
    dead_letter_uri: str | None = None

    @staticmethod
    def of(on_error: str, dead_letter_path: str | None) -> MalformedPolicy:
        """From the user's arguments.

        Raises:
            ConnectorConfigError: unknown choice, or dead letters without a place for them.
        """
        try:
            choice = OnError(on_error)
        except ValueError:
            msg = f"on_error='{on_error}' is not known"
            raise ConnectorConfigError(msg, remedy="use 'fail', 'skip' or 'dead-letter'") from None
        if (choice is OnError.DEAD_LETTER) != (dead_letter_path is not None):
            msg = "on_error='dead-letter' and dead_letter_path go together"
            raise ConnectorConfigError(msg, remedy="give both or neither")
        return MalformedPolicy(choice, dead_letter_path)

    def handle(
        self, path: str, line_of: LineCounter, chunk_offset: int, bad: Sequence[BadRecord]
    ) -> None:
        """Apply the choice to the bad records of one chunk.

        Raises:
            MalformedRecordError: the choice is to fail; names file and line of the first bad
            record.
        """
        if self.on_error is OnError.SKIP:
            return
        if self.on_error is OnError.DEAD_LETTER:
            self._write(path, line_of, chunk_offset, bad)
            return
        first = bad[0]
        text = first.raw.decode("utf-8", "replace")
        shown = text if len(text) <= SHOWN_CHARACTERS_MAX else text[:SHOWN_CHARACTERS_MAX] + "..."
        msg = f"malformed record: {first.why}: {shown!r}"
        raise MalformedRecordError(
            msg,
            location=f"{path}:{line_of.line(first.offset)}",
            remedy="mend the line, or read with on_error='skip' or on_error='dead-letter'"
            " (a table: set its format's ignore-parse-errors)",
        )

    def _write(
        self, path: str, line_of: LineCounter, chunk_offset: int, bad: Sequence[BadRecord]
    ) -> None:
        # The name depends only on the place in the input: a replay after a failure overwrites the
        # same
        # file with the same content, so dead letters are exactly-once too.
        assert self.dead_letter_uri is not None
        system, root = resolve(self.dead_letter_uri)
        system.create_dir(root, recursive=True)
        digest = hashlib.sha256(path.encode()).hexdigest()[:16]
        name = f"{posixpath.basename(path)}-{digest}-{chunk_offset:012d}.jsonl"
        lines = [
            {
                "file": path,
                "line": line_of.line(b.offset),
                "offset": b.offset,
                "error": b.why,
                "raw": b.raw.decode("utf-8", "replace"),
            }
            for b in bad
        ]
        with system.open_output_stream(posixpath.join(root, name)) as out:
            out.write(msgspec.json.Encoder().encode_lines(lines))


class LineCounter:
    """Line numbers from byte offsets; counts only when an error has to be shown."""

    def __init__(self, uri: str, path: str) -> None:
        self._uri = uri
        self._path = path

    def line(self, offset: int) -> int:
        """1-based number of the line that starts at byte ``offset``."""
        system, _ = resolve(self._uri)
        lines = 1
        with system.open_input_file(self._path) as file:
            left = offset
            while left > 0:
                block = file.read(min(left, 1 << 20))
                if not block:
                    break
                lines += block.count(b"\n")
                left -= len(block)
        return lines

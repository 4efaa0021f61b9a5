"""Takes the file out of a multipart body. The only module that knows python-multipart."""

from __future__ import annotations

from typing import IO, Final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from lesto.jobmanager.server.submission.errors import InvalidUploadError
from lesto.jobmanager.server.submission.store import Artifact, ArtifactStore, Incoming

#: Parts of a body: the file, and fields that are passed over.
MAX_PARTS: Final = 16
MAX_HEADER_BYTES: Final = 4096
#: What a body has besides the file: borders, headers, other fields.
MAX_OVERHEAD_BYTES: Final = 64 * 1024
_CHUNK_BYTES: Final = 1 << 18
_FIELD: Final = b"jarfile"


def store_upload(body: IO[bytes], content_type: str, store: ArtifactStore) -> Artifact:
    """Put the file of the field ``jarfile`` into the store.

    Args:
        body: the whole body, at its start.
        content_type: header of the request.
        store: takes it.

    Raises:
        InvalidUploadError: the body is not multipart, or has not exactly one such file.
        LestoError: the store does not take it.
    """
    kind, parameters = parse_options_header(content_type)
    boundary = parameters.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        msg = "the body is not multipart/form-data"
        raise InvalidUploadError(msg, remedy=_REMEDY)
    with store.receive() as incoming:
        reader = _Reader(incoming)
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": reader.part_begin,
                "on_header_field": reader.header_field,
                "on_header_value": reader.header_value,
                "on_header_end": reader.header_end,
                "on_headers_finished": reader.headers_finished,
                "on_part_data": reader.part_data,
                "on_end": reader.end,
            },
        )
        try:
            while chunk := body.read(_CHUNK_BYTES):
                parser.write(chunk)
            parser.finalize()
        except FormParserError as error:
            msg = "the multipart body is damaged"
            raise InvalidUploadError(msg, remedy=_REMEDY) from error
        if not reader.complete:
            msg = "the multipart body ends in the middle"
            raise InvalidUploadError(msg, remedy=_REMEDY)
        if reader.filename is None:
            msg = "no file is in the field jarfile"
            raise InvalidUploadError(msg, remedy=_REMEDY)
        return incoming.finish(reader.filename)


_REMEDY: Final = "Send it as `curl -F jarfile=@job.py ADDRESS/jars/upload` does."


class _Reader:
    """Hears of the parts of a body.

    Attributes:
        filename: as the client calls the file; None: it has not come.
        complete: whether the body has come to its end.
    """

    def __init__(self, incoming: Incoming) -> None:
        self.filename: str | None = None
        self.complete = False
        self._incoming = incoming
        self._parts = 0
        self._wanted = False
        self._name = self._value = self._disposition = b""

    def part_begin(self) -> None:
        """A part begins."""
        self._parts += 1
        if self._parts > MAX_PARTS:
            msg = f"the body has more than {MAX_PARTS} parts"
            raise InvalidUploadError(msg, remedy=_REMEDY)
        self._wanted = False
        self._disposition = b""

    def header_field(self, data: bytes, start: int, end: int) -> None:
        """A piece of a header's name."""
        self._name = self._bounded(self._name + data[start:end])

    def header_value(self, data: bytes, start: int, end: int) -> None:
        """A piece of a header's value."""
        self._value = self._bounded(self._value + data[start:end])

    def _bounded(self, text: bytes) -> bytes:
        if len(text) > MAX_HEADER_BYTES:
            msg = f"a header of a part is longer than {MAX_HEADER_BYTES} bytes"
            raise InvalidUploadError(msg, remedy=_REMEDY)
        return text

    def header_end(self) -> None:
        """A header is complete."""
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def headers_finished(self) -> None:
        """The content of a part follows."""
        _, parameters = parse_options_header(self._disposition)
        if parameters.get(b"name") != _FIELD or b"filename" not in parameters:
            return
        if self.filename is not None:
            msg = "two files are in the field jarfile"
            raise InvalidUploadError(msg, remedy="Upload one after another.")
        self._wanted = True
        self.filename = parameters[b"filename"].decode(errors="replace")

    def part_data(self, data: bytes, start: int, end: int) -> None:
        """A piece of the content."""
        if self._wanted:
            self._incoming.write(data[start:end])

    def end(self) -> None:
        """The body is complete."""
        self.complete = True

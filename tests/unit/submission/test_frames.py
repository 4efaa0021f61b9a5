"""Messages on the pipe of a SQL session."""

import io
import struct

import pytest

from lesto.jobmanager.server.submission.frames import (
    MAX_PAYLOAD_BYTES,
    read_frame,
    write_frame,
)


def test_messages_come_as_they_went():
    stream = io.BytesIO()
    write_frame(stream, {"id": 1, "text": "ü"}, b"\0\xff")
    write_frame(stream, {})
    stream.seek(0)
    assert read_frame(stream) == ({"id": 1, "text": "ü"}, b"\0\xff")
    assert read_frame(stream) == ({}, b"")
    assert read_frame(stream) is None


@pytest.mark.parametrize("cut", [1, 7, 9, 12])
def test_a_half_is_the_end(cut):
    stream = io.BytesIO()
    write_frame(stream, {"a": 1}, b"payload")
    assert read_frame(io.BytesIO(stream.getvalue()[:cut])) is None


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("!II", 2, MAX_PAYLOAD_BYTES + 1) + b"{}",
        struct.pack("!II", 2**31, 0),
        struct.pack("!II", 2, 0) + b"[]",
        struct.pack("!II", 2, 0) + b"{x",
    ],
)
def test_what_is_no_message_is_refused(content):
    with pytest.raises(ValueError, match=r"message|Expecting"):
        read_frame(io.BytesIO(content))


def test_too_long_a_message_is_not_sent():
    with pytest.raises(ValueError, match="message"):
        write_frame(io.BytesIO(), {}, b"x" * (MAX_PAYLOAD_BYTES + 1))

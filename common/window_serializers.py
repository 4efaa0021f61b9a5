"""Serializers of windows, as in ``pyflink.datastream.window``.

Lesto writes windows into state itself; custom assigners of ported programs name these.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Final

from lesto.common.serializer import TypeSerializer
from lesto.common.windowing import CountWindow, GlobalWindow, TimeWindow

_TIMES: Final = struct.Struct(">qq")
_ID: Final = struct.Struct(">q")


class TimeWindowSerializer(TypeSerializer[TimeWindow]):
    """Start and end, 8 bytes each.

    >>> out = BytesIO()
    >>> TimeWindowSerializer().serialize(TimeWindow(0, 5), out)
    >>> TimeWindowSerializer().deserialize(BytesIO(out.getvalue())) == TimeWindow(0, 5)
    True
    """

    def serialize(self, element: TimeWindow, stream: BytesIO) -> None:
        """Write a window."""
        stream.write(_TIMES.pack(element.start, element.end))

    def deserialize(self, stream: BytesIO) -> TimeWindow:
        """Read a window."""
        return TimeWindow(*_TIMES.unpack(stream.read(_TIMES.size)))


class CountWindowSerializer(TypeSerializer[CountWindow]):
    """The window's number, 8 bytes."""

    def serialize(self, element: CountWindow, stream: BytesIO) -> None:
        """Write a window."""
        stream.write(_ID.pack(element.id))

    def deserialize(self, stream: BytesIO) -> CountWindow:
        """Read a window."""
        return CountWindow(*_ID.unpack(stream.read(_ID.size)))


class GlobalWindowSerializer(TypeSerializer[GlobalWindow]):
    """One byte: there is one window."""

    def serialize(self, element: GlobalWindow, stream: BytesIO) -> None:
        """Write the window."""
        stream.write(b"\x00")

    def deserialize(self, stream: BytesIO) -> GlobalWindow:
        """Read the window."""
        stream.read(1)
        return GlobalWindow()

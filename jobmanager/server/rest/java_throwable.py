"""An error in the only form that Flink's Java clients read: a serialised Java object.

``failure-cause`` of an operation has the member ``serialized-throwable``: an object of
``org.apache.flink.util.SerializedThrowable`` in Java's serialisation, Base64. Without it the
``flink`` command waits for an answer that it can read. This writes that one object and reads none.
"""

from __future__ import annotations

import base64
import struct
from typing import Final

#: Characters of each text; Java's short strings hold 64 KiB of UTF-8.
TEXT_CHARACTERS_MAX: Final = 16_000

_MAGIC: Final = b"\xac\xed\x00\x05"
_NULL: Final = b"\x70"
_REFERENCE: Final = b"\x71"
_CLASS: Final = b"\x72"
_OBJECT: Final = b"\x73"
_STRING: Final = b"\x74"
_ARRAY: Final = b"\x75"
_END: Final = b"\x78"
_SERIALIZABLE: Final = 2
_WITH_WRITE_METHOD: Final = 3
#: The number that a stream gives its first object; each class, object and string takes one more.
_FIRST_HANDLE: Final = 0x7E0000

#: serialVersionUID of each class.
_WRAPPER_UID: Final = 7284183123441947635
_EXCEPTION_UID: Final = -3387516993124229948
_THROWABLE_UID: Final = -3042686055658047285
_FRAMES_UID: Final = 0x02462A3C3CFD2239

_TEXT_FIELD: Final = "Ljava/lang/String;"


class _Stream:
    """Writes Java's serialisation, counting handles."""

    def __init__(self) -> None:
        self.content = bytearray(_MAGIC)
        self._handles = 0
        self._strings: dict[str, int] = {}

    def handle(self) -> int:
        """Take the next handle."""
        self._handles += 1
        return _FIRST_HANDLE + self._handles - 1

    def utf(self, text: str) -> None:
        """Write a length and a text, without a handle."""
        encoded = _modified_utf8(text)
        self.content += struct.pack(">H", len(encoded)) + encoded

    def string(self, text: str) -> None:
        """Write a string object; an earlier equal one by its handle, as field types must be."""
        if text in self._strings:
            self.content += _REFERENCE + struct.pack(">I", self._strings[text])
            return
        self._strings[text] = self.handle()
        self.content += _STRING
        self.utf(text)

    def begin_class(self, name: str, uid: int, flags: int, fields: list[tuple[str, str]]) -> None:
        """Write a class's description up to its annotations; ``fields``: name and type."""
        self.content += _CLASS
        self.utf(name)
        self.content += struct.pack(">q", uid)
        self.handle()
        self.content += struct.pack(">BH", flags, len(fields))
        for field, kind in fields:
            self.content += kind[:1].encode()
            self.utf(field)
            self.string(kind)
        self.content += _END


def serialized_throwable(name: str, message: str, stack: str) -> str:
    """Return the object in Base64.

    Args:
        name: of the error; the client shows it before the message.
        message: what it says.
        stack: what is printed of it.
    """
    message, stack = message[:TEXT_CHARACTERS_MAX], stack[:TEXT_CHARACTERS_MAX]
    stream = _Stream()
    stream.content += _OBJECT
    stream.begin_class(
        "org.apache.flink.util.SerializedThrowable",
        _WRAPPER_UID,
        _SERIALIZABLE,
        [
            ("fullStringifiedStackTrace", _TEXT_FIELD),
            ("originalErrorClassName", _TEXT_FIELD),
            ("serializedException", "[B"),
        ],
    )
    stream.begin_class("java.lang.Exception", _EXCEPTION_UID, _SERIALIZABLE, [])
    stream.begin_class(
        "java.lang.Throwable",
        _THROWABLE_UID,
        _WITH_WRITE_METHOD,
        [
            ("cause", "Ljava/lang/Throwable;"),
            ("detailMessage", _TEXT_FIELD),
            ("stackTrace", "[Ljava/lang/StackTraceElement;"),
            ("suppressedExceptions", "Ljava/util/List;"),
        ],
    )
    stream.content += _NULL  # Throwable's own parent
    own = stream.handle()
    # A throwable whose cause is itself has none.
    stream.content += _REFERENCE + struct.pack(">I", own)
    stream.string(message)
    stream.content += _ARRAY
    stream.begin_class("[Ljava.lang.StackTraceElement;", _FRAMES_UID, _SERIALIZABLE, [])
    stream.content += _NULL
    stream.handle()
    stream.content += struct.pack(">I", 0)
    stream.content += _NULL  # suppressed exceptions
    stream.content += _END  # of what Throwable's write method wrote
    stream.string(stack)
    stream.string(name)
    stream.content += _NULL  # the original exception, which is no Java object
    return base64.b64encode(bytes(stream.content)).decode()


def _modified_utf8(text: str) -> bytes:
    """Java's: zero as two bytes, characters beyond the first plane as two surrogates.

    >>> _modified_utf8("a" + chr(0) + "é").hex(" ")
    '61 c0 80 c3 a9'
    """
    if text.isascii() and "\0" not in text:
        return text.encode()
    units = text.encode("utf-16-be", "surrogatepass")
    out = bytearray()
    for (unit,) in struct.iter_unpack(">H", units):
        if 0 < unit < 0x80:
            out.append(unit)
        elif unit < 0x800:
            out += bytes((0xC0 | unit >> 6, 0x80 | unit & 0x3F))
        else:
            out += bytes((0xE0 | unit >> 12, 0x80 | unit >> 6 & 0x3F, 0x80 | unit & 0x3F))
    return bytes(out)

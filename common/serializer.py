"""Serializers, as in ``pyflink.common.serializer``.

Lesto encodes state and records itself and asks no serializer; programs that have some keep them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from io import BytesIO
from typing import Final, Generic, TypeVar

T = TypeVar("T")

#: The namespace of state that has none.
void: Final = b""


class TypeSerializer(ABC, Generic[T]):
    """Writes values to a stream and reads them back."""

    @abstractmethod
    def serialize(self, element: T, stream: BytesIO) -> None:
        """Write a value."""

    @abstractmethod
    def deserialize(self, stream: BytesIO) -> T:
        """Read a value."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class VoidNamespaceSerializer(TypeSerializer[bytes]):
    """Of no namespace: nothing is written."""

    def serialize(self, element: bytes, stream: BytesIO) -> None:
        """Nothing."""

    def deserialize(self, stream: BytesIO) -> bytes:
        """Nothing."""
        return void

"""Slot sharing groups and sizes of memory, in PyFlink's words."""

from __future__ import annotations

from functools import total_ordering
from typing import Final

from lesto.client.datastream.checks import wrong
from lesto.common.checking import is_a

_KIBI: Final = 10
_MEBI: Final = 20
_GIBI: Final = 30
_TEBI: Final = 40


@total_ordering
class MemorySize:
    """A number of bytes, with PyFlink's factories.

    >>> MemorySize.of_mebi_bytes(2).get_kibi_bytes()
    2048
    """

    def __init__(self, bytes_size: int) -> None:
        if not is_a(bytes_size, int) or bytes_size < 0:
            wrong("MemorySize", "a number of bytes", bytes_size)
        self._bytes = bytes_size

    @staticmethod
    def of_mebi_bytes(mebi_bytes: int) -> MemorySize:
        """MiB."""
        return MemorySize(mebi_bytes << _MEBI)

    def get_bytes(self) -> int:
        """Bytes."""
        return self._bytes

    def get_kibi_bytes(self) -> int:
        """Whole KiB."""
        return self._bytes >> _KIBI

    def get_mebi_bytes(self) -> int:
        """Whole MiB."""
        return self._bytes >> _MEBI

    def get_gibi_bytes(self) -> int:
        """Whole GiB."""
        return self._bytes >> _GIBI

    def get_tebi_bytes(self) -> int:
        """Whole TiB."""
        return self._bytes >> _TEBI

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemorySize) and other._bytes == self._bytes

    def __lt__(self, other: MemorySize) -> bool:
        return self._bytes < other._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __repr__(self) -> str:
        return f"{self._bytes} bytes"


class SlotSharingGroup:
    """Operators that may share slots. Slots have no declared resources: those of a group are kept
    and change nothing.
    """

    def __init__(self, name: str) -> None:
        if not is_a(name, str) or not name:
            wrong("SlotSharingGroup", "a name", name)
        self._name = name
        self._cpu_cores: float | None = None
        self._heap: MemorySize | None = None
        self._off_heap: MemorySize | None = None
        self._managed: MemorySize | None = None
        self._external: dict[str, float] = {}

    def get_name(self) -> str:
        """The name."""
        return self._name

    def get_cpu_cores(self) -> float | None:
        """Declared cores; None: not declared."""
        return self._cpu_cores

    def get_task_heap_memory(self) -> MemorySize | None:
        """Declared memory of functions; None: not declared."""
        return self._heap

    def get_task_off_heap_memory(self) -> MemorySize | None:
        """Declared memory outside of the interpreter; None: not declared."""
        return self._off_heap

    def get_managed_memory(self) -> MemorySize | None:
        """Declared memory of state; None: not declared."""
        return self._managed

    def get_external_resources(self) -> dict[str, float]:
        """Declared further resources by name."""
        return dict(self._external)

    def _content(self) -> tuple[object, ...]:
        external = tuple(sorted(self._external.items()))
        return (self._name, self._cpu_cores, self._heap, self._off_heap, self._managed, external)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SlotSharingGroup) and other._content() == self._content()

    def __hash__(self) -> int:
        return hash(self._content())

    @staticmethod
    def builder(name: str) -> SlotSharingGroup.Builder:
        """A builder."""
        return SlotSharingGroup.Builder(name)

    class Builder:
        """Flink's builder."""

        def __init__(self, name: str) -> None:
            self._group = SlotSharingGroup(name)

        def set_cpu_cores(self, cpu_cores: float) -> SlotSharingGroup.Builder:
            """Declare cores."""
            self._group._cpu_cores = float(cpu_cores)
            return self

        def set_task_heap_memory(self, task_heap_memory: MemorySize) -> SlotSharingGroup.Builder:
            """Declare memory of functions."""
            self._group._heap = task_heap_memory
            return self

        def set_task_heap_memory_mb(self, task_heap_memory_mb: int) -> SlotSharingGroup.Builder:
            """Declare memory of functions, in MiB."""
            return self.set_task_heap_memory(MemorySize.of_mebi_bytes(task_heap_memory_mb))

        def set_task_off_heap_memory(
            self, task_off_heap_memory: MemorySize
        ) -> SlotSharingGroup.Builder:
            """Declare memory outside of the interpreter."""
            self._group._off_heap = task_off_heap_memory
            return self

        def set_task_off_heap_memory_mb(
            self, task_off_heap_memory_mb: int
        ) -> SlotSharingGroup.Builder:
            """Declare memory outside of the interpreter, in MiB."""
            return self.set_task_off_heap_memory(MemorySize.of_mebi_bytes(task_off_heap_memory_mb))

        def set_managed_memory(self, managed_memory: MemorySize) -> SlotSharingGroup.Builder:
            """Declare memory of state."""
            self._group._managed = managed_memory
            return self

        def set_managed_memory_mb(self, managed_memory_mb: int) -> SlotSharingGroup.Builder:
            """Declare memory of state, in MiB."""
            return self.set_managed_memory(MemorySize.of_mebi_bytes(managed_memory_mb))

        def set_external_resource(self, name: str, value: float) -> SlotSharingGroup.Builder:
            """Declare a further resource, as GPUs."""
            self._group._external[name] = float(value)
            return self

        def build(self) -> SlotSharingGroup:
            """The group."""
            return self._group

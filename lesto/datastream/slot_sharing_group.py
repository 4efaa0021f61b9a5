"""Slot sharing groups. As in ``pyflink.datastream.slot_sharing_group``."""

from lesto.client.datastream.settings import MemorySize, SlotSharingGroup

__all__ = [
    "MemorySize",
    "SlotSharingGroup",
]

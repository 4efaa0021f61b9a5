"""Clocks of timers. As in ``pyflink.datastream.time_domain``."""

from lesto.common.time import TimeDomain

__all__ = [
    "TimeDomain",
]

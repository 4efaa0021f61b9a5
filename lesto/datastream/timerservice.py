"""Time and timers. As in ``pyflink.datastream.timerservice``."""

from lesto.common.functions import TimerService

__all__ = [
    "TimerService",
]

"""Numbers at the ends of time, as in ``pyflink.common.constants``."""

from __future__ import annotations

from typing import Final

from lesto.common.elements import MAX_TIMESTAMP, MIN_TIMESTAMP

#: The largest event time, the watermark of a stream that has ended (ms).
MAX_LONG_VALUE: Final = MAX_TIMESTAMP
#: The smallest event time, the watermark before the first (ms).
MIN_LONG_VALUE: Final = MIN_TIMESTAMP
#: The tag of the main output.
DEFAULT_OUTPUT_TAG: Final = ""

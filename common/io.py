"""Files as inputs, as in ``pyflink.common.io``."""

from __future__ import annotations

from typing import Any


class InputFormat:
    """What ``env.create_input`` reads; a format of files.

    Attributes:
        file_format: the format for ``FileSource``.
    """

    file_format: Any

    def __init__(self, file_format: Any, path: str | None = None) -> None:
        self.file_format = file_format
        self.path = path

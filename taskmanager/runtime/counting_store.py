"""A snapshot store that counts what it writes: files shared with earlier checkpoints are not
uploaded.
"""

from __future__ import annotations

from pathlib import Path

from lesto.proto.checkpoint_pb2 import FileHandle
from lesto.state.local_backup import BackedStore


class CountingStore(BackedStore):
    """Counts bytes written in one snapshot; one thread.

    Attributes:
        written_bytes: bytes written so far.
    """

    def __init__(self, root_uri: str, *, epoch: int, attempt: str) -> None:
        super().__init__(root_uri, epoch=epoch, attempt=attempt)
        self.written_bytes = 0

    def write_shared(self, local_path: str | Path, *, checkpoint_id: int = 0) -> FileHandle:
        """Upload a file that later checkpoints may reference too."""
        return self._counted(super().write_shared(local_path, checkpoint_id=checkpoint_id))

    def write_exclusive(
        self, checkpoint_id: int, content: bytes | str | Path, *, suffix: str = ""
    ) -> FileHandle:
        """Write a file for one checkpoint alone."""
        return self._counted(super().write_exclusive(checkpoint_id, content, suffix=suffix))

    def _counted(self, handle: FileHandle) -> FileHandle:
        self.written_bytes += handle.length_bytes
        return handle

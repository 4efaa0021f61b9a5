"""All that runs users' code for one JobManager's REST server."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.scratch import ScratchDirectory
from lesto.jobmanager.server.submission.runs import Scripts, Target
from lesto.jobmanager.server.submission.sessions import SqlSessions
from lesto.jobmanager.server.submission.store import ArtifactStore

#: Folder of the uploaded files, below ``web.upload.dir``.
_UPLOADS: Final = "lesto-web-upload"


class Submission:
    """The uploaded files and the processes that run them. Nothing is made before it is needed.

    Args:
        config: the cluster's.
        target: where jobs go.
    """

    def __init__(self, config: Configuration, target: Target) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._scratch: ScratchDirectory | None = None
        self._store: ArtifactStore | None = None
        self.scripts = Scripts(
            self.store, self.folder, config, target, config.get(options.WEB_SUBMIT_TIMEOUT)
        )
        self.sessions = SqlSessions(self.folder, config, target)

    def store(self) -> ArtifactStore:
        """The uploaded files."""
        with self._lock:
            if self._store is None:
                self._store = ArtifactStore(self._upload_folder())
            return self._store

    def folder(self) -> Path:
        """Below it each process has a folder of its own."""
        with self._lock:
            return self._temporary()

    def _temporary(self) -> Path:
        if self._scratch is None:
            self._scratch = ScratchDirectory("submission", self._config.get(options.TMP_DIRS))
        return self._scratch.path

    def _upload_folder(self) -> Path:
        named = self._config.get(options.WEB_UPLOAD_DIR)
        if named:
            return Path(named).expanduser() / _UPLOADS
        durable = self._config.get(options.HA_STORAGE_DIR) or ""
        if durable.startswith("file://"):
            durable = durable.removeprefix("file://")
        if durable and "://" not in durable:
            return Path(durable) / _UPLOADS
        return self._temporary() / "uploads"

    def close(self) -> None:
        """Kill what runs and remove what is temporary."""
        self.scripts.stop()
        self.sessions.stop()
        with self._lock:
            if self._scratch is not None:
                self._scratch.close()
                self._scratch = None
            self._store = None

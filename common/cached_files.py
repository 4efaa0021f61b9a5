"""Files that functions read where they run, registered under a name with the job."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from lesto.common.errors import Domain, LestoError, did_you_mean

#: Between the parts of one entry of ``pipeline.cached-files``.
_EXECUTABLE: Final = "executable:"


class UnknownCachedFileError(LestoError):
    """A function asks for a file that was not registered."""

    code = "LESTO-6014"
    domain = Domain.USER
    retryable = False


class CachedFileError(LestoError):
    """A file that the job registered is not there."""

    code = "LESTO-3902"
    domain = Domain.EXTERNAL


def entry(path: str, *, executable: bool) -> str:
    """An entry of ``pipeline.cached-files``: a URI or an absolute path, marked if executable."""
    return f"{_EXECUTABLE}{path}" if executable else path


class DistributedCache:
    """What ``RuntimeContext.get_distributed_cache()`` gives.

    Args:
        files: entries by name.
        folder: for copies of files on other storage; one for all functions of a slot.
    """

    def __init__(self, files: Mapping[str, str], folder: str) -> None:
        self._files = files
        self._folder = Path(folder) / "cached-files"

    def get_file(self, name: str) -> str:
        """Local path of the file; the first call copies it from remote storage if it is there.

        Raises:
            UnknownCachedFileError: no file of that name was registered.
            CachedFileError: it cannot be read.
        """
        found = self._files.get(name)
        if found is None:
            msg = f"no cached file {name!r} was registered{did_you_mean(name, self._files)}"
            raise UnknownCachedFileError(
                msg, remedy="call env.register_cached_file(path, name) before execute()"
            )
        executable = found.startswith(_EXECUTABLE)
        uri = found.removeprefix(_EXECUTABLE)
        path = self._local(uri)
        if path is None:
            path = self._copy(name, uri)
        if not path.exists():
            msg = f"the cached file {name!r} is not at {path} on this machine"
            raise CachedFileError(
                msg, remedy="put it on a path that all machines see, or on object storage"
            )
        if executable and path.is_file() and not os.access(path, os.X_OK):
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    @staticmethod
    def _local(uri: str) -> Path | None:
        parts = urlsplit(uri)
        if parts.scheme == "file":
            return Path(unquote(parts.path))
        return Path(uri) if not parts.scheme else None

    def _copy(self, name: str, uri: str) -> Path:
        from pyarrow import ArrowException
        from pyarrow.fs import FileSystem

        target = self._folder / name.replace("/", "_")
        if target.exists():
            return target
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        try:
            system, path = FileSystem.from_uri(uri)
            with system.open_input_stream(path) as stream, partial.open("wb") as file:
                shutil.copyfileobj(stream, file)
        except (OSError, ArrowException) as error:
            msg = f"the cached file {name!r} cannot be read from {uri}: {error}"
            raise CachedFileError(msg, remedy="look at the path and at credentials") from error
        partial.replace(target)
        return target

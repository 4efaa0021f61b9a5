"""Objects in any file system that pyarrow knows (HDFS, Google storage, ...)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from lesto.state import storage_settings
from lesto.state.objects import TransientError

S3_SCHEMES = {"s3", "s3a", "s3n"}


class ArrowObjects:
    """Objects behind a ``pyarrow.fs.FileSystem``."""

    def __init__(self, filesystem: Any) -> None:
        self._fs = filesystem

    def write(self, path: str, chunks: Callable[[], Iterator[bytes]]) -> None:
        """Write an object, replacing one of that name."""

        def work() -> None:
            with self._fs.open_output_stream(path) as out:
                for chunk in chunks():
                    out.write(chunk)

        _named(work)

    def create(self, path: str, data: bytes) -> None:
        """Write an object that must not be there yet.

        These clients have no conditional write: there is a check before it. What fences leaders off
        is then the job's epoch alone.
        """
        if self.exists(path):
            raise FileExistsError(path)
        self.write(path, lambda: iter([data]))

    def size(self, path: str) -> int:
        """Length of an object in bytes."""
        info = _named(lambda: self._fs.get_file_info(path))
        if info.type != fs.FileType.File:
            raise FileNotFoundError(path)
        return int(info.size)

    def read(self, path: str, start: int, length: int) -> bytes:
        """Part of an object."""

        def work() -> bytes:
            with self._fs.open_input_file(path) as source:
                return bytes(source.read_at(length, start))

        result: bytes = _named(work)
        return result

    def exists(self, path: str) -> bool:
        """Whether an object or directory is there."""
        info = _named(lambda: self._fs.get_file_info(path))
        return bool(info.type != fs.FileType.NotFound)

    def list(self, path: str, *, recursive: bool) -> list[str]:
        """Paths below a directory."""
        selector = fs.FileSelector(path, allow_not_found=True, recursive=recursive)
        infos = _named(lambda: self._fs.get_file_info(selector))
        return [i.path + ("/" if i.type == fs.FileType.Directory else "") for i in infos]

    def delete(self, path: str) -> bool:
        """Delete an object; False when it was gone already."""
        try:
            _named(lambda: self._fs.delete_file(path))
        except FileNotFoundError:
            return False
        except OSError:
            if self.exists(path):
                raise
            return False
        return True

    def delete_directory(self, path: str) -> None:
        """Delete everything below a directory, and the directory."""
        try:
            _named(lambda: self._fs.delete_dir(path))
        except FileNotFoundError:
            return
        except OSError:
            if self.exists(path):
                raise


def filesystem(uri: str) -> tuple[Any, str]:
    """The file system of a URI as this process is configured, and the path inside it.

    Raises:
        ArrowException, OSError, ValueError: the scheme is unknown, or the URI is not one.
    """
    settings = storage_settings.current()
    parts = urlsplit(uri)
    if parts.scheme not in S3_SCHEMES or settings == storage_settings.StorageSettings():
        found: tuple[Any, str] = fs.FileSystem.from_uri(uri)
        return found
    timeout = settings.retry.timeout_ms / 1000
    given = {
        "endpoint_override": settings.s3_endpoint,
        "region": settings.s3_region or ("us-east-1" if settings.s3_endpoint else ""),
        "access_key": settings.s3_access_key,
        "secret_key": settings.s3_secret_key,
        "session_token": settings.s3_session_token,
    }
    system = fs.S3FileSystem(
        **{name: value for name, value in given.items() if value},
        force_virtual_addressing=bool(settings.s3_endpoint) and not settings.s3_path_style,
        request_timeout=timeout,
        connect_timeout=timeout,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=settings.retry.attempts),
    )
    return system, f"{parts.netloc}{parts.path}"


def _named(work: Callable[[], Any]) -> Any:
    """The clients' errors do not say whether trying again may help: it may."""
    try:
        return work()
    except (FileNotFoundError, FileExistsError, PermissionError):
        raise
    except (OSError, pa.ArrowException) as error:
        raise TransientError(str(error)) from error

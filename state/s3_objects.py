"""Objects in S3, through obstore: the only module that knows the library.

``create`` is a PUT with ``If-None-Match: *``: S3 itself lets one of several writers win. The
library's own retries are off; :mod:`lesto.state.retrying` knows what a repetition means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import chain
from typing import Any

from lesto.common.errors import LestoError
from lesto.state.errors import StorageError
from lesto.state.objects import TransientError
from lesto.state.storage_settings import StorageSettings

#: A part of a multipart upload; S3 takes 10,000 of at least 5 MiB.
PART_BYTES = 8 << 20
#: Parts of one object under way at once: memory is this times the part.
PARTS_AT_ONCE = 4
_STATUS = re.compile(r"status code: (\d{3})")
#: Client errors that another try may not meet: request timeout, conflict, too many requests.
_TRANSIENT_STATUS = {408, 409, 429}


class S3Objects:
    """Objects of one bucket; paths are ``bucket/key``.

    Raises:
        StorageError: the library is not there, or refuses the settings.
    """

    def __init__(self, bucket: str, settings: StorageSettings) -> None:
        try:
            import obstore
            from obstore.store import S3Store
        except ImportError as error:
            msg = f"checkpoint storage s3://{bucket} needs the package obstore"
            raise StorageError(msg, remedy="pip install 'lesto[s3]'") from error
        self._library: Any = obstore
        self._prefix = f"{bucket}/"
        timeout = timedelta(milliseconds=settings.retry.timeout_ms)
        http = settings.s3_endpoint.startswith("http://")
        try:
            self._store: Any = S3Store(
                bucket,
                config=_config(settings),  # type: ignore[arg-type]
                client_options={"timeout": timeout, "allow_http": http},
                retry_config={"max_retries": 0, "retry_timeout": timeout},
            )
        except Exception as error:
            msg = f"cannot use checkpoint storage s3://{bucket}: {error}"
            raise StorageError(msg, remedy="check the options s3.*") from error

    def write(self, path: str, chunks: Callable[[], Iterator[bytes]]) -> None:
        """Write an object; a long one in parts, which appear together."""

        def work() -> None:
            rest = chunks()
            head, whole = _head(rest)
            if whole:
                self._library.put(self._store, self._key(path), head, use_multipart=False)
                return
            self._library.put(
                self._store,
                self._key(path),
                chain([head], rest),
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )

        try:
            self._named(work)
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise OSError(str(error)) from error
            # Of the parts: the answer to an earlier completion was lost, or they were dropped.
            raise TransientError(str(error)) from error

    def create(self, path: str, data: bytes) -> None:
        """Write an object that must not be there yet."""
        self._named(
            lambda: self._library.put(
                self._store, self._key(path), data, mode="create", use_multipart=False
            )
        )

    def size(self, path: str) -> int:
        """Length of an object in bytes."""
        return int(self._named(lambda: self._library.head(self._store, self._key(path)))["size"])

    def read(self, path: str, start: int, length: int) -> bytes:
        """Part of an object."""
        if not length:
            return b""
        key = self._key(path)
        part = self._named(
            lambda: self._library.get_range(self._store, key, start=start, length=length)
        )
        return bytes(part)

    def exists(self, path: str) -> bool:
        """Whether an object or anything below that name is there."""
        try:
            self.size(path)
        except FileNotFoundError:
            stream = self._named(lambda: list(self._listing(path, 1)))
            return any(stream)
        return True

    def list(self, path: str, *, recursive: bool) -> list[str]:
        """Paths below a prefix; keys have no directories, so a recursive listing shows none."""
        key = self._key(path)
        if recursive:
            pages = self._named(lambda: list(self._listing(path, 1000)))
            return [self._prefix + item["path"] for page in pages for item in page]
        found = self._named(lambda: self._library.list_with_delimiter(self._store, key or None))
        files = [self._prefix + item["path"] for item in found["objects"]]
        return files + [f"{self._prefix}{name}/" for name in found["common_prefixes"]]

    def delete(self, path: str) -> bool:
        """Delete an object; S3 does not say whether it was there."""
        self._named(lambda: self._library.delete(self._store, self._key(path)))
        return True

    def delete_directory(self, path: str) -> None:
        """Delete everything below a prefix."""
        for found in self.list(path, recursive=True):
            self.delete(found)

    def _listing(self, path: str, page: int) -> Iterator[Any]:
        key = self._key(path)
        return iter(self._library.list(self._store, prefix=key or None, chunk_size=page))

    def _key(self, path: str) -> str:
        return path.removeprefix(self._prefix).strip("/") if path.startswith(self._prefix) else ""

    def _named(self, work: Callable[[], Any]) -> Any:
        errors = self._library.exceptions
        try:
            return work()
        except FileNotFoundError as error:
            raise FileNotFoundError(_first_line(error)) from error
        except errors.AlreadyExistsError as error:
            raise FileExistsError(_first_line(error)) from error
        except (errors.PermissionDeniedError, errors.UnauthenticatedError) as error:
            raise PermissionError(_first_line(error)) from error
        except errors.BaseError as error:
            found = _STATUS.search(str(error))
            status = int(found[1]) if found else 0
            if 400 <= status < 500 and status not in _TRANSIENT_STATUS:
                raise OSError(_first_line(error)) from error
            raise TransientError(_first_line(error)) from error
        except (LestoError, OSError):
            raise  # of the chunks that are read, on this machine


def _config(settings: StorageSettings) -> dict[str, Any]:
    given = {
        "endpoint": settings.s3_endpoint,
        "region": settings.s3_region,
        "access_key_id": settings.s3_access_key,
        "secret_access_key": settings.s3_secret_key,
        "session_token": settings.s3_session_token,
    }
    style = {"virtual_hosted_style_request": not settings.s3_path_style}
    # Signing asks for a region even where the service has none.
    region = {} if settings.s3_region or not settings.s3_endpoint else {"region": "us-east-1"}
    return {name: value for name, value in given.items() if value} | style | region


def _head(chunks: Iterator[bytes]) -> tuple[bytes, bool]:
    """The first part, and whether it is all there is."""
    parts, length = [], 0
    for chunk in chunks:
        parts.append(chunk)
        length += len(chunk)
        if length > PART_BYTES:
            return b"".join(parts), False
    return b"".join(parts), True


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]

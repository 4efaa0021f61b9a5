"""How this process talks to checkpoint storage: Flink's ``s3.*`` and ``state.storage.*``.

As in Flink, file systems are configured once a process, from its own configuration: a job cannot
change the credentials of the cluster it runs on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lesto.common.config import Configuration

_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds of one operation on remote storage.

    Attributes:
        attempts: tries in all, at least 1.
        initial_backoff_ms: pause before the second try; it doubles with each further one.
        max_backoff_ms: longest pause.
        timeout_ms: limit of one try.
    """

    attempts: int = 6
    initial_backoff_ms: int = 200
    max_backoff_ms: int = 10_000
    timeout_ms: int = 30_000


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Settings of remote storage; empty texts leave the choice to the client library.

    Attributes:
        retry: bounds of an operation.
        s3_endpoint: URL of an S3 service other than Amazon's.
        s3_region: its region.
        s3_access_key: without it the environment and the machine's role are asked.
        s3_secret_key: belongs to the access key.
        s3_session_token: of temporary credentials.
        s3_path_style: bucket in the path, not in the host name.
    """

    retry: RetryPolicy = RetryPolicy()
    s3_endpoint: str = ""
    s3_region: str = ""
    s3_access_key: str = ""
    s3_secret_key: str = ""
    s3_session_token: str = ""
    s3_path_style: bool = False


_current = StorageSettings()


def current() -> StorageSettings:
    """The process's settings."""
    return _current


def use(settings: StorageSettings) -> None:
    """Set the process's settings; what is open keeps the old ones."""
    global _current  # noqa: PLW0603 - one a process, as its environment
    _current = settings


def configure(config: Configuration) -> None:
    """Set the process's settings from its configuration."""
    use(from_config(config))


def from_config(config: Configuration) -> StorageSettings:
    """What a configuration says."""
    from lesto.common import options

    return StorageSettings(
        retry=RetryPolicy(
            attempts=config.get(options.STORAGE_RETRY_ATTEMPTS),
            initial_backoff_ms=config.get(options.STORAGE_RETRY_INITIAL_BACKOFF) // _MS,
            max_backoff_ms=config.get(options.STORAGE_RETRY_MAX_BACKOFF) // _MS,
            timeout_ms=config.get(options.STORAGE_TIMEOUT) // _MS,
        ),
        s3_endpoint=config.get(options.S3_ENDPOINT) or "",
        s3_region=config.get(options.S3_REGION) or "",
        s3_access_key=config.get(options.S3_ACCESS_KEY) or "",
        s3_secret_key=config.get(options.S3_SECRET_KEY) or "",
        s3_session_token=config.get(options.S3_SESSION_TOKEN) or "",
        s3_path_style=config.get(options.S3_PATH_STYLE),
    )

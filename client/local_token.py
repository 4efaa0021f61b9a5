"""How a client on the same machine learns the token of a cluster that made its own.

A cluster on loopback without ``security.token`` makes a random token and leaves it in a file that
only its user can read, named by port, for as long as it runs. Whoever can read the file is the user
whose code the cluster runs anyway.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.hosts import is_loopback_host

TOKEN_BYTES = 32


def new_token() -> str:
    """Return a random token."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def own_token(port: int) -> str:
    """Return the token for a cluster on this port: that of a process killed here, else a new one.

    TaskManagers and clients of a JobManager that was killed and starts again know the old one.
    """
    return find_token(Configuration(), f"127.0.0.1:{port}") or new_token()


def find_token(config: Configuration, address: str) -> str | None:
    """Return the token to show to the JobManager at ``host:port``, if one is known.

    Of several addresses with commas between, the first that has one: a cluster has one token.
    """
    configured = config.get(options.SECURITY_TOKEN)
    if "," in address:
        tokens = (find_token(config, one.strip()) for one in address.split(","))
        return configured or next((token for token in tokens if token), None)
    host, _, port = address.rpartition(":")
    if configured or not is_loopback_host(host):
        return configured
    path = _folder() / f"{port}.token"
    try:
        if path.stat().st_uid != os.getuid():
            return None
        return path.read_text(encoding="ascii").strip() or None
    except OSError:
        return None


@contextlib.contextmanager
def published_token(token: str, port: int) -> Iterator[Path]:
    """Keep the token readable for this user's other processes while the block runs."""
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        msg = f"{folder} belongs to or is open to another user"
        raise PermissionError(msg)
    path = folder / f"{port}.token"
    path.unlink(missing_ok=True)  # left by a process that was killed: the port is ours now
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token)
        yield path
    finally:
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another cluster's token is still there
            folder.rmdir()


def _folder() -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and Path(base).is_dir():
        return Path(base) / "lesto"
    return Path(tempfile.gettempdir()) / f"lesto-{os.getuid()}"

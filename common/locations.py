"""Where files are: paths of this machine, and URIs."""

from __future__ import annotations

import os


def absolute(uri: str | os.PathLike[str]) -> str:
    """A local path made absolute, from the directory of this process; a URI, or nothing, as it is.

    Paths travel: what they mean must not depend on the directory in which somebody reads them.

    >>> absolute("s3://bucket/savepoints"), absolute("/a/../b"), absolute("")
    ('s3://bucket/savepoints', '/b', '')
    """
    text = os.fspath(uri)
    if not text or "://" in text:
        return text
    return os.path.abspath(os.path.expanduser(text))

"""Entries of the job log as bytes: a line that people can read, with its checksum before it."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict

from lesto.jobmanager.core.job_log import (
    CancelWanted,
    CheckpointCompleted,
    Ended,
    Entry,
    EpochClaimed,
    Rescaled,
    Submitted,
)
from lesto.jobmanager.errors import JobLogError

_KINDS: dict[str, type[Entry]] = {
    "submitted": Submitted,
    "epoch": EpochClaimed,
    "checkpoint": CheckpointCompleted,
    "rescaled": Rescaled,
    "cancel": CancelWanted,
    "ended": Ended,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_REMEDY = "bring the object back from a copy, or submit the job anew from a savepoint"


def encode(entry: Entry) -> bytes:
    """``<crc32 as 8 hex digits> <JSON>`` and a newline.

    >>> encode(CancelWanted(id="a", epoch=2, at_ms=3))
    b'869049fd {"at_ms":3,"epoch":2,"id":"a","kind":"cancel"}\\n'
    """
    fields = {"kind": _NAMES[type(entry)], **asdict(entry)}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode(content: bytes, path: str) -> Entry:
    """The entry, verified.

    Raises:
        JobLogError: it is not whole, or of a kind that this version does not know.
    """
    checksum, _, text = content.removesuffix(b"\n").partition(b" ")
    if not content.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        msg = f"{path} is damaged: its checksum is wrong"
        raise JobLogError(msg, remedy=_REMEDY)
    try:
        fields = json.loads(text)
        kind = _KINDS[fields.pop("kind")]
        return kind(**fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path} is no entry that this version of Lesto knows: {error!r}"
        raise JobLogError(msg, remedy="run the version of Lesto that wrote it, or newer") from error

"""Entries of the job log as bytes: a line that people can read, with its checksum before it."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict
from typing import Any

from lesto.jobmanager.core.job_log import (
    CancelWanted,
    CheckpointCompleted,
    Ended,
    Entry,
    EpochClaimed,
    LogState,
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


def _seal(fields: dict[str, Any]) -> bytes:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _open(content: bytes, path: str) -> Any:
    checksum, _, text = content.removesuffix(b"\n").partition(b" ")
    if not content.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        msg = f"{path} is damaged: its checksum is wrong"
        raise JobLogError(msg, remedy=_REMEDY)
    try:
        return json.loads(text)
    except ValueError as error:
        raise _unknown(path, error) from error


def _unknown(path: str, error: Exception) -> JobLogError:
    msg = f"{path} is nothing that this version of Lesto knows: {error!r}"
    return JobLogError(msg, remedy="run the version of Lesto that wrote it, or newer")


def encode(entry: Entry) -> bytes:
    """``<crc32 as 8 hex digits> <JSON>`` and a newline.

    >>> encode(CancelWanted(id="a", epoch=2, at_ms=3)).rstrip()
    b'869049fd {"at_ms":3,"epoch":2,"id":"a","kind":"cancel"}'
    """
    return _seal(_fields(entry))


def _fields(entry: Entry) -> dict[str, Any]:
    return {"kind": _NAMES[type(entry)], **asdict(entry)}


def decode(content: bytes, path: str) -> Entry:
    """The entry, verified.

    Raises:
        JobLogError: it is not whole, or of a kind that this version does not know.
    """
    return _entry(_open(content, path), path)


def _entry(fields: Any, path: str) -> Entry:
    try:
        kind = _KINDS[fields["kind"]]
        return kind(**{name: value for name, value in fields.items() if name != "kind"})
    except (KeyError, TypeError, AttributeError) as error:
        raise _unknown(path, error) from error


def encode_state(state: LogState) -> bytes:
    """What a log says up to an entry, so that it need not be read from the start."""
    assert state.submitted is not None, "a log without a beginning"
    assert state.ended is None, "an ended job's log is not read again and again"
    fields = {
        "seq": state.seq,
        "submitted": _fields(state.submitted),
        "claim": [state.epoch, state.term, state.leader, state.claim],
        "checkpoints": [_fields(entry) for entry in state.newest_first()],
        "parallelism": state.parallelism,
        "cancel_wanted": state.cancel_wanted,
    }
    return _seal(fields)


def decode_state(content: bytes, path: str) -> LogState:
    """The state, verified.

    Raises:
        JobLogError: it is not whole.
    """
    fields = _open(content, path)
    try:
        submitted = _entry(fields["submitted"], path)
        entries = [_entry(each, path) for each in fields["checkpoints"]]
        epoch, term, leader, claim = fields["claim"]
        state = LogState(int(fields["seq"]), None, epoch, term, leader, claim)
        state.parallelism = dict(fields["parallelism"])
        state.cancel_wanted = bool(fields["cancel_wanted"])
    except (KeyError, TypeError, ValueError) as error:
        raise _unknown(path, error) from error
    assert isinstance(submitted, Submitted), "a log begins with a submission"
    state.submitted = submitted
    for entry in entries:
        assert isinstance(entry, CheckpointCompleted), "checkpoints are completed ones"
        state.checkpoints[entry.checkpoint_id] = entry
    return state

"""The lease on shared storage: an object a term, created only if absent.

::

    leader/term-<n>    who leads in term n; created once, never changed
    leader/beat-<n>    rewritten by the leader of term n at each renewal
    leader/end-<n>     the leader of term n has given up

Whoever creates ``term-<n+1>`` leads next; nobody but the creator of a term renews it, and a renewal
of an earlier term is seen by nobody. What the storage must offer is create-if-absent.
"""

from __future__ import annotations

import json
import re

from lesto.state.errors import (
    CheckpointExistsError,
    LeaseServiceError,
    MissingFileError,
    StateError,
)
from lesto.state.files import Files
from lesto.state.leases.lease import Candidate, Lease

_TERM = re.compile(r"term-(\d+)")
#: Terms whose objects stay for people to look at.
TERMS_KEPT = 3


class FileLeaseStore:
    """The lease below ``<root>/leader``.

    Args:
        root: URI of ``<storage>/<cluster id>``.
    """

    def __init__(self, root: str) -> None:
        self._files = Files(root)
        self._beats = 0

    def read(self) -> Lease | None:
        """The lease of the highest term."""
        try:
            terms = self._terms()
            return self._read(max(terms)) if terms else None
        except StateError as error:
            raise _failed(error) from error

    def acquire(self, seen: Lease | None, candidate: Candidate) -> Lease | None:
        """Create the next term."""
        term = seen.term + 1 if seen is not None else 1
        content = {
            "holder": candidate.holder,
            "address": candidate.address,
            "process": candidate.process,
        }
        try:
            if any(other >= term for other in self._terms()):
                return None
            self._files.create(f"leader/term-{term}", json.dumps(content).encode())
        except CheckpointExistsError:
            return None
        except StateError as error:
            raise _failed(error) from error
        self._forget_before(term - TERMS_KEPT)
        return Lease(term, candidate.holder, candidate.address, "", process=candidate.process)

    def renew(self, lease: Lease) -> Lease | None:
        """Beat, unless there is a later term."""
        try:
            if max(self._terms(), default=0) != lease.term:
                return None
            self._beats += 1
            beat = str(self._beats)
            self._files.write(f"leader/beat-{lease.term}", lambda: iter([beat.encode()]))
        except StateError as error:
            raise _failed(error) from error
        return Lease(lease.term, lease.holder, lease.address, beat, process=lease.process)

    def release(self, lease: Lease) -> None:
        """Say that the term is over."""
        try:
            if max(self._terms(), default=0) == lease.term:
                self._files.write(f"leader/end-{lease.term}", lambda: iter([b"released"]))
        except StateError as error:
            raise _failed(error) from error

    def close(self) -> None:
        """Nothing is open."""

    def _terms(self) -> list[int]:
        names = (name.rpartition("/")[2] for name in self._files.list("leader"))
        return [int(found[1]) for name in names if (found := _TERM.fullmatch(name))]

    def _read(self, term: int) -> Lease:
        content = json.loads(self._content(f"leader/term-{term}"))
        beat = self._content(f"leader/beat-{term}")
        return Lease(
            term,
            str(content["holder"]),
            str(content["address"]),
            beat.decode(),
            released=self._files.exists(f"leader/end-{term}"),
            process=str(content.get("process", "")),
        )

    def _content(self, relative: str) -> bytes:
        """An object's content; empty: it is not there (yet)."""
        try:
            with self._files.open_input(relative) as source:
                return bytes(source.read())
        except MissingFileError:
            if "term-" in relative:
                raise
            return b""

    def _forget_before(self, term: int) -> None:
        """Delete old terms. They mean nothing: only the highest counts."""
        try:
            for old in self._terms():
                if old < term:
                    for kind in ("beat", "end", "term"):
                        self._files.delete(f"leader/{kind}-{old}")
        except StateError:
            return  # they cost a few bytes; the next term tries again


def _failed(error: StateError) -> LeaseServiceError:
    msg = f"the leader's lease cannot be kept on this storage now: {error.message}"
    return LeaseServiceError(msg, remedy=error.remedy)

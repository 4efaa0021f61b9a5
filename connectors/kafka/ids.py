"""Names of transactions: pure.

``<prefix>-<job><operator>-<attempt>-<subtask>-<slot>``: eight and four hex digits, the attempt as
``epoch.attempt``. The attempt is in the name, so a restarted writer never opens an id that a
restored checkpoint still has to commit, whatever the parallelism; what an earlier attempt left open
is found by its name and aborted.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

_TAIL: Final = re.compile(r"-([0-9a-f]{8})([0-9a-f]{4})-([0-9]+(?:\.[0-9]+)*)-([0-9]+)-([0-9]+)\Z")


@dataclass(frozen=True, slots=True)
class Owner:
    """The writer that a transactional id belongs to.

    Attributes:
        prefix: the user's.
        job: first eight digits of the job's id.
        operator: four digits made from the sink's uid.
        attempt: ``epoch.attempt``.
        subtask: index of the writer.
    """

    prefix: str
    job: str
    operator: str
    attempt: str
    subtask: int

    @staticmethod
    def of(prefix: str, job_id: str, operator_uid: str, attempt: str, subtask: int) -> Owner:
        """From a writer's context."""
        operator = hashlib.sha256(operator_uid.encode()).hexdigest()[:4]
        return Owner(prefix, job_id[:8], operator, attempt.replace("-", "."), subtask)

    def transactional_id(self, slot: int) -> str:
        """The id in one slot of the writer's pool.

        >>> Owner("p", "01234567", "89ab", "1.0", 3).transactional_id(0)
        'p-0123456789ab-1.0-3-0'
        """
        return f"{self.prefix}-{self.job}{self.operator}-{self.attempt}-{self.subtask}-{slot}"


def parse(transactional_id: str, prefix: str) -> Owner | None:
    """Whose an id is; None when it is not one of this prefix.

    >>> parse("p-0123456789ab-1.0-3-0", "p").subtask
    3
    >>> parse("p-x-0123456789ab-1.0-3-0", "p") is None
    True
    """
    match = _TAIL.search(transactional_id)
    if match is None or transactional_id[: match.start()] != prefix:
        return None
    return Owner(prefix, match[1], match[2], match[3], int(match[4]))


def is_left_over(found: Owner, mine: Owner, parallelism: int, *, foreign_jobs: bool) -> bool:
    """Whether ``mine`` has to abort what ``found`` left open.

    Each writer clears up after the earlier attempts of its own index, and after those of indices
    that a lower parallelism has no writer for.

    Args:
        found: owner of an open transaction.
        mine: the writer that asks.
        parallelism: writers there are now.
        foreign_jobs: whether the prefix is the user's own, so that other jobs which use it are
            predecessors of this one.
    """
    if found.operator != mine.operator or found.prefix != mine.prefix:
        return False
    if found.job == mine.job:
        if _order(found.attempt) >= _order(mine.attempt):
            return False
    elif not foreign_jobs:
        return False
    if found.subtask < parallelism:
        return found.subtask == mine.subtask
    return found.subtask % parallelism == mine.subtask


def _order(attempt: str) -> tuple[int, ...]:
    return tuple(int(part) for part in attempt.split("."))

"""Operators with work under way beside the mailbox thread, and the end of a chain that has some."""

from __future__ import annotations

from collections.abc import Sequence

from lesto.taskmanager.runtime.chain import ChainedOperator


class SideWork:
    """What the concurrent operators of a task have under way.

    Args:
        operators: of the task, in order.

    Attributes:
        ending: the operators are being told that their input has ended.
    """

    def __init__(self, operators: Sequence[ChainedOperator]) -> None:
        self._operators = operators
        self._concurrent = tuple(c for c in operators if c.operator.concurrent)
        self._told = 0  # operators that know of the end of their input

    def __bool__(self) -> bool:
        return bool(self._concurrent)

    @property
    def ending(self) -> bool:
        """Whether the end has begun."""
        return self._told > 0

    def poll(self) -> bool:
        """Let them emit what has completed; whether anything has."""
        worked = False
        for chained in self._concurrent:
            worked |= bool(chained.call("poll"))
        return worked

    def room(self) -> int:
        """Records that all of them would take now."""
        return min(c.operator.room() for c in self._concurrent)

    def end(self) -> bool:
        """Go on ending the operators, in order; False when one waits for answers.

        The head has been told already. What the answers of one bring belongs before the end of
        those behind it, so call again when something has completed.
        """
        self._told = max(self._told, 1)
        for chained in self._operators[self._told :]:
            if self._waits(self._operators[self._told - 1]):
                return False
            self._told += 1
            chained.call("end_input", chained.upstream_input or 0)
        return not self._waits(self._operators[-1])

    @staticmethod
    def _waits(chained: ChainedOperator) -> bool:
        return chained.operator.concurrent and chained.operator.in_flight()

"""Results drawn anew as they change."""

from __future__ import annotations

import shutil
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Final, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from lesto.client.table.plan.schema import Schema
from lesto.client.table.printing import Texts, line, text_width, with_kinds
from lesto.client.table.results import Batches, JobBatches

#: Lines of the screen that are not rows: borders, names, the count.
_FRAME_LINES: Final = 6
#: Rows of a table that are printed when a query has ended.
_PRINTED_ROWS: Final = 1_000


class Materialized:
    """Rows as they are now, in order of arrival; the oldest go when there are too many.

    >>> rows = Materialized(10)
    >>> for change in (["+I", "a"], ["+I", "b"], ["-D", "a"]):
    ...     rows.take(change)
    >>> rows.last(5)
    [('b',)]
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: OrderedDict[int, tuple[str, ...]] = OrderedDict()
        self._places: dict[tuple[str, ...], list[int]] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, change: Sequence[str]) -> None:
        """Apply a change: its kind, and the row."""
        row = tuple(change[1:])
        places = self._places.setdefault(row, [])
        if change[0] in {"-U", "-D"}:
            if places:
                del self._rows[places.pop()]
        else:
            self._rows[self._next] = row
            places.append(self._next)
            self._next += 1
        if not places:
            del self._places[row]
        while len(self._rows) > self._most:
            number, oldest = self._rows.popitem(last=False)
            self._places[oldest].remove(number)
            if not self._places[oldest]:
                del self._places[oldest]

    def last(self, count: int) -> list[tuple[str, ...]]:
        """The newest rows, oldest first."""
        found: list[tuple[str, ...]] = []
        for number in reversed(self._rows):
            if len(found) == count:
                break
            found.append(self._rows[number])
        return found[::-1]


def framed(names: Sequence[str], rows: Sequence[Sequence[str]], width: int, foot: str) -> list[str]:
    """Rows between borders, and a line below."""
    widths = [
        min(max(map(text_width, column)), max(width, text_width(column[0])))
        for column in zip(names, *rows, strict=True)
    ]
    border = "+" + "".join("-" * (w + 2) + "+" for w in widths)
    return [border, line(names, widths), border, *(line(r, widths) for r in rows), border, foot]


def show_live(
    schema: Schema,
    batches: Batches | JobBatches,
    *,
    changes: bool,
    width: int,
    zone: str,
    most: int,
    out: TextIO,
) -> None:
    """Draw the rows as they are now (or the newest changes) until the query ends or Ctrl-C.

    What was drawn last is printed at the end.
    """
    texts = Texts(schema, zone)
    names = ["op", *schema.names] if changes else list(schema.names)
    table = Materialized(most)
    newest: deque[Sequence[str]] = deque(maxlen=min(most, _PRINTED_ROWS))
    count = 0

    def shown(height: int) -> list[str]:
        rows = list(newest)[-height:] if changes else table.last(height)
        total = count if changes else len(table)
        word = "change" if changes else "row"
        return framed(names, rows, width, f"{total} {word}{'' if total == 1 else 's'}")

    console = Console(file=out, force_terminal=True)
    ended = False
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            live.update(Text("waiting for rows; Ctrl-C ends the query"), refresh=True)
            for batch in batches:
                for change in with_kinds(texts, [batch]):
                    count += 1
                    if changes:
                        newest.append(change)
                    else:
                        table.take(change)
                height = max(1, shutil.get_terminal_size().lines - _FRAME_LINES)
                drawn = "\n".join(shown(height))
                live.update(Text(drawn, no_wrap=True, overflow="crop"), refresh=True)
            ended = True
    finally:
        out.write("\n".join(shown(_PRINTED_ROWS)) + ("\n" if ended else " so far\n"))
        out.flush()

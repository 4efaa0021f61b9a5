"""Lists for people (aligned columns) and for programs (JSON, YAML)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lesto.client.cli.colors import LOOKS, paint

Record = Mapping[str, Any]


def print_records(records: Sequence[Record], columns: Mapping[str, str], form: str) -> None:
    """Print records.

    Args:
        records: what to print; JSON and YAML show every field.
        columns: for a table, heading by field, in order.
        form: ``table``, ``json`` or ``yaml``.
    """
    match form:
        case "json":
            print(json.dumps([dict(record) for record in records], indent=2, default=str))
        case "yaml":
            import yaml

            yaml.safe_dump(
                json.loads(json.dumps([dict(record) for record in records], default=str)),
                sys.stdout,
                sort_keys=False,
                allow_unicode=True,
            )
        case _:
            _print_table(records, columns)


def _print_table(records: Sequence[Record], columns: Mapping[str, str]) -> None:
    rows = [list(columns.values())]
    rows += [[_cell(record.get(field)) for field in columns] for record in records]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    for row in rows:
        # Widths are of what is seen: colours come last.
        cells = [
            paint(cell, LOOKS.get(cell, "")) + " " * (width - len(cell))
            for cell, width in zip(row, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    return "-" if value is None or value == "" else str(value)


def format_time(ms: int) -> str | None:
    """Return ms since the epoch as ISO 8601 in UTC; None for 0.

    >>> format_time(1_000)
    '1970-01-01T00:00:01Z'
    """
    if ms <= 0:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_elapsed(ms: int) -> str:
    """Return a length of time in at most two units.

    >>> format_elapsed(900), format_elapsed(65_000), format_elapsed(7_260_000)
    ('0.9 s', '1 min 5 s', '2 h 1 min')
    """
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def format_count(number: float) -> str:
    """Return a number with a metric suffix.

    >>> format_count(950), format_count(1_234_567)
    ('950', '1.23 M')
    """
    for suffix, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {suffix}"
    return f"{number:.0f}"


def format_bytes(number: float) -> str:
    """Return bytes with a binary unit.

    >>> format_bytes(300), format_bytes(5 << 20)
    ('300 B', '5.0 MiB')
    """
    for suffix, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= size:
            return f"{number / size:.1f} {suffix}"
    return f"{number:.0f} B"

"""Rows as text that can be kept and compared: no two values that differ look the same."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any


def plain(value: Any) -> Any:
    """A value as JSON has it; floats keep their point, decimals their scale."""
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, decimal.Decimal):
        return f"{value:f}"
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(dt.UTC).replace(tzinfo=None)
        return value.isoformat(" ", "microseconds" if value.microsecond % 1000 else "milliseconds")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return f"{value / dt.timedelta(milliseconds=1):.0f} ms"
    if isinstance(value, (bytes, bytearray)):
        return "x" + bytes(value).hex()
    if isinstance(value, dict):
        return {"map": sorted(([plain(k), plain(v)] for k, v in value.items()), key=repr)}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return [plain(v) for v in value]


def counted(rows: Iterable[Any]) -> Counter[str]:
    """A multiset of rows, each as the text that is kept."""
    return Counter(
        json.dumps([plain(v) for v in row], ensure_ascii=False, separators=(",", ":"))
        for row in rows
    )


def difference(wanted: Counter[str], found: Counter[str]) -> str:
    """What is missing and too many, short; empty if equal."""
    missing, extra = wanted - found, found - wanted
    if not missing and not extra:
        return ""
    lines = [f"{sum(missing.values())} of {sum(wanted.values())} rows missing:"]
    lines += [f"  {row} x{n}" for row, n in sorted(missing.items())[:4]]
    lines += [f"{sum(extra.values())} too many:"]
    lines += [f"  {row} x{n}" for row, n in sorted(extra.items())[:4]]
    return "\n".join(lines)

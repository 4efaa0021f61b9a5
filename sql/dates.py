"""Calendar arithmetic and text of dates and times over whole columns, in numpy.

Years are of the proleptic Gregorian calendar, as in java.time and Arrow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]

DAY_MS: Final = 86_400_000
#: Ticks of a second by Arrow's unit.
TICKS: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

_DAYS_PER_ERA: Final = 146_097  # 400 years
_EPOCH_FROM_ERA: Final = 719_468  # days from 0000-03-01 to 1970-01-01


def civil(days: Ints) -> tuple[Ints, Ints, Ints]:
    """Year, month and day of days since 1970.

    >>> [int(x[0]) for x in civil(np.array([-1]))]
    [1969, 12, 31]
    """
    z = days + _EPOCH_FROM_ERA
    era = z // _DAYS_PER_ERA
    doe = z - era * _DAYS_PER_ERA
    yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    shifted = (5 * doy + 2) // 153
    day = doy - (153 * shifted + 2) // 5 + 1
    month = np.where(shifted < 10, shifted + 3, shifted - 9)
    year = yoe + era * 400 + (month <= 2)
    return year, month, day


def days_of(year: Ints, month: Ints, day: Ints) -> Ints:
    """Days since 1970 of a date; the inverse of :func:`civil`."""
    y = year - (month <= 2)
    era = y // 400
    yoe = y - era * 400
    doy = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    doe = yoe * 365 + yoe // 4 - yoe // 100 + doy
    result: Ints = era * _DAYS_PER_ERA + doe - _EPOCH_FROM_ERA
    return result


def month_length(year: Ints, month: Ints) -> Ints:
    """Days in a month."""
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    lengths = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])[month - 1]
    result: Ints = lengths + (leap & (month == 2))
    return result


def add_months(days: Ints, months: Ints) -> Ints:
    """The same day of another month, or its last day where that month is shorter."""
    year, month, day = civil(days)
    count = year * 12 + (month - 1) + months
    to_year, to_month = count // 12, count % 12 + 1
    return days_of(to_year, to_month, np.minimum(day, month_length(to_year, to_month)))


def iso_week(days: Ints) -> tuple[Ints, Ints]:
    """ISO year and week: weeks start on Monday, the first has the year's first Thursday."""
    thursday = days - (days + 3) % 7 + 3
    year, _, _ = civil(thursday)
    first = days_of(year, np.ones_like(year), np.ones_like(year))
    return year, (thursday - first) // 7 + 1


def us_week(days: Ints) -> tuple[Ints, Ints]:
    """Year and week as Java's US locale counts: from Sunday on, the first has January 1st."""
    sunday = days - (days + 4) % 7
    year, _, _ = civil(sunday + 6)
    first = days_of(year, np.ones_like(year), np.ones_like(year))
    return year, (sunday - (first - (first + 4) % 7)) // 7 + 1


def fixed_width(parts: Sequence[tuple[Ints, int] | bytes], rows: int) -> pa.StringArray:
    """Texts of one width: numbers with leading zeros (of so many digits) and fixed words.

    >>> fixed_width([(np.array([7, 12]), 2), b":", (np.array([5, 59]), 2)], 2).to_pylist()
    ['07:05', '12:59']
    """
    width = sum(len(p) if isinstance(p, bytes) else p[1] for p in parts)
    text = np.empty((rows, width), np.uint8)
    at = 0
    for part in parts:
        if isinstance(part, bytes):
            text[:, at : at + len(part)] = np.frombuffer(part, np.uint8)
            at += len(part)
            continue
        numbers, digits = part
        rest = numbers
        for k in range(digits - 1, -1, -1):
            above = rest // 10
            text[:, at + k] = 48 + (rest - above * 10)
            rest = above
        at += digits
    offsets = np.arange(rows + 1, dtype=np.int64) * width
    if rows * width >= 2**31:
        big = pa.LargeStringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(text))
        return big.cast(pa.string())
    return pa.StringArray.from_buffers(
        rows, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(text)
    )


def by_distinct(numbers: Ints, render: Callable[[Ints], pa.Array]) -> pa.Array:
    """Render each distinct number once and repeat the texts, where that is less work.

    Numbers that lie close together (the days of a batch, its minutes) are rendered as a range.
    """
    if len(numbers) == 0:
        return render(numbers)
    low, high = int(numbers.min()), int(numbers.max())
    if high - low < len(numbers) // 2:
        return render(np.arange(low, high + 1)).take(pa.array(numbers - low))
    return render(numbers)


def by_unique(numbers: Ints, render: Callable[[int], str | None]) -> pa.Array:
    """Render by a Python function, once a distinct number."""
    unique, inverse = np.unique(numbers, return_inverse=True)
    texts = pa.array([render(int(x)) for x in unique], pa.string())
    return texts.take(pa.array(inverse.reshape(-1)))


def date_text(days: Ints) -> pa.Array:
    """``yyyy-MM-dd``."""

    def render(some: Ints) -> pa.Array:
        year, month, day = civil(some)
        if len(some) and (year.min() < 0 or year.max() > 9999):
            rows = zip(year.tolist(), month.tolist(), day.tolist(), strict=True)
            return pa.array([f"{year_text(y)}-{m:02}-{d:02}" for y, m, d in rows])
        return fixed_width([(year, 4), b"-", (month, 2), b"-", (day, 2)], len(some))

    return by_distinct(days, render)


def year_text(year: int) -> str:
    """A year as Java's ISO form has it: four digits, more with a sign."""
    if 0 <= year <= 9999:
        return f"{year:04}"
    return f"-{-year:04}" if year < 0 else f"+{year}"


def time_text(ticks: Ints, unit: str, digits: int) -> pa.Array:
    """``HH:mm:ss`` and so many digits of the second, of ticks within a day."""
    second = TICKS[unit]
    kept = 10**digits if digits < 9 else 1_000_000_000
    step = max(1, second // kept)

    def render(some: Ints) -> pa.Array:
        whole = some * step // second
        parts: list[tuple[Ints, int] | bytes] = [
            (whole // 3600, 2), b":", (whole // 60 % 60, 2), b":", (whole % 60, 2),
        ]  # fmt: skip
        if digits:
            fraction = some * step % second
            scale = kept // second
            fraction = fraction * scale if scale > 1 else fraction // max(1, second // kept)
            parts += [b".", (fraction, digits)]
        return fixed_width(parts, len(some))

    return by_distinct(ticks // step, render)


def fields_of(ticks: Ints, unit: str) -> tuple[Ints, Ints]:
    """Days, and ticks within the day."""
    per_day = TICKS[unit] * 86_400
    days = ticks // per_day
    return days, ticks - days * per_day


def digit_columns(text: pa.Array, width: int) -> npt.NDArray[np.uint8] | None:
    """The bytes of texts that all have one width (NULLs may be empty), or None if they do not.

    Rows that are NULL or empty are filled with zeros.
    """
    offsets = np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1]
    lengths = np.diff(offsets)
    data = text.buffers()[2]
    if data is None or not len(text):
        return None
    raw = np.frombuffer(data, np.uint8)
    if (lengths == width).all():
        block: npt.NDArray[np.uint8] = raw[offsets[0] : offsets[-1]].reshape(len(text), width)
        return block
    return None


def number_at(block: npt.NDArray[np.uint8], start: int, width: int) -> tuple[Ints, Any]:
    """Numbers in some columns of digits, and whether all of them were digits."""
    total = np.zeros(len(block), np.int64)
    good = np.ones(len(block), bool)
    for k in range(start, start + width):
        digit = block[:, k].astype(np.int64) - 48
        good &= (digit >= 0) & (digit <= 9)
        total = total * 10 + digit
    return total, good

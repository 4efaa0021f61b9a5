"""Parts, rounding and distances of dates and times; the clock and the watermark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lesto.common.errors import did_you_mean
from lesto.sql import dates, zones
from lesto.sql import types as t
from lesto.sql.builder import call, cast, coerce, not_taken, symbol
from lesto.sql.errors import FunctionArgumentsError
from lesto.sql.expressions import Call, Expression, Literal
from lesto.sql.functions import params as p
from lesto.sql.functions.table import ScalarFunction, function, register, sig
from lesto.sql.types import DATETIME, INTERVAL, TIMESTAMPS, SqlType, TypeRoot
from lesto.sql.values import Evaluation, Kernel, Value, on_ints, on_two

_GROUP: Final = "temporal"
_MS: Final = {
    "MILLISECOND": 1,
    "SECOND": 1000,
    "MINUTE": 60_000,
    "HOUR": 3_600_000,
    "DAY": 86_400_000,
    "WEEK": 604_800_000,
}
_MONTHS: Final = {"MONTH": 1, "QUARTER": 3, "YEAR": 12, "DECADE": 120, "CENTURY": 1200}
_UNITS: Final = (
    *("MILLENNIUM", "CENTURY", "DECADE", "YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "DOY", "DOW"),
    *("ISODOW", "ISOYEAR", "HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND"),
    *("NANOSECOND", "EPOCH"),
)


def unit_of(e: Expression, units: Sequence[str], name: str) -> str:
    """The unit a symbol names; SQL_TSI_DAY is DAY, and DAYS too.

    Raises:
        FunctionArgumentsError: the function has no such unit.
    """
    word = str(e.value).upper().removeprefix("SQL_TSI_") if isinstance(e, Literal) else str(e)
    for candidate in (word, word.removesuffix("S")):
        if candidate in units:
            return candidate
    msg = f"{name} has no unit {word}{did_you_mean(word, units)}"
    raise FunctionArgumentsError(msg, remedy=f"write one of {', '.join(units)}")


def local(kernel: Kernel, position: int = 0) -> Kernel:
    """A kernel on local times: an instant becomes what the session's clock shows."""

    def wrapped(ev: Evaluation, *values: Value) -> Value:
        changed = list(values)
        changed[position] = zones.to_local(changed[position], ev.context.time_zone)
        return kernel(ev, *changed)

    return wrapped


# ------------------------------------------------------------------------------------------ EXTRACT


def _split(x: dates.Ints, kind: SqlType) -> tuple[dates.Ints, dates.Ints, int]:
    """Days, ticks of the day, and ticks of a second."""
    if kind.root is TypeRoot.DATE:
        return x, np.zeros_like(x), 1000
    if kind.root is TypeRoot.TIME:
        return np.zeros_like(x), x, 1000
    unit = t.time_unit(kind.precision)
    days, ticks = dates.fields_of(x, unit)
    return days, ticks, dates.TICKS[unit]


def _day_part(unit: str) -> Callable[[dates.Ints], dates.Ints]:
    def compute(days: dates.Ints) -> dates.Ints:
        if unit in {"DOW", "ISODOW"}:
            monday = (days + 3) % 7
            return (monday + 1) % 7 + 1 if unit == "DOW" else monday + 1
        if unit in {"WEEK", "ISOYEAR"}:
            return dates.iso_week(days)[1 if unit == "WEEK" else 0]
        year, month, day = dates.civil(days)
        match unit:
            case "DAY":
                return day
            case "DOY":
                return days - dates.days_of(year, np.ones_like(year), np.ones_like(year)) + 1
            case "MONTH":
                return month
            case "QUARTER":
                return (month + 2) // 3
            case "YEAR":
                return year
            case "DECADE":
                return year // 10
            case _:
                span = 100 if unit == "CENTURY" else 1000
                return np.where(year > 0, (year + span - 1) // span, -((-year) // span + 1))

    return compute


def _parts(unit: str, kind: SqlType) -> Callable[[dates.Ints], dates.Ints]:
    if unit in {"DECADE", "CENTURY", "MILLENNIUM", "YEAR", "QUARTER", "MONTH"} or (
        unit in {"DAY", "DOY", "DOW", "ISODOW", "WEEK", "ISOYEAR"}
    ):
        by_day = _day_part(unit)
        return lambda x: by_day(_split(x, kind)[0])

    def compute(x: dates.Ints) -> dates.Ints:
        days, ticks, second = _split(x, kind)
        match unit:
            case "HOUR":
                return ticks // (second * 3600)
            case "MINUTE":
                return ticks // (second * 60) % 60
            case "SECOND":
                return ticks // second % 60
            case "EPOCH":
                return days * 86_400 + ticks // second
            case _:
                per = {"MILLISECOND": 1000, "MICROSECOND": 10**6, "NANOSECOND": 10**9}[unit]
                fraction = ticks % second
                scaled = (
                    fraction * (per // second) if per >= second else fraction // (second // per)
                )
                return scaled

    return compute


def _interval_parts(unit: str, kind: SqlType) -> Callable[[dates.Ints], dates.Ints]:
    """Parts of an interval, with its sign."""

    def compute(x: dates.Ints) -> dates.Ints:
        size, sign = np.abs(x), np.sign(x)
        found: dates.Ints
        if kind.root is TypeRoot.YEAR_MONTH:
            found = sign * (size // 12 if unit == "YEAR" else size % 12)
            return found
        whole = {"DAY": size // 86_400_000, "HOUR": size // 3_600_000 % 24}
        whole |= {"MINUTE": size // 60_000 % 60, "SECOND": size // 1000 % 60}
        found = sign * whole.get(unit, size % 1000)
        return found

    return compute


def _bind_extract(args: Sequence[Expression]) -> Expression:
    if len(args) != 2 or not args[1].type.is_in(DATETIME | INTERVAL):
        raise not_taken(function("EXTRACT"), args)
    unit = unit_of(args[0], _UNITS, "EXTRACT")
    kind = args[1].type
    months = {"YEAR", "MONTH"}
    fits = (
        unit in months
        if kind.root is TypeRoot.YEAR_MONTH
        else unit in {"DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND"}
        if kind.root is TypeRoot.DAY_TIME
        else True
    )
    if not fits:
        raise not_taken(function("EXTRACT"), args)
    return Call("EXTRACT", (symbol(unit), args[1]), t.BIGINT().with_nullable(kind.nullable))


def _extract(call_: Call) -> Kernel:
    first, value = call_.args
    unit = str(first.value) if isinstance(first, Literal) else ""
    kind = value.type
    interval = kind.is_in(INTERVAL)
    compute = _interval_parts(unit, kind) if interval else _parts(unit, kind)

    def kernel(_ev: Evaluation, x: Value, *_more: Value) -> Value:
        return on_ints(compute, x, pa.int64())

    if kind.root is TypeRoot.TIMESTAMP_LTZ:  # EPOCH too is counted on the local clock
        zoned = local(kernel)
        return lambda ev, _unit, x: zoned(ev, x)
    return lambda ev, _unit, x: kernel(ev, x)


def _bind_part(unit: str) -> Callable[[Sequence[Expression]], Expression]:
    def bind(args: Sequence[Expression]) -> Expression:
        if len(args) != 1:
            raise not_taken(function(unit), args)
        return call("EXTRACT", [symbol(unit), *args])

    return bind


register(
    ScalarFunction(
        "EXTRACT",
        _GROUP,
        prepare=_extract,
        bind=_bind_extract,
        syntax="EXTRACT(unit FROM <DATE, TIME, TIMESTAMP or INTERVAL>)",
        examples=(
            ("EXTRACT(DAY FROM DATE '2006-06-05')", "5"),
            ("EXTRACT(WEEK FROM DATE '2021-01-03')", "53"),
            ("EXTRACT(CENTURY FROM DATE '2001-01-01')", "21"),
            ("EXTRACT(EPOCH FROM TIMESTAMP '1970-01-02 00:00:01')", "86401"),
            ("EXTRACT(MILLISECOND FROM TIMESTAMP '2020-01-01 10:11:12.345')", "345"),
            ("EXTRACT(HOUR FROM TIME '10:11:12')", "10"),
            ("EXTRACT(DAY FROM INTERVAL '3 04:00:00' DAY TO SECOND)", "3"),
            ("EXTRACT(YEAR FROM CAST(NULL AS DATE))", None),
        ),
    ),
    *(
        ScalarFunction(
            name,
            _GROUP,
            bind=_bind_part(unit),
            syntax=f"{name}(<DATE or TIMESTAMP>)",
            examples=((f"{name}({arg})", expected),),
        )
        for name, unit, arg, expected in (
            ("YEAR", "YEAR", "DATE '1994-09-27'", "1994"),
            ("QUARTER", "QUARTER", "DATE '1994-09-27'", "3"),
            ("MONTH", "MONTH", "DATE '1994-09-27'", "9"),
            ("WEEK", "WEEK", "DATE '1994-09-27'", "39"),
            ("DAYOFYEAR", "DOY", "DATE '1994-09-27'", "270"),
            ("DAYOFMONTH", "DAY", "DATE '1994-09-27'", "27"),
            ("DAYOFWEEK", "DOW", "DATE '1994-09-27'", "3"),
            ("HOUR", "HOUR", "TIMESTAMP '1994-09-27 13:14:15'", "13"),
            ("MINUTE", "MINUTE", "TIMESTAMP '1994-09-27 13:14:15'", "14"),
            ("SECOND", "SECOND", "TIMESTAMP '1994-09-27 13:14:15'", "15"),
        )
    ),
)


# ------------------------------------------------------------------------------- FLOOR and CEIL TO

_ROUND_UNITS: Final = (
    *("MILLENNIUM", "CENTURY", "DECADE", "YEAR", "QUARTER", "MONTH", "WEEK", "DAY"),
    *("HOUR", "MINUTE", "SECOND", "MILLISECOND"),
)


def _bind_rounding(name: str) -> Callable[[Sequence[Expression]], Expression]:
    def bind(args: Sequence[Expression]) -> Expression:
        if len(args) != 2 or not args[0].type.is_in(DATETIME):
            raise not_taken(function(name), args)
        unit = unit_of(args[1], _ROUND_UNITS, name)
        return Call(name, (args[0], symbol(unit)), args[0].type)

    return bind


def _floor_days(days: dates.Ints, unit: str, up: bool) -> dates.Ints:
    """The first day of the unit, or the first not before the day."""
    if unit == "DAY":
        return days
    if unit == "WEEK":
        low = days - (days + 4) % 7  # weeks begin on Sunday here, as in the reference
        step = low + 7
    else:
        year, month, _ = dates.civil(days)
        one = np.ones_like(year)
        span = _MONTHS.get(unit, 12_000)
        if span < 100:
            count = (year * 12 + month - 1) // span * span
        else:
            years = span // 12
            # Centuries begin with the year 1; decades with the year 0.
            first = (year - 1) // years * years + 1 if years >= 100 else year // years * years
            count = first * 12
        low = dates.days_of(count // 12, count % 12 + 1, one)
        step = dates.days_of((count + span) // 12, (count + span) % 12 + 1, one)
    return np.where(low == days, low, step) if up else low


def _rounder(unit: str, kind: SqlType, up: bool) -> Callable[[dates.Ints], dates.Ints]:
    second = 1000 if kind.root is TypeRoot.TIME else dates.TICKS[t.time_unit(kind.precision)]
    small = _MS.get(unit, 0) * second // 1000
    per_day = second * 86_400

    def compute(x: dates.Ints) -> dates.Ints:
        if kind.root is TypeRoot.DATE:
            return _floor_days(x, unit, up) if unit not in _MS or unit == "WEEK" else x
        if small and unit not in {"DAY", "WEEK"}:
            return -(-x // small) * small if up else x // small * small
        days = -(-x // per_day) if up else x // per_day
        return _floor_days(days, unit, up) * per_day

    return compute


def _round_to(up: bool) -> Callable[[Call], Kernel]:
    def prepare(call_: Call) -> Kernel:
        unit = call_.args[1]
        kind = call_.args[0].type
        word = str(unit.value) if isinstance(unit, Literal) else ""
        compute = _rounder(word, kind, up)
        if kind.root is not TypeRoot.TIMESTAMP_LTZ:
            return lambda _ev, x, _unit: on_ints(compute, x, kind.to_arrow())
        plain = pa.timestamp(kind.to_arrow().unit)

        def zoned(ev: Evaluation, x: Value, _unit: Value) -> Value:
            zone = ev.context.time_zone
            return zones.to_instant(on_ints(compute, zones.to_local(x, zone), plain), zone)

        return zoned

    return prepare


register(
    ScalarFunction(
        "FLOOR TO",
        _GROUP,
        prepare=_round_to(False),
        bind=_bind_rounding("FLOOR TO"),
        syntax="FLOOR(<DATE, TIME or TIMESTAMP> TO unit)",
        examples=(
            ("FLOOR(TIME '12:44:31' TO MINUTE)", "12:44:00"),
            ("FLOOR(TIMESTAMP '2020-05-17 12:44:31' TO MONTH)", "2020-05-01 00:00:00"),
            ("FLOOR(DATE '2020-05-17' TO YEAR)", "2020-01-01"),
            ("FLOOR(DATE '2020-05-20' TO WEEK)", "2020-05-17"),
            ("FLOOR(TIMESTAMP '2020-05-17 12:44:31' TO HOUR)", "2020-05-17 12:00:00"),
        ),
    ),
    ScalarFunction(
        "CEIL TO",
        _GROUP,
        prepare=_round_to(True),
        bind=_bind_rounding("CEIL TO"),
        syntax="CEIL(<DATE, TIME or TIMESTAMP> TO unit)",
        examples=(
            ("CEIL(TIME '12:44:31' TO MINUTE)", "12:45:00"),
            ("CEIL(TIMESTAMP '2020-05-17 12:44:31' TO MONTH)", "2020-06-01 00:00:00"),
            ("CEIL(DATE '2020-05-17' TO QUARTER)", "2020-07-01"),
            ("CEIL(TIMESTAMP '2020-05-17 00:00:00' TO DAY)", "2020-05-17 00:00:00"),
        ),
    ),
)


# ------------------------------------------------------------------------------ adding and distance

_DIFF_UNITS: Final = (
    *("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND"),
)


def _bind_add(args: Sequence[Expression]) -> Expression:
    if len(args) != 3 or not args[1].type.is_in(t.INTEGER) or not args[2].type.is_in(DATETIME):
        raise not_taken(function("TIMESTAMPADD"), args)
    unit = unit_of(args[0], _DIFF_UNITS, "TIMESTAMPADD")
    months = unit in _MONTHS
    kind = t.INTERVAL_YEAR_MONTH() if months else t.INTERVAL_DAY_TIME()
    factor = _MONTHS[unit] if months else _MS[unit]
    one = Literal(factor, kind.not_null())
    moment = args[2]
    interval: Expression = call("*", [one, args[1]])
    if isinstance(args[1], Literal) and args[1].value is not None:
        interval = Literal(factor * args[1].value, kind.not_null())
    if moment.type.root is TypeRoot.DATE and not months and unit not in {"DAY", "WEEK"}:
        moment = cast(moment, t.TIMESTAMP(6))
    elif moment.type.root is TypeRoot.DATE and not months:
        kind_ = moment.type.with_nullable(moment.type.nullable or interval.type.nullable)
        return Call("+", (moment, interval), kind_)
    return call("+", [moment, interval])


def _bind_diff(args: Sequence[Expression]) -> Expression:
    if len(args) != 3 or not all(a.type.is_in(DATETIME) for a in args[1:]):
        raise not_taken(function("TIMESTAMPDIFF"), args)
    unit = unit_of(args[0], _DIFF_UNITS, "TIMESTAMPDIFF")
    values = list(args[1:])
    roots = {v.type.root for v in values}
    if TypeRoot.TIME in roots and len(roots) > 1:
        raise not_taken(function("TIMESTAMPDIFF"), args)
    if roots != {TypeRoot.TIME}:
        precision = max(v.type.precision for v in values)
        zoned = TypeRoot.TIMESTAMP_LTZ in roots
        # Months between instants are counted on the session's clock.
        kind = t.TIMESTAMP_LTZ(precision) if zoned and unit in _MS else t.TIMESTAMP(precision)
        values = [coerce(v, kind.with_nullable(v.type.nullable)) for v in values]
    nullable = any(v.type.nullable for v in values)
    return Call("TIMESTAMPDIFF", (symbol(unit), *values), t.INT().with_nullable(nullable))


def _months_between(a: dates.Ints, b: dates.Ints, per_day: int) -> dates.Ints:
    """Whole months from a to b: one is full when its day and time are reached."""
    backwards = b < a
    low, high = np.where(backwards, b, a), np.where(backwards, a, b)
    (y0, m0, _), (y1, m1, _) = dates.civil(low // per_day), dates.civil(high // per_day)
    count = (y1 - y0) * 12 + m1 - m0
    days = low // per_day
    reached = dates.add_months(days, count) * per_day + (low - days * per_day)
    count = count - (reached > high)
    found: dates.Ints = np.where(backwards, -count, count)
    return found


def _diff(call_: Call) -> Kernel:
    first = call_.args[0]
    unit = str(first.value) if isinstance(first, Literal) else ""
    kind = call_.args[1].type
    second = 1000 if kind.root is TypeRoot.TIME else dates.TICKS[t.time_unit(kind.precision)]

    def compute(a: Any, b: Any) -> Any:
        if unit in _MONTHS:
            a, b = np.broadcast_arrays(a, b)
            months = _months_between(a, b, second * 86_400)
            return np.sign(months) * (np.abs(months) // _MONTHS[unit])
        distance = b - a
        span = _MS[unit] * second // 1000
        return np.sign(distance) * (np.abs(distance) // span)

    return lambda _ev, _unit, a, b: on_two(compute, a, b, pa.int32())


register(
    ScalarFunction(
        "TIMESTAMPADD",
        _GROUP,
        bind=_bind_add,
        syntax="TIMESTAMPADD(unit, <INT>, <DATE, TIME or TIMESTAMP>)",
        examples=(
            ("TIMESTAMPADD(WEEK, 1, DATE '2003-01-02')", "2003-01-09"),
            ("TIMESTAMPADD(MONTH, 1, TIMESTAMP '2020-01-31 10:00:00')", "2020-02-29 10:00:00"),
            ("TIMESTAMPADD(HOUR, -1, TIMESTAMP '2020-01-31 10:00:00')", "2020-01-31 09:00:00"),
        ),
    ),
    ScalarFunction(
        "TIMESTAMPDIFF",
        _GROUP,
        prepare=_diff,
        bind=_bind_diff,
        syntax="TIMESTAMPDIFF(unit, <DATE or TIMESTAMP>, <DATE or TIMESTAMP>)",
        examples=(
            ("TIMESTAMPDIFF(DAY, TIMESTAMP '2003-01-02 10:00:00', "
             "TIMESTAMP '2003-01-03 10:00:00')", "1"),
            ("TIMESTAMPDIFF(MONTH, DATE '2020-01-31', DATE '2020-02-29')", "1"),
            ("TIMESTAMPDIFF(MONTH, DATE '2020-01-15', DATE '2020-03-14')", "1"),
            ("TIMESTAMPDIFF(HOUR, TIMESTAMP '2020-01-01 10:30:00', "
             "TIMESTAMP '2020-01-01 09:00:00')", "-1"),
            ("TIMESTAMPDIFF(YEAR, DATE '2016-02-29', DATE '2020-02-28')", "3"),
        ),
    ),
)  # fmt: skip


# ----------------------------------------------------------------------------------------- OVERLAPS


def _bind_overlaps(args: Sequence[Expression]) -> Expression:
    if len(args) != 4:
        raise not_taken(function("OVERLAPS"), args)
    starts, ends = [args[0], args[2]], []
    for start, end in ((args[0], args[1]), (args[2], args[3])):
        ends.append(call("+", [start, end]) if end.type.is_in(INTERVAL) else end)
    first, second = (
        (call("LEAST", [s, e]), call("GREATEST", [s, e])) for s, e in zip(starts, ends, strict=True)
    )
    return call("AND", [call(">=", [first[1], second[0]]), call(">=", [second[1], first[0]])])


register(
    ScalarFunction(
        "OVERLAPS",
        _GROUP,
        bind=_bind_overlaps,
        aliases=("TEMPORAL_OVERLAPS",),
        syntax="(start, end or length) OVERLAPS (start, end or length)",
        examples=(
            ("(TIME '2:55:00', INTERVAL '1' HOUR) OVERLAPS (TIME '3:30:00', INTERVAL '2' HOUR)",
             "TRUE"),
            ("(TIME '9:00:00', TIME '10:00:00') OVERLAPS (TIME '10:15:00', INTERVAL '3' HOUR)",
             "FALSE"),
        ),
    )
)  # fmt: skip


# ---------------------------------------------------------------------------- clock and watermark


def _instant(ev: Evaluation) -> Value:
    return pa.scalar(ev.context.now_ms, pa.timestamp("ms", "UTC"))


def _clock(name: str, kind: SqlType, *examples: tuple[str, str | None], **more: Any) -> None:
    def kernel(ev: Evaluation) -> Value:
        now = _instant(ev)
        if kind.root is TypeRoot.TIMESTAMP_LTZ:
            return now
        shown = zones.to_local(now, ev.context.time_zone)
        if kind.root is TypeRoot.DATE:
            return pa.scalar(shown.cast(pa.int64()).as_py() // dates.DAY_MS, pa.date32())
        if kind.root is TypeRoot.TIME:
            millis = shown.cast(pa.int64()).as_py() % dates.DAY_MS
            return pa.scalar(millis // 1000 * 1000, pa.time32("ms"))
        return shown

    register(
        ScalarFunction(
            name,
            _GROUP,
            (sig(to=kind),),
            lambda _call: kernel,
            nullable="never",
            dynamic=True,
            examples=examples,
            **more,
        )
    )


_clock("CURRENT_DATE", t.DATE(), ("CURRENT_DATE >= DATE '2023-01-01'", "TRUE"))
_clock("LOCALTIME", t.TIME(0), ("LOCALTIME >= TIME '00:00:00'", "TRUE"), aliases=("CURRENT_TIME",))
_clock("LOCALTIMESTAMP", t.TIMESTAMP(3), ("YEAR(LOCALTIMESTAMP) >= 2023", "TRUE"))
_clock(
    "CURRENT_TIMESTAMP", t.TIMESTAMP_LTZ(3), ("YEAR(CURRENT_TIMESTAMP) >= 2023", "TRUE"),
    aliases=("NOW",),
)  # fmt: skip
_clock("CURRENT_ROW_TIMESTAMP", t.TIMESTAMP_LTZ(3), ("YEAR(CURRENT_ROW_TIMESTAMP()) > 1", "TRUE"))
_clock(
    "PROCTIME", t.TIMESTAMP_LTZ(3), ("YEAR(PROCTIME()) >= 2023", "TRUE"),
    aliases=("PROCTIME_MATERIALIZE",),
)  # fmt: skip


def _watermark(call_: Call) -> Kernel:
    arrow = call_.type.to_arrow()
    return lambda ev, _column: pa.scalar(ev.context.watermark_ms, arrow)


def _three_digits(types: tuple[SqlType, ...]) -> SqlType:
    of = t.TIMESTAMP if types[0].root is TypeRoot.TIMESTAMP else t.TIMESTAMP_LTZ
    return of(3)


register(
    ScalarFunction(
        "CURRENT_WATERMARK",
        _GROUP,
        (sig(p.kind_of("rowtime", TIMESTAMPS, t.TIMESTAMP(3)), to=_three_digits),),
        _watermark,
        nullable="always",
        dynamic=True,
        examples=(("CURRENT_WATERMARK(TIMESTAMP '2020-01-01 00:00:00') IS NULL", "TRUE"),),
    )
)

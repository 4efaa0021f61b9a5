"""Dates and times from text and to text, by Java's patterns; Unix time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql import dates, zones
from lesto.sql import types as t
from lesto.sql.builder import bind_signature, call, cast, literal
from lesto.sql.casts.parse import read_date, read_timestamp
from lesto.sql.expressions import Call, Expression
from lesto.sql.functions import params as p
from lesto.sql.functions.strings import constant
from lesto.sql.functions.table import ScalarFunction, function, register, sig
from lesto.sql.patterns import Moment, date_pattern, to_epoch_seconds
from lesto.sql.types import CHARACTER, INTEGER, TypeRoot
from lesto.sql.values import (
    Evaluation,
    Kernel,
    Value,
    ints,
    is_scalar,
    per_row,
    scalar_array,
)

_GROUP: Final = "temporal"
_DEFAULT: Final = "yyyy-MM-dd HH:mm:ss"
_TEXT: Final = pa.string()
_MILLIS: Final = pa.timestamp("ms")
_NO_TIME: Final = -(1 << 63)
_KIND: Final = t.TIMESTAMP(3)
#: A decimal number of seconds loses its fraction; that of a DOUBLE counts.
_WHOLE: Final = p.kind_of("DECIMAL", {TypeRoot.DECIMAL}, t.BIGINT(), to=t.BIGINT())


# -------------------------------------------------------------------------------------- DATE_FORMAT


def _bind_format(args: Sequence[Expression]) -> Expression:
    if len(args) == 2 and args[0].type.root is TypeRoot.DATE:
        args = [cast(args[0], t.TIMESTAMP(3)), args[1]]
    return bind_signature(function("DATE_FORMAT"), args)


def _reformat(text: str, pattern: str) -> str | None:
    found = date_pattern(_DEFAULT).read(text, lenient=True)
    return None if found is None else date_pattern(pattern).format_one(_millis(found), "ms")


def _date_format(call_: Call) -> Kernel:
    if call_.args[0].type.is_in(CHARACTER):
        return per_row(_reformat, _TEXT)
    zoned = call_.args[0].type.root is TypeRoot.TIMESTAMP_LTZ
    text = constant(call_.args[1])
    if text is not None:
        date_pattern(text)

    def kernel(ev: Evaluation, moment: Value, pattern: Value) -> Value:
        local = zones.to_local(moment, ev.context.time_zone) if zoned else moment
        if text is None:
            unit = local.type.unit
            by_row = per_row(lambda x, y: date_pattern(y).format_one(x, unit), _TEXT)
            return by_row(ev, local, pattern)
        if is_scalar(local):
            return date_pattern(text).format(scalar_array(local))[0]
        return date_pattern(text).format(local)

    return kernel


# -------------------------------------------------------------------------------- TO_TIMESTAMP, ...


def _millis(moment: Moment) -> int:
    return moment.seconds * 1000 + moment.nanos // 1_000_000


def read_moment(text: str, pattern: str) -> int | None:
    """Milliseconds of a local time by a pattern, or in the default form if it has that."""
    found = date_pattern(pattern).read(text)
    if found is not None:
        return _millis(found)
    stripped = text.strip()
    if " " in stripped:
        return read_timestamp(stripped, _KIND)
    days = read_date(stripped) if stripped.count("-") == 2 else None
    return None if days is None else days * dates.DAY_MS


def _to_timestamp(call_: Call) -> Kernel:
    text = constant(call_.args[1])
    by_row = per_row(read_moment, _MILLIS)
    if text is None:
        return by_row
    pattern = date_pattern(text)

    def kernel(ev: Evaluation, value: Value, format_: Value) -> Value:
        fast = None if is_scalar(value) else pattern.read_column(value, _MILLIS)
        return by_row(ev, value, format_) if fast is None else fast

    return kernel


def _bind_to_timestamp(args: Sequence[Expression]) -> Expression:
    if len(args) == 1 and args[0].type.root in CHARACTER | {TypeRoot.NULL}:
        return cast(args[0], t.TIMESTAMP(3), attempt=True)
    return bind_signature(function("TO_TIMESTAMP"), args)


def _to_date(text: str, pattern: str) -> int | None:
    found = date_pattern(pattern).read(text, lenient=True)
    return None if found is None else found.seconds // 86_400


def _bind_to_date(args: Sequence[Expression]) -> Expression:
    if len(args) == 1 and args[0].type.root in CHARACTER | {TypeRoot.NULL}:
        return cast(args[0], t.DATE(), attempt=True)
    return bind_signature(function("TO_DATE"), args)


def _bind_to_ltz(args: Sequence[Expression]) -> Expression:
    if len(args) == 1:
        more = [literal(_DEFAULT)] if args[0].type.is_in(CHARACTER) else [literal(3)]
        args = [*args, *more]
    found = bind_signature(function("TO_TIMESTAMP_LTZ"), args)
    if found.args[0].type.is_in(CHARACTER):
        local = call("TO_TIMESTAMP", found.args[:2])
        if len(args) == 2:
            return Call("LOCAL TO INSTANT", (local, literal("UTC")), t.TIMESTAMP_LTZ(3))
        return Call("LOCAL TO INSTANT", (local, args[2]), t.TIMESTAMP_LTZ(3))
    return found


def _epoch_to_instant(call_: Call) -> Kernel:
    digits = constant(call_.args[1])
    whole = call_.args[0].type.is_in(INTEGER)
    arrow = call_.type.to_arrow()
    if digits not in {0, 3}:
        return lambda ev, _v, _d: pa.nulls(ev.rows, arrow)
    if whole:
        times = 1000 if digits == 0 else 1
        return lambda _ev, value, _d: _from_millis(pc.multiply(value, times), arrow)
    factor = 1000.0 if digits == 0 else 1.0

    def kernel(_ev: Evaluation, value: Value, _d: Value) -> Value:
        return _from_millis(pc.cast(pc.multiply(value, factor), pa.int64(), safe=False), arrow)

    return kernel


def _from_millis(value: Value, arrow: pa.DataType) -> Value:
    return pc.cast(value, arrow)


def _local_to_instant(ev: Evaluation, local: Value, zone: Value) -> Value:
    if is_scalar(zone):
        if not zone.is_valid:
            return pa.scalar(None, pa.timestamp("ms", "UTC"))
        return zones.to_instant(local, zone.as_py())

    def one(ms: int, name: str) -> int:
        found = zones.to_instant(pa.scalar(ms, _MILLIS), name)
        return int(found.cast(pa.int64()).as_py())

    return per_row(one, pa.timestamp("ms", "UTC"))(ev, local, zone)


# ---------------------------------------------------------------------------------------- Unix time


def _with_default(name: str, default: str) -> Callable[[Sequence[Expression]], Expression]:
    def bind(args: Sequence[Expression]) -> Expression:
        if len(args) == 1:
            args = [*args, literal(default)]
        return bind_signature(function(name), args)

    return bind


def _from_unixtime(call_: Call) -> Kernel:
    text = constant(call_.args[1])

    def kernel(ev: Evaluation, seconds: Value, pattern: Value) -> Value:
        instant = pc.cast(seconds, pa.timestamp("s", "UTC"))
        local = zones.to_local(instant, ev.context.time_zone)
        if text is None:
            by_row = per_row(lambda x, y: date_pattern(y).format_one(x, "s"), _TEXT)
            return by_row(ev, local, pattern)
        if is_scalar(local):
            return date_pattern(text).format(scalar_array(local))[0]
        return date_pattern(text).format(local)

    return kernel


def _unix_timestamp(call_: Call) -> Kernel:
    if not call_.args:
        return lambda ev: pa.scalar(ev.context.now_ms // 1000)

    def kernel(ev: Evaluation, text: Value, pattern: Value) -> Value:
        zone = ev.context.time_zone

        def one(value: str, form: str) -> int:
            found = date_pattern(form).read(value, lenient=True)
            return _NO_TIME if found is None else to_epoch_seconds(found, zone)

        return per_row(one, pa.int64())(ev, text, pattern)

    return kernel


def _bind_unix_timestamp(args: Sequence[Expression]) -> Expression:
    if not args:
        return Call("UNIX_TIMESTAMP", (), t.BIGINT().not_null())
    if len(args) == 1:
        args = [*args, literal(_DEFAULT)]
    return bind_signature(function("UNIX_TIMESTAMP"), args)


def _convert_tz(text: str, source: str, target: str) -> str | None:
    found = date_pattern(_DEFAULT).read(text, lenient=True)
    if found is None:
        return None
    instant = pa.scalar(to_epoch_seconds(found, source), pa.timestamp("s", "UTC"))
    local = zones.to_local(instant, target)
    return date_pattern(_DEFAULT).format_one(int(ints(scalar_array(local))[0]), "s")


def _define(
    name: str,
    signatures: Sequence[Any],
    prepare: Callable[[Call], Kernel],
    *examples: tuple[str, str | None],
    **more: Any,
) -> None:
    group = more.pop("group", _GROUP)
    register(ScalarFunction(name, group, tuple(signatures), prepare, examples=examples, **more))


_define(
    "DATE_FORMAT",
    [sig(p.TIMESTAMP, p.STRING, to=t.STRING()), sig(p.STRING, p.STRING, to=t.STRING())],
    _date_format,
    ("DATE_FORMAT(TIMESTAMP '2020-05-17 12:44:31', 'yyyy-MM-dd')", "2020-05-17"),
    ("DATE_FORMAT(TIMESTAMP '2020-05-17 12:44:31', 'HH:mm')", "12:44"),
    ("DATE_FORMAT(TIMESTAMP '2020-05-07 01:04:31.123', 'd/M/yy h:mm a SSS')", "7/5/20 1:04 AM 123"),
    ("DATE_FORMAT(TIMESTAMP '2020-05-17 12:44:31', 'EEE, MMM d')", "Sun, May 17"),
    ("DATE_FORMAT('2020-05-17 12:44:31', 'yyyyMMdd')", "20200517"),
    bind=_bind_format, fallible=lambda c: constant(c.args[1]) is None, nullable="always",
    syntax="DATE_FORMAT(<TIMESTAMP or STRING>, pattern)",
)  # fmt: skip
_define(
    "TO_TIMESTAMP", [sig(p.STRING, p.STRING, to=t.TIMESTAMP(3))], _to_timestamp,
    ("TO_TIMESTAMP('2020-05-17 12:44:31')", "2020-05-17 12:44:31.000"),
    ("TO_TIMESTAMP('17/05/2020 12:44', 'dd/MM/yyyy HH:mm')", "2020-05-17 12:44:00.000"),
    ("TO_TIMESTAMP('20200517', 'yyyyMMdd')", "2020-05-17 00:00:00.000"),
    ("TO_TIMESTAMP('x')", None), ("TO_TIMESTAMP('2020-13-01', 'yyyy-MM-dd')", None),
    bind=_bind_to_timestamp, nullable="always", costly=True,
    fallible=lambda c: constant(c.args[1]) is None,
    syntax="TO_TIMESTAMP(<STRING>), TO_TIMESTAMP(<STRING>, pattern)",
)  # fmt: skip
_define(
    "TO_DATE", [sig(p.STRING, p.STRING, to=t.DATE())], lambda _c: per_row(_to_date, pa.date32()),
    ("TO_DATE('2020-05-17')", "2020-05-17"), ("TO_DATE('17.05.2020', 'dd.MM.yyyy')", "2020-05-17"),
    ("TO_DATE('x')", None), bind=_bind_to_date, nullable="always", costly=True,
    fallible=lambda c: constant(c.args[1]) is None,
    syntax="TO_DATE(<STRING>), TO_DATE(<STRING>, pattern)",
)  # fmt: skip
_define(
    "TO_TIMESTAMP_LTZ",
    [
        sig(p.BIGINT, p.INT_LITERAL, to=t.TIMESTAMP_LTZ(3)),
        sig(_WHOLE, p.INT_LITERAL, to=t.TIMESTAMP_LTZ(3)),
        sig(p.DOUBLE, p.INT_LITERAL, to=t.TIMESTAMP_LTZ(3)),
        sig(p.STRING, p.STRING, to=t.TIMESTAMP_LTZ(3)),
        sig(p.STRING, p.STRING, p.STRING, to=t.TIMESTAMP_LTZ(3)),
    ],
    _epoch_to_instant,
    ("TO_TIMESTAMP_LTZ(100, 3)", "1970-01-01 00:00:00.100"),
    ("TO_TIMESTAMP_LTZ(100, 0)", "1970-01-01 00:01:40.000"),
    ("TO_TIMESTAMP_LTZ(1700000000123)", "2023-11-14 22:13:20.123"),
    ("TO_TIMESTAMP_LTZ('2023-01-01 00:00:00')", "2023-01-01 00:00:00.000"),
    ("TO_TIMESTAMP_LTZ('2023-01-01 00:00:00', 'yyyy-MM-dd HH:mm:ss', 'Asia/Shanghai')",
     "2022-12-31 16:00:00.000"),
    bind=_bind_to_ltz, nullable="always",
    syntax="TO_TIMESTAMP_LTZ(<NUMERIC>[, 0 or 3]), TO_TIMESTAMP_LTZ(<STRING>[, pattern[, zone]])",
)  # fmt: skip
_define(
    "LOCAL TO INSTANT", [sig(p.TIMESTAMP, p.STRING, to=t.TIMESTAMP_LTZ(3))],
    lambda _call: _local_to_instant, ("TO_TIMESTAMP_LTZ('1970-01-01 00:00:01')",
    "1970-01-01 00:00:01.000"), group="internal", fallible=True,
    syntax="what TO_TIMESTAMP_LTZ makes of a local time",
)  # fmt: skip
_define(
    "FROM_UNIXTIME", [sig(p.BIGINT, p.STRING, to=t.STRING())], _from_unixtime,
    ("FROM_UNIXTIME(44)", "1970-01-01 00:00:44"), ("FROM_UNIXTIME(44, 'mm:ss')", "00:44"),
    bind=_with_default("FROM_UNIXTIME", _DEFAULT), fallible=lambda c: constant(c.args[1]) is None,
    syntax="FROM_UNIXTIME(<BIGINT>[, pattern])",
)  # fmt: skip
_define(
    "UNIX_TIMESTAMP", [sig(p.STRING, p.STRING, to=t.BIGINT())], _unix_timestamp,
    ("UNIX_TIMESTAMP('1970-01-01 08:00:01')", "28801"),
    ("UNIX_TIMESTAMP('1970-01-01 08:00:01.001 +0800', 'yyyy-MM-dd HH:mm:ss.SSS X')", "1"),
    ("UNIX_TIMESTAMP('x')", "-9223372036854775808"), ("UNIX_TIMESTAMP() > 1600000000", "TRUE"),
    bind=_bind_unix_timestamp, dynamic=True, costly=True,
    fallible=lambda c: len(c.args) == 2 and constant(c.args[1]) is None,
    syntax="UNIX_TIMESTAMP(), UNIX_TIMESTAMP(<STRING>[, pattern])",
)  # fmt: skip
_define(
    "CONVERT_TZ", [sig(p.STRING, p.STRING, p.STRING, to=t.STRING())],
    lambda _c: per_row(_convert_tz, _TEXT),
    ("CONVERT_TZ('1970-01-01 00:00:00', 'UTC', 'America/Los_Angeles')", "1969-12-31 16:00:00"),
    ("CONVERT_TZ('1970-01-01 00:00:00', 'GMT-08:00', 'UTC')", "1970-01-01 08:00:00"),
    costly=True, fallible=True, nullable="always",
)  # fmt: skip

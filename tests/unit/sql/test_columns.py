"""Column-wise kernels beside plain Python: random columns, NULLs, odd values, slices."""

# ruff: noqa: DTZ001

import datetime as dt
import decimal
import math
import operator
import re
import zoneinfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesto.sql import dates, zones
from lesto.sql import types as t
from lesto.sql.builder import call, cast, literal
from lesto.sql.casts import parse
from lesto.sql.casts.text import java_double
from lesto.sql.evaluator import compile_expressions
from lesto.sql.expressions import InputRef
from lesto.sql.java_regex import java_regex, like_to_regex
from lesto.sql.json_path import PathError, evaluate, json_path
from lesto.sql.patterns import date_pattern

FEW = settings(max_examples=40, deadline=None)
EPOCH = dt.datetime(1970, 1, 1)
MOMENTS = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59))


def nullable(values, least=0):
    return st.lists(st.none() | values, min_size=least, max_size=40)


def compute(build, columns, types):
    refs = [InputRef(i, kind) for i, kind in enumerate(types)]
    arrays = [pa.array(c, k.to_arrow()) for c, k in zip(columns, types, strict=True)]
    batch = pa.record_batch(arrays, [str(i) for i in range(len(arrays))])
    return compile_expressions([build(*refs)]).evaluate(batch)[0].to_pylist()


# ------------------------------------------------------------------------------------------ numbers


def wrap(number, bits):
    return (number + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


@FEW
@given(
    st.data(),
    st.sampled_from(["+", "-", "*", "/", "%"]),
    st.sampled_from([t.TINYINT(), t.INT(), t.BIGINT()]),
)
def test_integer_arithmetic_is_javas(data, op, kind):
    bits = kind.to_arrow().bit_width
    number = st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) | st.sampled_from(
        [-1, 1, 2 ** (bits - 1) - 1, -(2 ** (bits - 1))]
    )
    rows = data.draw(
        st.lists(st.tuples(st.none() | number, st.none() | number.filter(bool)), max_size=30)
    )
    found = compute(
        lambda a, b: call(op, [a, b]), list(zip(*rows, strict=True)) or [[], []], [kind, kind]
    )

    def expected(a, b):
        if a is None or b is None:
            return None
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) if op in "/%" else 0
        exact = {"+": a + b, "-": a - b, "*": a * b, "/": quotient, "%": a - quotient * b}[op]
        return wrap(exact, bits)

    assert found == [expected(a, b) for a, b in rows]


OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}
DECIMALS = st.decimals(-(10**8), 10**8, places=3, allow_nan=False)


@FEW
@given(st.data(), st.sampled_from(["+", "-", "*", "/", "%"]))
def test_decimal_arithmetic_is_exact_and_rounds_half_up(data, op):
    a_type, b_type = t.DECIMAL(12, 3), t.DECIMAL(14, 5)
    other = st.decimals(-(10**6), 10**6, places=5, allow_nan=False).filter(bool)
    rows = data.draw(st.lists(st.tuples(st.none() | DECIMALS, st.none() | other), max_size=30))
    columns = list(zip(*rows, strict=True)) or [[], []]
    expression = call(op, [InputRef(0, a_type), InputRef(1, b_type)])
    found = compute(lambda *_: expression, columns, [a_type, b_type])
    unit = decimal.Decimal(1).scaleb(-expression.type.scale)
    with decimal.localcontext(prec=80, rounding=decimal.ROUND_HALF_UP):
        for (a, b), got in zip(rows, found, strict=True):
            if a is None or b is None:
                assert got is None
                continue
            exact = OPERATORS[op](a, b)
            assert got == exact.quantize(unit), (a, b)


def test_decimals_too_large_are_null():
    big = decimal.Decimal("9" * 38)
    found = compute(lambda a: call("*", [a, a]), [[big, decimal.Decimal(3)]], [t.DECIMAL(38, 0)])
    assert found == [None, 9]


@FEW
@given(nullable(st.floats(-1e12, 1e12)), st.integers(0, 6))
def test_rounding_doubles_rounds_their_shortest_decimal(values, digits):
    found = compute(lambda a: call("ROUND", [a, literal(digits)]), [values], [t.DOUBLE()])

    def expected(x):
        unit = decimal.Decimal(1).scaleb(-digits)
        context = decimal.Context(prec=100)
        return float(decimal.Decimal(repr(x)).quantize(unit, decimal.ROUND_HALF_UP, context))

    assert found == [None if v is None else expected(v) for v in values]


@FEW
@given(st.floats())
def test_javas_text_of_a_double_is_that_double(number):
    text = java_double(number)
    back = float(text.replace("Infinity", "inf"))
    assert back == number or (math.isnan(back) and math.isnan(number))
    assert ("E" in text) == (
        math.isfinite(number) and number != 0 and not 1e-3 <= abs(number) < 1e7
    )


@FEW
@given(nullable(st.text("0123456789+-. eE", max_size=6) | st.integers(-300, 300).map(str), 8))
def test_reading_integers_fast_and_slow_agree(values):
    found = compute(lambda a: cast(a, t.SMALLINT(), attempt=True), [values], [t.STRING()])
    assert found == [None if v is None else parse.read_integer(v, 16) for v in values]


# ------------------------------------------------------------------------------- dates and patterns


def ticks(moments, unit):
    return pa.array(moments, pa.timestamp(unit))


@FEW
@given(nullable(MOMENTS), st.sampled_from(["ms", "us"]))
def test_timestamps_as_text_and_back(values, unit):
    precision = 3 if unit == "ms" else 6
    kind = t.TIMESTAMP(precision)
    cut = [
        None
        if v is None
        else v.replace(microsecond=v.microsecond // 10 ** (6 - precision) * 10 ** (6 - precision))
        for v in values
    ]
    text = compute(lambda a: cast(a, t.STRING()), [cut], [kind])
    assert text == [
        None if v is None else v.isoformat(" ", "microseconds")[: 20 + precision] for v in cut
    ]
    assert compute(lambda a: cast(a, kind), [text], [t.STRING()]) == cut


STRFTIME = {
    "yyyy-MM-dd": "%Y-%m-%d",
    "HH:mm": "%H:%M",
    "yyyyMMddHHmmss": "%Y%m%d%H%M%S",
    "dd.MM.yy hh a": "%d.%m.%y %I %p",
    "EEE, MMM dd": "%a, %b %d",
    "EEEE MMMM DDD": "%A %B %j",
    "ss.SSS": None,
    "'at' H": None,
}


@FEW
@given(nullable(MOMENTS), st.sampled_from(sorted(STRFTIME)))
def test_date_format_is_strftime(values, pattern):
    found = compute(
        lambda a: call("DATE_FORMAT", [a, literal(pattern)]),
        [[None if v is None else v.replace(microsecond=0) for v in values]],
        [t.TIMESTAMP(3)],
    )

    def expected(v):
        if pattern == "ss.SSS":
            return f"{v.second:02}.000"
        if pattern == "'at' H":
            return f"at {v.hour}"
        # Python leaves leading zeros of years to the platform.
        return v.strftime(STRFTIME[pattern].replace("%Y", f"{v.year:04}"))

    assert found == [None if v is None else expected(v) for v in values]


@FEW
@given(nullable(MOMENTS, 8), st.booleans())
def test_reading_by_pattern_inverts_writing(values, broken):
    pattern = "dd/MM/yyyy HH:mm:ss"
    exact = [None if v is None else v.replace(microsecond=0) for v in values]
    texts = compute(lambda a: call("DATE_FORMAT", [a, literal(pattern)]), [exact], [t.TIMESTAMP(3)])
    if broken:
        texts, exact = [*texts, "31/13/2020 00:00:00", "x"], [*exact, None, None]
    assert (
        compute(lambda a: call("TO_TIMESTAMP", [a, literal(pattern)]), [texts], [t.STRING()])
        == exact
    )


@FEW
@given(
    st.lists(st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31)), min_size=1, max_size=30),
    st.integers(-30, 30),
)
def test_calendar_arithmetic(values, months):
    days = np.array([(v - dt.date(1970, 1, 1)).days for v in values])
    year, month, day = dates.civil(days)
    assert [(v.year, v.month, v.day) for v in values] == list(
        zip(year.tolist(), month.tolist(), day.tolist(), strict=True)
    )
    assert (dates.days_of(year, month, day) == days).all()
    weeks = dates.iso_week(days)
    assert [v.isocalendar()[:2] for v in values] == list(
        zip(weeks[0].tolist(), weeks[1].tolist(), strict=True)
    )
    moved = dates.civil(dates.add_months(days, np.int64(months)))
    assert (moved[0] * 12 + moved[1] == year * 12 + month + months).all()
    assert (moved[2] <= day).all()


@FEW
@given(
    st.lists(
        st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2030, 1, 1)), min_size=1, max_size=30
    ),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Tokyo", "GMT+05:30", "UTC"]),
)
def test_instants_and_local_times(values, name):
    instants = pa.array(
        [v.replace(tzinfo=dt.UTC, microsecond=0) for v in values], pa.timestamp("ms", "UTC")
    )
    zone = (
        dt.timezone(dt.timedelta(hours=5, minutes=30)) if "+" in name else zoneinfo.ZoneInfo(name)
    )
    local = zones.to_local(instants, name)
    expected = [v.replace(tzinfo=dt.UTC, microsecond=0).astimezone(zone) for v in values]
    assert local.to_pylist() == [v.replace(tzinfo=None) for v in expected]
    back = zones.to_instant(local, name).to_pylist()
    assert back == [v.replace(fold=0).astimezone(dt.UTC) for v in expected]


def test_a_time_the_clock_skips_is_moved_on():
    gap = pa.array([dt.datetime(2024, 3, 31, 2, 30)], pa.timestamp("ms"))
    instant = zones.to_instant(gap, "Europe/Berlin")
    assert zones.to_local(instant, "Europe/Berlin").to_pylist() == [dt.datetime(2024, 3, 31, 3, 30)]


UNITS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400}


@FEW
@given(nullable(MOMENTS), st.sampled_from(["YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"]))
def test_parts_of_timestamps(values, unit):
    found = compute(
        lambda a: call(unit if unit != "DAY" else "DAYOFMONTH", [a]), [values], [t.TIMESTAMP(6)]
    )
    assert found == [None if v is None else getattr(v, unit.lower()) for v in values]


# ----------------------------------------------------------------------------------- text and regex


@FEW
@given(nullable(st.text("ab%_\n\\.é", max_size=6)), st.text("ab%_.\né", max_size=5))
def test_like_is_its_regular_expression(values, pattern):
    found = compute(lambda a: call("LIKE", [a, literal(pattern)]), [values], [t.STRING()])
    regex = re.compile(like_to_regex(pattern, None))
    assert found == [None if v is None else regex.fullmatch(v) is not None for v in values]


@FEW
@given(
    nullable(st.text("héllo wörld", max_size=8)), st.integers(-9, 9), st.none() | st.integers(0, 9)
)
def test_substring_with_constants_and_columns_agrees(values, start, length):
    more = [] if length is None else [length]
    constant = compute(
        lambda a: call("SUBSTRING", [a, literal(start), *map(literal, more)]),
        [values],
        [t.STRING()],
    )
    columns = [values, [start] * len(values), *[[n] * len(values) for n in more]]
    types = [t.STRING(), t.INT(), *[t.INT() for _ in more]]
    assert constant == compute(lambda *refs: call("SUBSTRING", refs), columns, types)


@FEW
@given(nullable(st.text("a/b", max_size=8)), st.sampled_from(["/", "a", "//"]), st.integers(-1, 5))
def test_split_index(values, separator, index):
    found = compute(
        lambda a: call("SPLIT_INDEX", [a, literal(separator), literal(index)]),
        [values],
        [t.STRING()],
    )

    def expected(text):
        parts = text.split(separator) if text else []
        return parts[index] if 0 <= index < len(parts) else None

    assert found == [None if v is None else expected(v) for v in values]


PATTERNS = [
    "(a|b)c",
    "^a(b*)$",
    "(?i)A(B)",
    "a(x)?b",
    "[a-c]+(\\d)",
    "(&|^)id=([^&]*)",
    ".b",
    "b$",
    "\\s(a)",
    "(?:ab)+(c)",
]


@FEW
@given(
    st.lists(st.none() | st.text("abcAB1&=id x\n\r", max_size=8), min_size=40, max_size=60),
    st.sampled_from(PATTERNS),
    st.integers(0, 2),
)
def test_arrows_regular_expressions_agree_with_pythons(values, pattern, group):
    regex = java_regex(pattern).python
    found = compute(
        lambda a: call("REGEXP_EXTRACT", [a, literal(pattern), literal(group)]),
        [values],
        [t.STRING()],
    )

    def expected(text):
        match = regex.search(text)
        return match[group] if match and group <= regex.groups else None

    assert found == [None if v is None else expected(v) for v in values]
    tested = compute(lambda a: call("REGEXP", [a, literal(pattern)]), [values], [t.STRING()])
    assert tested == [None if v is None else regex.search(v) is not None for v in values]
    replaced = compute(
        lambda a: call("REGEXP_REPLACE", [a, literal(pattern), literal("\\1")]),
        [values],
        [t.STRING()],
    )
    assert replaced == [None if v is None else regex.sub(lambda _m: "\\1", v) for v in values]


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"\p{Upper}\P{Digit}", "Xy", True),
        (r"\Qa.b\E", "axb", False),
        (r"\h+", "\t ", True),
        (r"a++b", "aab", True),
        (r"(?<w>a)\k<w>", "aa", True),
        (r"[\p{Alpha}-]+$", "a-b", True),
        (r"\x41\u0042", "AB", True),
        (r"a\Z", "a\n", True),
        (r"a\z", "a\n", False),
        (r"(?s)a.b", "a\nb", True),
        (r"a.b", "a\rb", False),
        (r"{", "{", True),
        (r"[]a]", "]", True),
        (r"\R", "\r\n", True),
    ],
)
def test_javas_syntax(pattern, text, matches):
    assert (java_regex(pattern).python.search(text) is not None) is matches


# --------------------------------------------------------------------------------------- JSON paths

DOCUMENT = {"a": [{"b": 1, "c d": 2}, {"b": 3}], "e": {"b": [4, 5, 6]}, "n": None}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("$", [DOCUMENT]),
        ("lax $.a[0].b", [1]),
        ("$.a[0]['c d']", [2]),
        ('$["a"][1].b', [3]),
        ("$.a[*].b", [1, 3]),
        ("$..b", [1, 3, [4, 5, 6]]),
        ("$.e.b[-1]", [6]),
        ("$.e.b[0,2]", [4, 6]),
        ("$.e.b[1:]", [5, 6]),
        ("$.e.b[:2]", [4, 5]),
        ("$.e.*", [[4, 5, 6]]),
        ("lax $.x.y", []),
        ("$.n", [None]),
    ],
)
def test_json_paths(path, values):
    assert evaluate(json_path(path), DOCUMENT).values == values


def test_a_strict_path_that_leads_nowhere_fails():
    with pytest.raises(PathError, match="leads nowhere"):
        evaluate(json_path("strict $.x"), DOCUMENT)


def test_patterns_read_leniently_like_simple_date_format():
    lenient = date_pattern("yyyy-MM-dd")
    assert (
        lenient.read("2020-1-32 and more", lenient=True).seconds
        == (dt.datetime(2020, 2, 1) - EPOCH).total_seconds()
    )
    assert lenient.read("2020-1-32") is None
    assert date_pattern("HH:mm X").read("10:00 +02:00").zone == "+02:00"

"""Types: text to type and back, Arrow, decimal rules, common types, casts there are."""

import pickle

import pyarrow as pa
import pytest

from lesto.sql import type_rules
from lesto.sql import types as t
from lesto.sql.errors import InvalidTypeError, NoCommonTypeError
from lesto.sql.type_parser import parse_type


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("INT", "INT"),
        ("integer not null", "INT NOT NULL"),
        ("STRING", "STRING"),
        ("VARCHAR(2147483647)", "STRING"),
        ("VARCHAR(10)", "VARCHAR(10)"),
        ("CHAR", "CHAR(1)"),
        ("CHARACTER VARYING(5)", "VARCHAR(5)"),
        ("BYTES", "BYTES"),
        ("BINARY VARYING(3)", "VARBINARY(3)"),
        ("DECIMAL(10, 2)", "DECIMAL(10, 2)"),
        ("DEC(5)", "DECIMAL(5, 0)"),
        ("NUMERIC", "DECIMAL(10, 0)"),
        ("DOUBLE PRECISION", "DOUBLE"),
        ("TIME(3) WITHOUT TIME ZONE", "TIME(3)"),
        ("TIMESTAMP", "TIMESTAMP(6)"),
        ("TIMESTAMP(3) WITH LOCAL TIME ZONE", "TIMESTAMP_LTZ(3)"),
        ("TIMESTAMP_LTZ(9) NOT NULL", "TIMESTAMP_LTZ(9) NOT NULL"),
        ("INTERVAL YEAR(2) TO MONTH", "INTERVAL YEAR TO MONTH"),
        ("INTERVAL DAY TO SECOND(3)", "INTERVAL DAY TO SECOND"),
        ("INTERVAL HOUR", "INTERVAL DAY TO SECOND"),
        ("ARRAY<INT NOT NULL> NOT NULL", "ARRAY<INT NOT NULL> NOT NULL"),
        ("INT ARRAY", "ARRAY<INT>"),
        ("INT NOT NULL MULTISET", "MULTISET<INT NOT NULL>"),
        ("MAP<STRING, ROW<a INT>>", "MAP<STRING, ROW<`a` INT>>"),
        ("ROW(a INT 'the first', `b c` STRING NOT NULL)", "ROW<`a` INT, `b c` STRING NOT NULL>"),
        ("ROW<>", "ROW<>"),
        ("MULTISET<STRING>", "MULTISET<STRING>"),
    ],
)
def test_a_type_is_read_and_printed_as_flink_prints_it(text, summary):
    found = parse_type(text)
    assert found.summary() == summary
    assert parse_type(summary.replace("TIMESTAMP_LTZ", "TIMESTAMP_LTZ")) == found
    assert pickle.loads(pickle.dumps(found)) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("INTT", r"INTT is no data type \(did you mean 'INT'\?\)"),
        ("DECIMAL(39, 2)", "between 1 and 38, not 39"),
        ("DECIMAL(3, 4)", "between 0 and 3, not 4"),
        ("TIMESTAMP(10)", "between 0 and 9"),
        ("ARRAY<INT", "at its end: expected '>'"),
        ("INT INT", "unexpected 'INT'"),
        ("ROW<a INT, a STRING>", "two fields of a row have one name"),
        ("RAW", "no RAW type"),
        ("VARIANT", "no VARIANT type"),
        ("TIMESTAMP(3) WITH TIME ZONE", "no TIMESTAMP WITH TIME ZONE"),
        ("INTERVAL YEAR TO DAY", "cannot go from YEAR to DAY"),
        ("", "expected a name"),
        ("INT !", "unexpected"),
    ],
)
def test_a_malformed_type_says_where_and_why(text, message):
    with pytest.raises(InvalidTypeError, match=message):
        parse_type(text)


@pytest.mark.parametrize(
    ("kind", "arrow"),
    [
        (t.DECIMAL(5, 2), pa.decimal128(5, 2)),
        (t.TIMESTAMP(3), pa.timestamp("ms")),
        (t.TIMESTAMP(6), pa.timestamp("us")),
        (t.TIMESTAMP_LTZ(9), pa.timestamp("ns", "UTC")),
        (t.TIME(0), pa.time32("ms")),
        (t.CHAR(3), pa.string()),
        (t.INTERVAL_DAY_TIME(), pa.int64()),
        (t.MULTISET(t.STRING()), pa.map_(pa.string(), pa.int32())),
        (t.ROW([("a", t.INT())]), pa.struct([("a", pa.int32())])),
    ],
)
def test_types_are_kept_in_arrow_so(kind, arrow):
    assert kind.to_arrow() == arrow


@pytest.mark.parametrize(
    "kind",
    [
        *(t.BOOLEAN(), t.TINYINT(), t.SMALLINT(), t.INT(), t.BIGINT(), t.FLOAT(), t.DOUBLE()),
        *(t.DECIMAL(38, 18), t.STRING(), t.BYTES(), t.DATE(), t.TIME(3), t.TIMESTAMP(3)),
        *(t.TIMESTAMP_LTZ(6), t.ARRAY(t.INT()), t.MAP(t.STRING(), t.DATE())),
        t.ROW([("a", t.ARRAY(t.TIMESTAMP(9)))]),
    ],
)
def test_arrow_types_come_back_as_they_went(kind):
    assert t.from_arrow(kind.to_arrow()) == kind


def test_other_arrow_types_become_the_next_wider_type():
    assert t.from_arrow(pa.uint32()) == t.BIGINT()
    assert t.from_arrow(pa.uint64()) == t.DECIMAL(20, 0)
    assert t.from_arrow(pa.dictionary(pa.int8(), pa.large_string())) == t.STRING()
    assert t.from_arrow(pa.list_(pa.field("x", pa.int8()), 3)) == t.ARRAY(t.TINYINT())
    with pytest.raises(InvalidTypeError, match="no SQL type holds"):
        t.from_arrow(pa.month_day_nano_interval())


@pytest.mark.parametrize(
    ("rule", "numbers", "summary"),
    [
        (type_rules.added, (10, 2, 5, 4), "DECIMAL(13, 4)"),
        (type_rules.added, (38, 10, 38, 4), "DECIMAL(38, 6)"),
        (type_rules.multiplied, (10, 2, 5, 4), "DECIMAL(16, 6)"),
        (type_rules.multiplied, (38, 18, 38, 18), "DECIMAL(38, 6)"),
        (type_rules.divided, (10, 2, 5, 1), "DECIMAL(17, 8)"),
        (type_rules.divided, (38, 10, 38, 10), "DECIMAL(38, 6)"),
        (type_rules.remainder, (10, 2, 5, 4), "DECIMAL(5, 4)"),
        (type_rules.rounded, (10, 4, 2), "DECIMAL(9, 2)"),
        (type_rules.rounded, (10, 4, -1), "DECIMAL(7, 0)"),
    ],
)
def test_decimal_rules(rule, numbers, summary):
    assert rule(*numbers).with_nullable(True).summary() == summary


@pytest.mark.parametrize(
    ("types", "summary"),
    [
        ("INT|BIGINT|DECIMAL(2, 2)", "DECIMAL(21, 2)"),
        ("TINYINT|SMALLINT", "SMALLINT"),
        ("INT|FLOAT", "FLOAT"),
        ("DECIMAL(5, 2)|FLOAT", "DOUBLE"),
        ("CHAR(3)|CHAR(3)", "CHAR(3)"),
        ("CHAR(3)|CHAR(5)", "VARCHAR(5)"),
        ("CHAR(3)|STRING", "STRING"),
        ("NULL|INT NOT NULL", "INT"),
        ("DATE|TIMESTAMP(3)", "TIMESTAMP(3)"),
        ("TIMESTAMP(6)|TIMESTAMP_LTZ(3)", "TIMESTAMP_LTZ(6)"),
        ("ARRAY<INT>|ARRAY<BIGINT NOT NULL>", "ARRAY<BIGINT>"),
        ("ROW<a INT>|ROW<b DECIMAL(3, 1)>", "ROW<`a` DECIMAL(11, 1)>"),
        ("INT NOT NULL|INT NOT NULL", "INT NOT NULL"),
    ],
)
def test_common_types(types, summary):
    assert type_rules.common_type([parse_type(x) for x in types.split("|")]).summary() == summary


@pytest.mark.parametrize("types", ["INT|STRING", "DATE|TIME", "ARRAY<INT>|INT", "BOOLEAN|INT"])
def test_types_without_a_common_one(types):
    with pytest.raises(NoCommonTypeError, match="no type in common"):
        type_rules.common_type([parse_type(x) for x in types.split("|")])


@pytest.mark.parametrize(
    ("source", "target", "implicit", "explicit"),
    [
        ("INT", "BIGINT", True, True),
        ("BIGINT", "INT", False, True),
        ("STRING", "INT", False, True),
        ("INT", "STRING", False, True),
        ("DATE", "INT", False, False),
        ("DATE", "TIME", False, False),
        ("TIMESTAMP(3)", "DATE", True, True),
        ("BOOLEAN", "DOUBLE", False, True),
        ("DOUBLE", "BOOLEAN", False, False),
        ("ROW<a INT>", "ROW<b STRING>", False, True),
        ("ROW<a INT>", "ROW<a INT, b INT>", False, False),
        ("ARRAY<INT>", "STRING", False, True),
        ("STRING", "ARRAY<INT>", False, False),
        ("INT", "TIMESTAMP(3)", False, False),
    ],
)
def test_casts_there_are(source, target, implicit, explicit):
    a, b = parse_type(source), parse_type(target)
    assert type_rules.casts_implicitly(a, b) is implicit
    assert type_rules.casts_explicitly(a, b) is explicit

"""Formats of tables: SQL's types in JSON and CSV, changes in envelopes."""

import datetime as dt
import decimal
import json
import pickle

import numpy as np
import pyarrow as pa
import pytest

from lesto.common.elements import ColumnarBatch
from lesto.connectors.errors import SchemaMismatchError
from lesto.connectors.formats.changelogs import (
    CanalJsonFormat,
    DebeziumJsonFormat,
    DebeziumJsonWithSchemaFormat,
    MaxwellJsonFormat,
    OggJsonFormat,
)
from lesto.connectors.formats.sql_csv import CsvOptions, SqlCsvFormat
from lesto.connectors.formats.sql_json import JsonOptions, SqlJsonFormat
from lesto.connectors.formats.sql_raw import SqlRawFormat
from lesto.connectors.tables.factory import check_options
from lesto.sql.type_parser import parse_type
from tests.unit.connectors.table_helpers import fields

VALUES = [
    ("BOOLEAN", True, "true"),
    ("TINYINT", -128, "-128"),
    ("BIGINT", 2**63 - 1, str(2**63 - 1)),
    ("DOUBLE", 1.5, "1.5"),
    ("DECIMAL(20, 3)", decimal.Decimal("12345678901234567.125"), "12345678901234567.125"),
    ("STRING", 'a "b", ü', None),
    ("BYTES", b"\x00\xff", "AP8="),
    ("DATE", dt.date(2026, 1, 2), "2026-01-02"),
    ("TIME", dt.time(1, 2, 3), "01:02:03"),
    ("TIMESTAMP(3)", dt.datetime.fromisoformat("2026-01-02T03:04:05.600"), "2026-01-02 03:04:05.6"),
    ("TIMESTAMP(9)", None, ""),
    (
        "TIMESTAMP_LTZ(3)",
        dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
        "2026-01-02 03:04:05Z",
    ),
    ("ARRAY<INT>", [1, 2], "1;2"),
    ("ROW<a INT, b STRING>", {"a": 1, "b": "x"}, "1;x"),
]


def one(kind, value):
    arrow = parse_type(kind).to_arrow()
    return ColumnarBatch(pa.record_batch([pa.array([value], arrow)], names=["v"]))


def back(format_, messages):
    found = format_.decode(messages)
    assert not found.bad, found.bad
    return found.batch.data


@pytest.mark.parametrize(("kind", "value", "text"), VALUES)
def test_json_keeps_values(kind, value, text):
    format_ = pickle.loads(pickle.dumps(SqlJsonFormat(["v"], [parse_type(kind)])))
    batch = one(kind, value)
    (message,) = format_.encode(batch)
    assert back(format_, [message]).equals(batch.data)
    if kind.startswith(("TIME", "DATE")) and value is not None:
        assert json.loads(message) == {"v": text}


@pytest.mark.parametrize(("kind", "value", "text"), VALUES)
def test_csv_keeps_values(kind, value, text):
    format_ = pickle.loads(pickle.dumps(SqlCsvFormat(["v"], [parse_type(kind)])))
    batch = one(kind, value)
    (message,) = format_.encode(batch)
    if text is not None:
        assert message.decode() == text
    assert back(format_, [message]).equals(batch.data)


def test_maps_in_json():
    format_ = SqlJsonFormat(["m"], [parse_type("MAP<STRING, ARRAY<INT>>")])
    data = back(format_, [b'{"m": {"a": [1], "b": null}}'])
    assert data.to_pylist() == [{"m": [("a", [1]), ("b", None)]}]
    assert format_.encode(ColumnarBatch(data)) == [b'{"m":{"a":[1],"b":null}}']


def test_what_json_gives_of_other_values():
    names, kinds = ["i", "s", "b", "t"], ["INT", "STRING", "BOOLEAN", "TIMESTAMP(3)"]
    format_ = SqlJsonFormat(names, list(map(parse_type, kinds)))
    message = b'{"i": " 7 ", "s": {"a": [1]}, "b": "TRUE", "t": "2026-01-02T03:04:05.1239Z"}'
    assert back(format_, [message]).to_pylist() == [
        {
            "i": 7,
            "s": '{"a":[1]}',
            "b": True,
            "t": dt.datetime.fromisoformat("2026-01-02T03:04:05.123"),
        }
    ]


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b'{"i": "x"}', "field 'i': 'x' is no INT"),
        (b'{"i": 2147483648}', "field 'i': 2147483648 is no INT"),
        (b"[1]", "not a JSON object"),
        (b"{", "truncated"),
        (b"\xff", "JSON is malformed"),
    ],
)
def test_bad_json(message, why):
    found = SqlJsonFormat(["i"], [parse_type("INT")]).decode([b'{"i": 1}', message, b"{}"])
    assert [(b.index, b.why) for b in found.bad if why in b.why], found.bad
    assert found.batch.data.to_pylist() == [{"i": 1}, {"i": None}]


def test_lenient_and_complete_json():
    kinds = [parse_type("INT"), parse_type("ROW<x INT>")]
    lenient = SqlJsonFormat(["i", "r"], kinds, JsonOptions(ignore_parse_errors=True))
    found = lenient.decode([b'{"i": "x", "r": {"x": "y"}}', b"nothing"])
    assert found.batch.data.to_pylist() == [{"i": None, "r": {"x": None}}]
    assert lenient.skips_bad_messages
    complete = SqlJsonFormat(["i", "r"], kinds, JsonOptions(fail_on_missing_field=True))
    found = complete.decode([b'{"i": 1, "r": null}', b'{"i": 1}', b'{"i": null, "r": {}}'])
    assert [b.why for b in found.bad] == ["field 'r' is missing", "field 'x' is missing"]


def test_how_json_is_written():
    kinds = [parse_type("DECIMAL(10, 8)"), parse_type("TIMESTAMP(3)"), parse_type("INT")]
    options = JsonOptions(iso_timestamps=True, plain_decimals=True, ignore_null_fields=True)
    format_ = SqlJsonFormat(["d", "t", "i"], kinds, options)
    row = {"d": decimal.Decimal("0.00000001"), "t": dt.datetime.fromisoformat("2026-01-02")}
    batch = ColumnarBatch(pa.RecordBatch.from_pylist([row], format_.schema))
    assert format_.encode(batch) == [b'{"d":0.00000001,"t":"2026-01-02T00:00:00"}']


def test_csv_with_other_characters():
    options = CsvOptions(delimiter="|", quote="'", escape="\\", null_literal="-")
    format_ = SqlCsvFormat(["a", "b"], [parse_type("STRING"), parse_type("INT")], options)
    data = back(format_, [b"'x|y'|1", b"-|-", b"'-'|2", rb"a\|b|3"])
    assert [tuple(r.values()) for r in data.to_pylist()] == [
        ("x|y", 1), (None, None), ("-", 2), ("a|b", 3),
    ]  # fmt: skip
    assert format_.encode(ColumnarBatch(data)) == [b"'x|y'|1", b"-|-", b"'-'|2", b"'a|b'|3"]


def test_csv_without_quotes_refuses_what_needs_them():
    format_ = SqlCsvFormat(["a"], [parse_type("STRING")], CsvOptions(quote=None))
    with pytest.raises(SchemaMismatchError, match="needs quotes"):
        format_.encode(one("STRING", "a,b"))
    escaping = SqlCsvFormat(["a"], [parse_type("STRING")], CsvOptions(quote=None, escape="\\"))
    assert escaping.encode(one("STRING", "a,b\\")) == [rb"a\,b\\"]


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("STRING", "ü", "ü".encode()),
        ("BYTES", b"\xff", b"\xff"),
        ("BOOLEAN", True, b"\1"),
        ("INT", 258, b"\0\0\1\2"),
        ("DOUBLE", 1.0, b"\x3f\xf0\0\0\0\0\0\0"),
        ("STRING", None, None),
    ],
)
def test_raw(kind, value, message):
    format_ = pickle.loads(pickle.dumps(SqlRawFormat("v", parse_type(kind))))
    assert format_.encode(one(kind, value)) == [message]
    assert back(format_, [message]).equals(one(kind, value).data)


def test_raw_of_another_length_and_order():
    little = SqlRawFormat("v", parse_type("SMALLINT"), big_endian=False)
    assert little.encode(one("SMALLINT", 1)) == [b"\1\0"]
    assert [b.why for b in little.decode([b"\1"]).bad] == ["ValueError: 1 bytes are no SMALLINT"]


# ---------------------------------------------------------------------------------- changes

NAMES = ["id", "name"]
TYPES = [parse_type("INT"), parse_type("STRING")]
KINDS = ["+I", "-U", "+U", "-D"]


def changes(format_, messages):
    found = format_.decode([json.dumps(m).encode() if isinstance(m, dict) else m for m in messages])
    rows = [tuple(r.values()) for r in found.batch.data.to_pylist()]
    kinds = [KINDS[k] for k in found.batch.kinds]
    return list(zip(kinds, rows, strict=True)), found


def row(id, name):
    return {"id": id, "name": name}


EXPECTED = [
    ("+I", (1, "a")),
    ("-U", (1, "a")),
    ("+U", (1, "b")),
    ("-D", (1, "b")),
]


def side_by_side(field, insert, update, delete):
    return [
        {"before": None, "after": row(1, "a"), field: insert},
        {"before": row(1, "a"), "after": row(1, "b"), field: update, "ts_ms": 5},
        {"before": row(1, "b"), "after": None, field: delete},
    ]


@pytest.mark.parametrize(
    ("of", "messages"),
    [
        (DebeziumJsonFormat, side_by_side("op", "c", "u", "d")),
        (
            DebeziumJsonWithSchemaFormat,
            [{"schema": {}, "payload": m} for m in side_by_side("op", "r", "u", "d")],
        ),
        (OggJsonFormat, side_by_side("op_type", "I", "U", "D")),
        (
            CanalJsonFormat,
            [
                {"data": [row("1", "a")], "old": None, "type": "INSERT"},
                {"data": [row("1", "b")], "old": [{"name": "a"}], "type": "UPDATE"},
                {"data": [row("1", "b")], "type": "DELETE"},
            ],
        ),
        (
            MaxwellJsonFormat,
            [
                {"data": row(1, "a"), "type": "insert"},
                {"data": row(1, "b"), "old": {"name": "a"}, "type": "update"},
                {"data": row(1, "b"), "type": "delete"},
            ],
        ),
    ],
)
def test_envelopes(of, messages):
    format_ = pickle.loads(pickle.dumps(of(NAMES, TYPES)))
    found, decoded = changes(format_, [messages[0], b"", messages[1], None, messages[2]])
    assert found == EXPECTED
    assert decoded.origins.tolist() == [0, 2, 2, 4]
    assert not decoded.bad
    if of is not DebeziumJsonWithSchemaFormat:
        data = ColumnarBatch(decoded.batch.data, None, decoded.batch.kinds)
        again, _ = changes(format_, format_.encode(data))
        folded = {"-U": "-D", "+U": "+I"}
        assert again == [(folded.get(k, k), r) for k, r in EXPECTED]


@pytest.mark.parametrize(
    ("of", "message", "why"),
    [
        (DebeziumJsonFormat, {"before": None, "after": row(1, "a"), "op": "u"}, "REPLICA IDENTITY"),
        (DebeziumJsonFormat, {"before": None, "after": None, "op": "c"}, "'after' is null"),
        (DebeziumJsonFormat, {"after": row(1, "a"), "op": "x"}, "'op' is 'x', not one of c, d, r"),
        (OggJsonFormat, {"after": row(1, "a")}, "'op_type' is None"),
        (CanalJsonFormat, {"data": [row(1, "a")], "type": "ALTER"}, "'type' is 'ALTER'"),
        (CanalJsonFormat, {"data": [row(1, "a")], "old": [], "type": "UPDATE"}, "1 rows in 'data'"),
        (MaxwellJsonFormat, {"type": "insert"}, "'data' has no rows"),
        (MaxwellJsonFormat, {"data": row("x", "a"), "type": "insert"}, "'x' is no INT"),
    ],
)
def test_bad_envelopes(of, message, why):
    good = of(NAMES, TYPES).encode(
        ColumnarBatch(pa.RecordBatch.from_pylist([row(7, "z")], of(NAMES, TYPES).schema))
    )
    found, decoded = changes(of(NAMES, TYPES), [message, *good])
    assert found == [("+I", (7, "z"))]
    assert [b.index for b in decoded.bad] == [0]
    assert why in decoded.bad[0].why
    assert decoded.origins.tolist() == [0]  # among those that are not bad


def test_canal_of_chosen_tables():
    format_ = CanalJsonFormat(NAMES, TYPES, None, "shop", "t.*")
    message = {"data": [row(1, "a"), row(2, "b")], "type": "INSERT", "database": "shop"}
    found, _ = changes(format_, [{**message, "table": "t1"}, {**message, "table": "other"}])
    assert found == [("+I", (1, "a")), ("+I", (2, "b"))]
    assert changes(format_, [{"type": "CREATE", "database": "shop", "table": "t"}])[0] == []


def test_an_update_that_sets_null_is_not_one_that_leaves_it():
    messages = [
        {"data": [row(1, None)], "old": [{"name": "a"}], "type": "UPDATE"},
        {"data": [row(1, "b")], "old": [{"name": None}], "type": "UPDATE"},
    ]
    found, _ = changes(CanalJsonFormat(NAMES, TYPES), messages)
    assert [r for _, r in found] == [(1, "a"), (1, None), (1, None), (1, "b")]


def test_many_changes_at_once_are_as_those_one_by_one():
    rng = np.random.default_rng(1)
    messages = []
    for i in range(200):
        op = rng.choice(["c", "u", "d", "bad"])
        messages.append(
            {
                "before": row(i, "p") if op in {"u", "d"} else None,
                "after": row(i, "q") if op in {"c", "u"} else None,
                "op": op,
            }
        )
    format_ = DebeziumJsonFormat(NAMES, TYPES)
    together, decoded = changes(format_, messages)
    apart = [c for m in messages for c in changes(format_, [m])[0]]
    assert together == apart
    assert len(decoded.bad) == sum(m["op"] == "bad" for m in messages)


@pytest.mark.parametrize("name", ["debezium-json", "canal-json", "maxwell-json", "ogg-json"])
def test_options_of_changelog_formats(name):
    given = {"connector": "filesystem", "path": "/x", "format": name}
    check_options({**given, f"{name}.ignore-parse-errors": "true"}, columns=fields("a INT"))

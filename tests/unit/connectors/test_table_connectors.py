"""Tables of datagen, print, values and blackhole, and what every connector says of its options."""

import pickle

import numpy as np
import pyarrow as pa
import pytest

from lesto.common.elements import ColumnarBatch, RowKind
from lesto.common.row import Row
from lesto.common.source import Boundedness, SourceBatch
from lesto.connectors.errors import (
    InvalidTableOptionError,
    MissingTableOptionError,
    SchemaMismatchError,
    UnknownConnectorError,
    UnknownTableOptionError,
    UnsupportedTableUseError,
)
from lesto.connectors.tables import factory as f
from lesto.connectors.tables.formats import FORMATS, table_format
from lesto.connectors.tables.options import rows_of_documentation
from lesto.connectors.tables.values import ValuesData, register_values
from tests.unit.connectors.contexts import ReaderContext, WriterContext, all_splits, read
from tests.unit.connectors.table_helpers import fields, scan, sink


def rows(plan, **how):
    return read(plan.source, all_splits(plan.source), **how)[0]


# ---------------------------------------------------------------------------------- factory


def test_every_connector_describes_its_options():
    for name in f.CONNECTORS:
        found = f.connector(name)
        assert found.described.name == name
        assert found.scan or found.write or found.find
        for key, kind, _, meaning in rows_of_documentation(found.described):
            assert key
            assert kind
            assert meaning.endswith(("", ".")), (name, key)
            assert len(meaning) > 3, (name, key)
    for name in FORMATS:
        assert table_format(name).described.name == name


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, MissingTableOptionError, "table t has no connector"),
        ({"connector": "kafak"}, UnknownConnectorError, r"'kafak' \(did you mean 'kafka'\?\)"),
        ({"connector": "oracle"}, UnknownConnectorError, "there is no connector 'oracle'"),
        (
            {"connector": "print", "print-identifer": "x"},
            UnknownTableOptionError,
            "print has no option 'print-identifer'.*did you mean 'print-identifier'",
        ),
        (
            {"connector": "print", "standard-error": "maybe"},
            InvalidTableOptionError,
            "'standard-error' cannot be 'maybe': neither true nor false",
        ),
        (
            {"connector": "blackhole", "format": "json"},
            UnknownTableOptionError,
            "no option 'format'",
        ),
    ],
)
def test_options_that_are_wrong(options, error, message):
    with pytest.raises(error, match=message) as raised:
        f.check_options(options, table="t")
    assert raised.value.remedy
    assert not raised.value.retryable


def test_uses_that_a_connector_does_not_have():
    with pytest.raises(UnsupportedTableUseError, match=r"print\) cannot be read from"):
        scan({"connector": "print"}, "a INT")
    with pytest.raises(UnsupportedTableUseError, match=r"datagen\) cannot be written to"):
        sink({"connector": "datagen"}, "a INT")
    request = f.LookupRequest({"connector": "nexmark"}, fields("event_type INT"), (0,), (0,))
    with pytest.raises(UnsupportedTableUseError, match="cannot be looked up") as raised:
        f.lookup("nexmark", request)
    assert raised.value.remedy == "it can be read from"


# ------------------------------------------------------------------------- print, blackhole

TYPES = """n BIGINT; s STRING; f DOUBLE; d DECIMAL(10, 2); b BOOLEAN; t TIMESTAMP(3)
l TIMESTAMP_LTZ(6); day DATE; at TIME; a ARRAY<INT>; r ROW<x INT, y STRING>
m MAP<STRING, INT>; x BYTES; i INTERVAL DAY TO SECOND"""


def test_print_writes_rows_as_flink_does(capsys):
    data = pa.RecordBatch.from_arrays(
        [
            pa.array([1, None], pa.int64()),
            pa.array(["a", None]),
            pa.array([1e10, None]),
            pa.array([1, None], pa.decimal128(10, 2)),
            pa.array([True, None]),
            pa.array([60_000, None], pa.timestamp("ms")),
            pa.array([1_500_000, None], pa.timestamp("us", "UTC")),
            pa.array([1, None], pa.date32()),
            pa.array([61_000, None], pa.time32("ms")),
            pa.array([[1, None], None], pa.list_(pa.int32())),
            pa.array(
                [{"x": 1, "y": None}, None], pa.struct([("x", pa.int32()), ("y", pa.string())])
            ),
            pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32())),
            pa.array([b"\x01\xff", None]),
            pa.array([90_061_500, None], pa.int64()),
        ],
        names=list("abcdefghijklmn"),
    )
    made = sink({"connector": "print", "print-identifier": "out"}, TYPES).sink
    writer = pickle.loads(pickle.dumps(made)).create_writer(WriterContext(subtask=1, parallelism=2))
    writer.write(
        ColumnarBatch(data, None, np.array([RowKind.UPDATE_AFTER, RowKind.DELETE], np.int8))
    )
    first, second = capsys.readouterr().out.splitlines()
    assert first == (
        "out:2> +U[1, a, 1.0E10, 1.00, true, 1970-01-01T00:01, 1970-01-01T00:00:01.500Z, "
        "1970-01-02, 00:01:01, [1, null], +I[1, null], {k=1}, [1, -1], PT25H1M1.5S]"
    )
    assert second == f"out:2> -D[{', '.join(['null'] * 14)}]"


def test_print_to_standard_error(capsys):
    writer = sink({"connector": "print", "standard-error": "true"}, "a INT").sink.create_writer(
        WriterContext()
    )
    writer.write(ColumnarBatch(pa.record_batch([pa.array([1], pa.int32())], names=["q"])))
    assert capsys.readouterr().err == "+I[1]\n"


def test_blackhole():
    plan = sink({"connector": "blackhole", "sink.parallelism": "2"}, "a INT")
    assert plan.parallelism == 2
    plan.sink.create_writer(WriterContext()).write(ColumnarBatch(pa.record_batch({"a": [1]})))


# ----------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    "data",
    [
        [(1, "a"), (2, None)],
        [{"id": 1, "name": "a"}, {"id": 2}],
        [Row(1, "a"), Row(id=2, name=None)],
        pa.table({"x": pa.array([1, 2], pa.int64()), "y": ["a", None]}),
        ValuesData([[1, "a"], [2, None]], ["+I", "+I"]),
    ],
)
def test_values(data):
    plan = scan({"connector": "values"}, "id INT; name STRING", ["name", "id"], source=data)
    assert rows(plan) == [{"name": "a", "id": 1}, {"name": None, "id": 2}]


def test_kinds_of_values():
    kinds = ["+I", "-U", "+U", "-D"]
    name = register_values([(i,) for i in range(4)], kinds)
    options = {"connector": "values", "data-id": name}
    rows_with_kinds = [Row.of_kind(RowKind(i), i) for i in range(4)]
    for plan in (scan(options, "a INT"), scan(options, "a INT", source=rows_with_kinds)):
        reader = plan.source.create_reader(ReaderContext())
        reader.add_splits(all_splits(plan.source))
        result = reader.poll()
        assert isinstance(result, SourceBatch)
        assert result.batch.kinds.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([(1,)], SchemaMismatchError, "a row has 1 values"),
        ([("x", "y")], SchemaMismatchError, "column 'id'"),
        (pa.table({"a": [1]}), SchemaMismatchError, "the data has 1 columns"),
        (ValuesData([(1, "a")], ["+X"]), InvalidTableOptionError, "need as many kinds"),
        (ValuesData([(1, "a")], []), InvalidTableOptionError, "need as many kinds"),
        (None, InvalidTableOptionError, "no rows are registered"),
    ],
)
def test_values_that_do_not_fit(data, error, message):
    with pytest.raises(error, match=message):
        scan({"connector": "values"}, "id INT; name STRING", source=data)


# ---------------------------------------------------------------------------------- datagen


def datagen(columns, read_columns=None, **options):
    fast = {"rows-per-second": "1000000000"}  # the clock of these tests stands still
    return scan({"connector": "datagen", **fast, **options}, columns, read_columns)


def test_datagen_of_every_type():
    columns = TYPES + "; ti TINYINT; sm SMALLINT; i4 INT; fl FLOAT; c CHAR(3); v VARCHAR(5)"
    columns += "; ms MULTISET<INT>; ym INTERVAL YEAR TO MONTH; big DECIMAL(38, 18)"
    plan = datagen(columns, **{"number-of-rows": "200"})
    assert plan.source.boundedness is Boundedness.BOUNDED
    found = pa.Table.from_pylist(rows(plan), plan.source.schema)
    assert found.num_rows == 200
    for name in found.schema.names:
        assert found[name].null_count == 0
    for name in ("n", "i4", "f", "s", "d"):
        assert len(set(found[name].to_pylist())) > 150
    assert {len(x) for x in found["s"].to_pylist()} == {100}
    assert {len(x) for x in found["c"].to_pylist()} == {3}
    assert {len(x) for x in found["a"].to_pylist()} == {3}


def test_limits_lengths_and_nulls():
    plan = datagen(
        "i INT; d DOUBLE; s STRING; b BYTES; r ROW<x INT>; a ARRAY<INT>; n INT",
        **{
            "number-of-rows": "1000",
            "fields.i.min": "5",
            "fields.i.max": "7",
            "fields.d.min": "-1",
            "fields.d.max": "1",
            "fields.s.length": "4",
            "fields.s.var-len": "true",
            "fields.b.length": "2",
            "fields.r.x.min": "0",
            "fields.r.x.max": "0",
            "fields.a.length": "1",
            "fields.a.element.max": "-5",
            "fields.n.null-rate": "0.3",
        },
    )
    found = rows(plan)
    assert {r["i"] for r in found} == {5, 6, 7}
    assert all(-1 <= r["d"] <= 1 for r in found)
    assert {len(r["s"]) for r in found} == {1, 2, 3, 4}
    assert {len(r["b"]) for r in found} == {2}
    assert {r["r"]["x"] for r in found} == {0}
    assert all(len(r["a"]) == 1 and r["a"][0] <= -5 for r in found)
    assert sum(r["n"] is None for r in found) == pytest.approx(300, abs=60)


def test_sequences_end_and_columns_do_not_depend_on_who_is_read():
    options = {
        "fields.id.kind": "sequence",
        "fields.id.start": "10",
        "fields.id.end": "19",
        "fields.t.kind": "sequence",
        "fields.t.start": "0",
        "fields.t.end": "99",
    }
    columns = "id BIGINT; t STRING; x INT"
    whole = rows(datagen(columns, **options))
    assert [(r["id"], r["t"]) for r in whole] == [(10 + i, str(i)) for i in range(10)]
    some = rows(datagen(columns, ["x", "t"], **options))
    assert some == [{"x": r["x"], "t": r["t"]} for r in whole]


def test_times_lie_in_the_past_as_far_as_told():
    import datetime as dt

    now = dt.datetime.now(dt.UTC)
    options = {"number-of-rows": "500", "fields.t.max-past": "1 h"}
    times = [r["t"] for r in rows(datagen("t TIMESTAMP_LTZ(3)", **options))]
    assert max(times) <= now + dt.timedelta(minutes=1)
    assert min(times) >= now - dt.timedelta(hours=1, minutes=1)
    assert max(times) - min(times) > dt.timedelta(minutes=30)


def test_an_endless_datagen_cannot_be_a_batch():
    assert datagen("a INT").source.boundedness is Boundedness.CONTINUOUS_UNBOUNDED
    with pytest.raises(UnsupportedTableUseError, match="rows without end"):
        scan({"connector": "datagen"}, "a INT", bounded=True)


@pytest.mark.parametrize(
    ("option", "value", "error", "message"),
    [
        ("fields.b.min", "1", UnknownTableOptionError, "is for no column"),
        ("fields.a.mim", "1", UnknownTableOptionError, "no option 'mim'.*did you mean 'min'"),
        ("fields.s.min", "1", UnknownTableOptionError, "'s' has no option 'min'"),
        ("fields.a.max", "3000000000", InvalidTableOptionError, "INT has -2147483648"),
        ("fields.a.kind", "serial", InvalidTableOptionError, "fields.a.kind"),
        ("fields.a.kind", "sequence", MissingTableOptionError, "'fields.a.start'"),
        ("fields.t.kind", "sequence", InvalidTableOptionError, "has no sequences"),
        ("fields.c.length", "4", InvalidTableOptionError, r"the column is CHAR\(3\)"),
        ("fields.a.null-rate", "2", InvalidTableOptionError, "null-rate"),
        ("rows-per-second", "0", InvalidTableOptionError, "rows-per-second"),
    ],
)
def test_options_of_datagen_that_are_wrong(option, value, error, message):
    with pytest.raises(error, match=message):
        f.check_options(
            {"connector": "datagen", option: value},
            table="t",
            columns=fields("a INT; s STRING; t TIMESTAMP(3); c CHAR(3)"),
        )

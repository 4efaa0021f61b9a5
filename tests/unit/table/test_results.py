"""Results: rows with kinds, the final rows, how they are printed."""

import io
import sys

import numpy as np
import pyarrow as pa
import pytest

from lesto.client.table.plan.schema import Column, Schema
from lesto.client.table.printing import padded, print_result, type_width
from lesto.client.table.results import Batches, TableResult, final_table, local_result
from lesto.client.table.shell.live import Materialized, framed
from lesto.common.elements import RowKind
from lesto.connectors.errors import MissingExtraError
from lesto.sql import types as t

SCHEMA = Schema.of([Column("k", t.STRING()), Column("n", t.INT())])
CHANGES = Batches(
    [
        (None, pa.record_batch({"k": ["a", "b", "a"], "n": pa.array([1, 2, 1], pa.int32())})),
        (
            np.array([1, 2, 3], np.int8),
            pa.record_batch({"k": ["b", "b", "a"], "n": pa.array([2, None, 1], pa.int32())}),
        ),
    ]
)


def test_rows_come_with_their_kinds():
    found = list(TableResult(SCHEMA, CHANGES).collect())
    assert [(r.get_row_kind(), r.k, r.n) for r in found[2:]] == [
        (RowKind.INSERT, "a", 1),
        (RowKind.UPDATE_BEFORE, "b", 2),
        (RowKind.UPDATE_AFTER, "b", None),
        (RowKind.DELETE, "a", 1),
    ]


def test_the_final_rows_are_those_no_change_took_back():
    assert final_table(SCHEMA, CHANGES).to_pylist() == [
        {"k": "a", "n": 1},
        {"k": "b", "n": None},
    ]
    assert TableResult(SCHEMA, CHANGES).to_pandas()["k"].tolist() == ["a", "b"]


def test_columns_of_one_name_and_none_at_all():
    twice = Schema.of([Column("a", t.INT()), Column("a", t.INT())])
    one = pa.array([1], pa.int32())
    batch = pa.RecordBatch.from_arrays([one, one], ["a", "a0"])
    assert final_table(twice, Batches([(None, batch)])).column_names == ["a", "a"]


def test_changes_are_printed_as_flink_prints_them():
    out = io.StringIO()
    assert print_result(SCHEMA, CHANGES, True, out=out) == 6
    lines = out.getvalue().splitlines()
    assert lines[0] == f"+----+{'-' * 32}+{'-' * 13}+"
    assert lines[1] == f"| op | {'k':>30} | {'n':>11} |"
    assert lines[7] == f"| +U | {'b':>30} | {'<NULL>':>11} |"
    assert lines[-1] == "6 rows in set"


def test_nothing_is_an_empty_set():
    out = io.StringIO()
    assert print_result(SCHEMA, Batches([]), False, out=out) == 0
    assert out.getvalue() == "Empty set\n"


@pytest.mark.parametrize(
    ("kind", "width"),
    [
        (t.TINYINT(), 6),
        (t.BIGINT(), 20),
        (t.DECIMAL(10, 2), 13),
        (t.TIMESTAMP(3), 23),
        (t.VARCHAR(4), 6),
        (t.STRING(), 30),
        (t.ARRAY(t.INT()), 30),
    ],
)
def test_columns_are_as_wide_as_their_types(kind, width):
    assert type_width(kind, 30) == width


def test_long_and_wide_text_is_cut():
    assert padded("abcdefgh", 6) == "abc..."
    assert padded("日本", 6) == "  日本"
    assert padded("日本語日本語", 7) == "日本..."
    assert padded("a\nb", 4) == "a\\nb"


def test_raw_results_are_printed_as_they_are(capsys):
    local_result([Column("result", t.STRING())], [("one\ntwo",)], raw=True).print()
    assert capsys.readouterr().out == "one\ntwo\n"


def test_the_shell_keeps_the_newest_rows():
    rows = Materialized(2)
    for n in range(4):
        rows.take(["+I", str(n)])
    rows.take(["-D", "0"])  # it has gone already
    rows.take(["-U", "3"])
    assert rows.last(5) == [("2",)]
    assert framed(["n"], rows.last(5), 30, "1 rows")[-3:] == ["| 2 |", "+---+", "1 rows"]


def test_a_frame_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="pip install pandas"):
        TableResult(SCHEMA, CHANGES).to_pandas()

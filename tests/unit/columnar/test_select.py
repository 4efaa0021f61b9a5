"""Projection, filter and added columns."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from lesto.common.elements import ColumnarBatch
from lesto.common.expressions import col, lit
from lesto.taskmanager.operators.columnar.select import (
    FilterOperator,
    SelectOperator,
    WithColumnsOperator,
    select_output_schema,
    with_columns_output_schema,
)

SCHEMA = pa.schema([("s", pa.string()), ("x", pa.int64()), ("b", pa.bool_())])
ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.text(max_size=20)),
        st.one_of(st.none(), st.integers(-3, 3)),
        st.one_of(st.none(), st.booleans()),
    ),
    max_size=70,
)


@given(rows=ROWS, pad=st.integers(0, 9))
def test_filter_keeps_rows_with_their_times_and_kinds_and_drops_null_conditions(rig, rows, pad):
    r = rig(FilterOperator((col("x") > 0) | col("b")), SCHEMA)
    r.send(rows, range(len(rows)), pad=pad)
    wanted = [(*row, i) for i, row in enumerate(rows) if (row[1] or 0) > 0 or row[2]]
    assert r.out.take() == wanted


def test_filter_takes_kinds_along(rig):
    r = rig(FilterOperator(col("x") == 2), SCHEMA)
    data = pa.RecordBatch.from_pylist([{"x": 1}, {"x": 2}, {"x": 2}], schema=SCHEMA)
    r.operator.process_batch(ColumnarBatch(data, kinds=np.array([0, 1, 2], np.int8)))
    assert r.out.elements[0].kinds.tolist() == [1, 2]


def test_a_batch_that_passes_whole_is_passed_on_uncopied(rig):
    r = rig(FilterOperator(col("x") > 0), SCHEMA)
    data = pa.RecordBatch.from_pylist([{"x": 1}, {"x": 2}], schema=SCHEMA)
    batch = ColumnarBatch(data)
    r.operator.process_batch(batch)
    assert r.out.elements[0] is batch


def test_nothing_is_emitted_when_nothing_passes(rig):
    r = rig(FilterOperator(lit(False) & col("b")), SCHEMA)
    r.send([("a", 1, True)])
    assert r.out.elements == []


def test_select_computes_and_keeps_times(rig):
    exprs = [col("x") + 1, col("s").alias("name"), lit(7).alias("seven")]
    r = rig(SelectOperator(exprs), SCHEMA)
    r.send([("a", 1, True), ("b", None, None)], [10, 20], pad=2)
    assert r.out.take() == [(2, "a", 7, 10), (None, "b", 7, 20)]
    assert select_output_schema(SCHEMA, exprs).names == ["expr_0", "name", "seven"]


def test_added_columns_replace_those_of_their_name_and_see_the_old_values(rig):
    exprs = [(col("x") * 10).alias("x"), (col("x") + 1).alias("y")]
    r = rig(WithColumnsOperator(exprs), SCHEMA)
    r.send([("a", 1, True)])
    assert r.out.take() == [("a", 10, True, 2, None)]
    assert with_columns_output_schema(SCHEMA, exprs).names == ["s", "x", "b", "y"]

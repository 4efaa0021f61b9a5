"""Running aggregates against a loop over records."""

import datetime as dt
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.common.elements import ColumnarBatch, RowKind
from lesto.common.expressions import ExpressionError, col, count, window_start
from lesto.kernels.hashing import hash_value
from lesto.kernels.keygroups import key_group_for_hash, operator_index
from lesto.taskmanager.operators.columnar.errors import (
    ChangelogInputError,
    UnsupportedAggregateError,
    ValueOutOfRangeError,
)
from lesto.taskmanager.operators.columnar.running import (
    RunningAggregateOperator,
    running_output_schema,
)

SCHEMA = pa.schema([("k", pa.string()), ("n", pa.int32()), ("v", pa.int64()), ("f", pa.float64())])
ROWS = st.tuples(
    st.sampled_from(["a", "b", "", "a key longer than twelve bytes", None]),
    st.sampled_from([1, 2, None]),
    st.one_of(st.none(), st.integers(-9, 9)),
    st.one_of(st.none(), st.floats(-8, 8, allow_nan=False, width=16)),
)
BATCHES = st.lists(st.tuples(st.lists(ROWS, max_size=10), st.integers(0, 3)), max_size=8)
AGGREGATES = [
    count(),
    col("v").count().alias("some"),
    (col("v") * 2).sum().alias("double"),
    col("f").min(),
    col("v").max(),
    col("f").mean(),
    col("v").first(),
    col("f").last(),
    (col("v").sum() + count()).alias("both"),
]


def expected(history):
    v = [r[2] for r in history if r[2] is not None]
    f = [r[3] for r in history if r[3] is not None]
    return (
        len(history),
        len(v),
        sum(v) * 2 if v else None,
        min(f) if f else None,
        max(v) if v else None,
        sum(f) / len(f) if f else None,
        v[0] if v else None,
        f[-1] if f else None,
        sum(v) + len(history) if v else None,
    )


def owner(key, parallelism):
    return operator_index(key_group_for_hash(hash_value(key), 32), 32, parallelism)


@pytest.mark.parametrize("keys", [["k"], ["n"], ["k", "n"]], ids="+".join)
@given(batches=BATCHES, restore_at=st.integers(0, 8))
def test_every_record_gives_its_keys_aggregates_so_far(rig, store, keys, batches, restore_at):
    def make():
        return RunningAggregateOperator(keys, AGGREGATES)

    disk = store()
    rigs = [rig(make(), SCHEMA)]
    history = {}
    at = [SCHEMA.get_field_index(k) for k in keys]
    for step, (rows, pad) in enumerate(batches):
        if step == restore_at:
            rigs[0].backend.snapshot_into(disk)
            rigs = [rig(make(), SCHEMA, disk, i, 3) for i in range(3)]
        elif step % 2 and len(rigs) == 1:
            rigs[0].backend.snapshot_into(disk)
        wanted = [[] for _ in rigs]
        parts = [([], []) for _ in rigs]
        for i, row in enumerate(rows):
            key = tuple(row[j] for j in at)
            history.setdefault(key, []).append(row)
            hashed = key[0] if len(key) == 1 else key
            to = owner(hashed, 3) if len(rigs) == 3 else 0
            parts[to][0].append(row)
            parts[to][1].append(i)
            wanted[to].append((*key, *expected(history[key]), i))
        for r, (part, times), rows_out in zip(rigs, parts, wanted, strict=True):
            r.send(part, times, pad=pad)
            got = r.out.take()
            assert len(got) == len(rows_out)
            for left, right in zip(got, rows_out, strict=True):
                for a, b in zip(left, right, strict=True):
                    assert a == b or (b is not None and math.isclose(a, b, abs_tol=1e-9)), (
                        left,
                        right,
                    )


def test_keeping_the_input_replaces_the_column_where_it_stands(rig):
    sums = [col("n").sum().alias("n"), count().alias("seen")]
    schema = running_output_schema(SCHEMA, ["k"], sums, keep_input=True)
    assert schema.names == ["k", "n", "v", "f", "seen"]
    assert schema.field("n").type == pa.int64()  # wider than the input: a sum outgrows it
    r = rig(RunningAggregateOperator(["k"], sums, keep_input=True), SCHEMA)
    r.send([("a", 1, 7, 0.5), ("b", 5, 8, None), ("a", 2, None, 1.5)])
    assert r.out.take() == [
        ("a", 1, 7, 0.5, 1, None),
        ("b", 5, 8, None, 1, None),
        ("a", 3, None, 1.5, 2, None),
    ]


@pytest.mark.parametrize(
    ("kind", "values", "smallest"),
    [
        (pa.int8(), [3, -2, None], -2),
        (pa.uint64(), [2**62, 5, None], 5),
        (pa.float32(), [0.5, -0.25, None], -0.25),
        (pa.bool_(), [True, False, None], False),
        (pa.date32(), [dt.date(2013, 1, 2), dt.date(1969, 1, 1), None], dt.date(1969, 1, 1)),
        (pa.time32("s"), [dt.time(5), dt.time(4), None], dt.time(4)),
        (
            pa.timestamp("us", "UTC"),
            [dt.datetime(2013, 1, 2, tzinfo=dt.UTC), dt.datetime(1950, 1, 1, tzinfo=dt.UTC), None],
            dt.datetime(1950, 1, 1, tzinfo=dt.UTC),
        ),
        (pa.duration("ms"), [dt.timedelta(1), dt.timedelta(-1), None], dt.timedelta(-1)),
    ],
    ids=str,
)
def test_extremes_keep_the_type_of_the_column(rig, kind, values, smallest):
    schema = pa.schema([("k", pa.int64()), ("x", kind)])
    operator = RunningAggregateOperator(["k"], [col("x").min(), col("x").last()])
    r = rig(operator, schema)
    r.send([(1, v) for v in values], pad=3)
    assert r.out.take()[-1] == (1, smallest, smallest, None)
    assert running_output_schema(schema, ["k"], [col("x").min()]).field("x_min").type == kind


def test_strings_can_be_counted_but_not_summed():
    schema = running_output_schema(SCHEMA, ["n"], [col("k").count()])
    assert schema.names == ["n", "k_count"]
    with pytest.raises(UnsupportedAggregateError, match="sum of string"):
        running_output_schema(SCHEMA, ["n"], [col("k").sum()])


def test_equal_aggregates_share_an_accumulator(rig):
    aggregates = [col("v").sum(), col("v").mean(), col("v").sum().alias("again"), col("v").count()]
    r = rig(RunningAggregateOperator(["k"], aggregates), SCHEMA)
    assert [a.kind for a in r.operator.table.descriptor.accumulators] == ["sum", "count"]
    r.send([("a", 0, 4, 0.0), ("a", 0, 5, 0.0)])
    assert r.out.take()[-1] == ("a", 9, 4.5, 9, 2, None)


def test_build_errors_name_the_column():
    with pytest.raises(ExpressionError, match=r"column 'vv' does not exist.*did you mean 'v'"):
        running_output_schema(SCHEMA, ["k"], [col("vv").sum()])
    with pytest.raises(ExpressionError, match="column 'kk' does not exist"):
        running_output_schema(SCHEMA, ["kk"], [col("v").sum()])
    with pytest.raises(ExpressionError, match="two columns are named 'v_sum'"):
        running_output_schema(SCHEMA, ["k"], [col("v").sum(), col("v").sum()])
    with pytest.raises(UnsupportedAggregateError, match="only in a window"):
        running_output_schema(SCHEMA, ["k"], [window_start()])


def test_updates_are_refused(rig):
    r = rig(RunningAggregateOperator(["k"], [count()]), SCHEMA)
    data = pa.RecordBatch.from_pylist([{"k": "a"}], schema=SCHEMA)
    r.operator.process_batch(ColumnarBatch(data, kinds=np.array([RowKind.INSERT], np.int8)))
    with pytest.raises(ChangelogInputError, match="insertions only"):
        r.operator.process_batch(ColumnarBatch(data, kinds=np.array([RowKind.DELETE], np.int8)))


def test_an_unsigned_value_beyond_int64_is_an_error_not_a_negative_sum(rig):
    schema = pa.schema([("k", pa.int64()), ("x", pa.uint64())])
    r = rig(RunningAggregateOperator(["k"], [col("x").sum()]), schema)
    with pytest.raises(ValueOutOfRangeError, match=str(2**63)):
        r.send([(1, 5), (1, 2**63)])

"""Users' functions in their forms: what they are given, what becomes of results and errors."""

# ruff: noqa: DTZ001 - a TIMESTAMP has no zone

import asyncio
import datetime as dt
import decimal
import pickle

import cloudpickle
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lesto.client.table.data_types import DataTypes
from lesto.client.table.errors import InvalidUserFunctionError
from lesto.client.table.hints import sql_of
from lesto.client.table.udf import udaf, udf, udtaf, udtf
from lesto.common.elements import RowKind
from lesto.common.row import Row
from lesto.sql import types as t
from lesto.sql.errors import (
    FunctionArgumentsError,
    InvalidUserResultError,
    UserFunctionLacksMethodError,
    UserSqlFunctionError,
)
from lesto.sql.evaluator import compile_expressions
from lesto.sql.expressions import InputRef
from lesto.sql.types import SqlType
from lesto.sql.users.finding import users_in
from lesto.sql.users.functions import (
    AggregateFunction,
    ScalarFunction,
    TableAggregateFunction,
    TableFunction,
)
from lesto.sql.users.values import from_python, to_python
from lesto.sql.users.views import ListView, MapView

INTS = pa.array([1, 2, None, 4], pa.int32())
REF = InputRef(0, t.INT(), "a")


def computed(function, column=INTS, kind=None):
    ref = InputRef(0, kind or t.INT(), "a")
    call = function.bind_scalar("f", [ref])
    sent = cloudpickle.loads(cloudpickle.dumps(call))
    batch = pa.record_batch([column], ["a"])
    return compile_expressions([sent]).evaluate(batch)[0].to_pylist()


VALUES = [
    (t.DECIMAL(10, 2), [decimal.Decimal("1.25"), None]),
    (t.TIMESTAMP(3), [dt.datetime(2020, 1, 1, 0, 0, 0, 5000), None]),
    (t.TIMESTAMP_LTZ(6), [dt.datetime(2020, 1, 1, tzinfo=dt.UTC), None]),
    (t.TIME(3), [dt.time(1, 2, 3), None]),
    (t.INTERVAL_DAY_TIME(), [dt.timedelta(days=1, milliseconds=3), None]),
    (t.ARRAY(t.ROW([("x", t.INT())])), [[Row(x=1), None], None]),
    (t.MAP(t.STRING(), t.INTERVAL_DAY_TIME()), [{"a": dt.timedelta(seconds=1), "b": None}, None]),
    (t.ROW([("m", t.MAP(t.STRING(), t.INT())), ("s", t.STRING())]), [Row(m={"a": 1}, s="x"), None]),
]


@pytest.mark.parametrize(("kind", "values"), VALUES, ids=[str(k) for k, _ in VALUES])
def test_values_come_back_as_they_were(kind, values):
    column = from_python(values, kind)
    assert column.type == kind.to_arrow()
    assert to_python(column, kind) == values


def test_values_are_fitted_to_the_type():
    assert from_python([1.239], t.DECIMAL(5, 2)).to_pylist() == [decimal.Decimal("1.24")]
    moment = dt.datetime(2020, 1, 1, 0, 0, 0, 1999)
    assert from_python([moment], t.TIMESTAMP(3)).to_pylist() == [moment.replace(microsecond=1000)]
    row = t.ROW([("a", t.INT()), ("b", t.STRING())])
    rows = [(1, "x"), {"b": "x", "a": 1}, Row(1, "x"), [1, "x"]]
    assert from_python(rows, row).to_pylist() == [{"a": 1, "b": "x"}] * 4


FORMS = {
    "general": lambda a: None if a is None else a + 1,
    "arrow": lambda a: pc.add(a, 1),
    "pandas": lambda a: a + 1,
    "numpy": lambda a: a + 1,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same(form):
    function = udf(FORMS[form], result_type=DataTypes.BIGINT(), func_type=form)
    assert computed(function) == [2, 3, None, 5]


def test_hints_tell_the_form_and_the_types():
    @udf
    def rows(a: int) -> float:
        return a / 2

    @udf(result_type="BIGINT")
    def series(a: pd.Series) -> pd.Series:
        return a * 2

    @udf(result_type="BIGINT")
    def arrays(a: pa.Array) -> pa.Array:
        return pc.multiply(a, 2)

    @udf(result_type="BIGINT")
    def vectors(a: "np.ndarray"):
        return a * 2

    full = pa.array([1, 2], pa.int32())
    assert computed(rows, full) == [0.5, 1.0]
    for function in (series, arrays, vectors):
        assert computed(function, full) == [2, 4]
    assert repr(rows) == "udf rows(BIGINT) -> DOUBLE"
    assert sql_of(list[dict[str, int]]) == t.ARRAY(t.MAP(t.STRING(), t.BIGINT()))
    assert sql_of(int | None) == t.BIGINT()


def test_rows_are_rows_and_frames():
    kind = t.ROW([("x", t.INT()), ("y", t.INT())])
    column = pa.array([{"x": 1, "y": 2}], kind.to_arrow())
    one = udf(lambda r: r.x + r.y, result_type="INT")
    frame = udf(lambda f: f["x"] + f["y"], result_type="INT", func_type="pandas")
    assert computed(one, column, kind) == computed(frame, column, kind) == [3]
    both = udf(lambda a: pd.DataFrame({"a": a, "b": a}), result_type="ROW<a INT, b INT>",
               func_type="pandas")  # fmt: skip
    assert computed(both, pa.array([1], pa.int32())) == [{"a": 1, "b": 1}]


class Scaled(ScalarFunction):
    def __init__(self):
        self.factor = None
        self.closed = 0

    def open(self, function_context):
        self.factor = 10

    def close(self):
        self.closed += 1

    def eval(self, a):
        return a * self.factor

    def is_deterministic(self):
        return False


def test_objects_are_opened_once_and_closed():
    function = udf(Scaled(), result_type="INT")
    full = pa.array([1, 2], pa.int32())
    call = function.bind_scalar("f", [REF])
    assert list(users_in([[call], {"again": call}])) == [call.user]
    assert call.user.evaluate([full], 2).to_pylist() == [10, 20]
    call.user.close()
    call.user.close()
    assert call.user.function.closed == 1
    assert not call.user.deterministic
    with pytest.raises(InvalidUserFunctionError, match="deterministic"):
        udf(Scaled(), result_type="INT", deterministic=True)


def test_equal_calls_are_known_to_be_equal():
    function = udf(lambda a: a, result_type="INT")
    assert function.bind_scalar("f", [REF]) == function.bind_scalar("f", [REF])


def test_async_calls_are_under_way_together_and_keep_their_order():
    running = []
    most = []

    async def wait(a):
        running.append(a)
        most.append(len(running))
        await asyncio.sleep(0.02 if a == 0 else 0.001)
        running.remove(a)
        return a * 2

    call = udf(wait, result_type="INT").bind_scalar("f", [REF]).user
    assert call.evaluate([pa.array(range(25), pa.int32())], 25).to_pylist() == [
        2 * i for i in range(25)
    ]
    assert max(most) == 10
    call.close()


def test_async_calls_are_tried_again_and_may_take_too_long():
    attempts = []

    async def shaky(a):
        attempts.append(a)
        if len(attempts) < 3:
            msg = "not yet"
            raise ConnectionError(msg)
        return a

    call = udf(shaky, result_type="INT").bind_scalar("f", [REF]).user
    call.retry_delay_ms = 1
    assert call.evaluate([pa.array([7], pa.int32())], 1).to_pylist() == [7]
    attempts.clear()
    call.attempts = 2
    with pytest.raises(UserSqlFunctionError, match="ConnectionError: not yet"):
        call.evaluate([pa.array([7], pa.int32())], 1)

    async def slow(a):
        await asyncio.sleep(10)

    late = udf(slow, result_type="INT").bind_scalar("f", [REF]).user
    late.timeout_ms = 20
    with pytest.raises(UserSqlFunctionError, match="longer than 20 ms, row 0"):
        late.evaluate([pa.array([7], pa.int32())], 1)
    call.close()
    late.close()


class Parameters:
    """A runtime context that knows the job's options."""

    def get_job_parameter(self, key, default_value=None):
        known = {
            "table.exec.async-scalar.max-concurrent-operations": "3",
            "table.exec.async-scalar.timeout": "2 s",
        }
        return known.get(key, default_value)


def test_options_of_the_job_bound_async_calls():
    async def one(a):
        return a

    call = udf(one, result_type="INT").bind_scalar("f", [REF]).user
    call.attach(Parameters())
    call.open()
    found = (call.concurrent, call.timeout_ms, call.attempts, call.retry_delay_ms)
    assert found == (3, 2000, 3, 100)


def broken(a):
    return 10 // a


def test_an_error_names_the_row_and_keeps_the_users_frames():
    call = udf(broken, result_type="INT").bind_scalar("f", [REF]).user
    with pytest.raises(UserSqlFunctionError, match="broken failed, row 2 of its batch") as caught:
        call.evaluate([pa.array([1, 2, 0, 3], pa.int32())], 4)
    trace = caught.value.__cause__.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    assert trace.tb_frame.f_code is broken.__code__


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (
            udf(lambda a: "x", result_type="INT"),
            r"returned 'x' \(str\), and its result type is INT",
        ),
        (udf(lambda a: a[:1], result_type="INT", func_type="arrow"), "1 values for a batch of 4"),
        (udf(lambda a: 3j, result_type="INT", func_type="numpy"), "no column of INT"),
    ],
)
def test_wrong_results_are_told(function, told):
    with pytest.raises(InvalidUserResultError, match=told):
        computed(function)


def test_arguments_are_checked_and_cast():
    function = udf(lambda a, b: a, input_types=["DOUBLE", "STRING"], result_type="DOUBLE")
    call = function.bind_scalar("f", [REF, InputRef(1, t.CHAR(2), "b")])
    assert [str(a.type) for a in call.args] == ["DOUBLE", "CHAR(2)"]
    with pytest.raises(FunctionArgumentsError, match="1 arguments are given"):
        function.bind_scalar("f", [REF])
    with pytest.raises(FunctionArgumentsError, match="argument 1 of f is DOUBLE"):
        function.bind_scalar("f", [InputRef(0, t.STRING(), "s"), InputRef(1, t.STRING(), "b")])


@pytest.mark.parametrize(
    "make",
    [
        lambda: udf(Scaled, result_type="INT"),
        lambda: udf(3, result_type="INT"),
        lambda: udf(lambda a: a),
        lambda: udf(lambda a: a, result_type="INT", func_type="spark"),
        lambda: udtf(lambda a: [a]),
        lambda: udaf(lambda a: a, result_type="INT"),
        lambda: udtaf(Sum(), result_type="INT"),
    ],
)
def test_what_cannot_be_a_function_is_refused(make):
    with pytest.raises(InvalidUserFunctionError):
        make()


# ---------------------------------------------------------------------- table functions


def rows_of(function, values):
    _, columns, call = function.bind_table("f", [InputRef(0, t.STRING(), "s")])
    sources, found = call.rows([pa.array(values, pa.string())], len(values))
    assert [c.type for c in found] == [c.type.to_arrow() for c in columns]
    return sources.tolist(), list(zip(*[c.to_pylist() for c in found], strict=True))


class Words(TableFunction):
    def eval(self, text):
        for word in (text or "").split():
            yield Row(word, len(word))


@pytest.mark.parametrize(
    "function",
    [
        udtf(Words(), result_types=[DataTypes.STRING(), DataTypes.INT()]),
        udtf(
            lambda s: [(w, len(w)) for w in (s or "").split()], result_types="ROW<w STRING, n INT>"
        ),
    ],
)
def test_table_functions_give_rows_with_their_sources(function):
    found = rows_of(function, ["a bb", None, "", "ccc"])
    assert found == ([0, 0, 3], [("a", 1), ("bb", 2), ("ccc", 3)])


def test_a_single_value_stands_for_a_row():
    one = udtf(lambda s: s, result_types=["STRING"])
    assert rows_of(one, ["a", None, "b"]) == ([0, 2], [("a",), ("b",)])
    many = udtf(lambda s: [c for c in s], result_types=DataTypes.STRING())
    assert rows_of(many, ["ab"]) == ([0, 0], [("a",), ("b",)])


# ---------------------------------------------------------------------- aggregates


class Sum(AggregateFunction):
    def create_accumulator(self):
        return [0]

    def accumulate(self, accumulator, value):
        accumulator[0] += value

    def retract(self, accumulator, value):
        accumulator[0] -= value

    def merge(self, accumulator, accumulators):
        for other in accumulators:
            accumulator[0] += other[0]

    def get_value(self, accumulator) -> int:
        return accumulator[0]


class Only(AggregateFunction):
    def create_accumulator(self):
        return ListView()

    def accumulate(self, accumulator, value):
        accumulator.add(value)

    def get_value(self, accumulator):
        return sum(accumulator)


KINDS = np.array([RowKind.INSERT, RowKind.UPDATE_BEFORE, RowKind.UPDATE_AFTER], np.int8)


def bound(function) -> tuple[SqlType, object]:
    _, kind, call = function.bind_aggregate("f", [REF])
    return kind, call


@pytest.mark.parametrize(
    "function",
    [udaf(Sum()), udaf(lambda v: v.sum(), result_type="BIGINT", func_type="pandas")],
    ids=["general", "pandas"],
)
def test_aggregates_fold_take_back_and_merge(function):
    kind, call = bound(function)
    assert kind == t.BIGINT()
    accumulators = [call.create(), call.create()]
    call.fold(accumulators, np.array([0, 1, 1]), [pa.array([1, 2, 3], pa.int32())])
    call.fold(accumulators, np.array([0, 1, 1]), [pa.array([4, 2, 5], pa.int32())], KINDS)
    assert call.results(accumulators).to_pylist() == [5, 8]
    merged = call.merge(accumulators[0], [accumulators[1]])
    assert call.results([merged]).to_pylist() == [13]
    assert call.can_retract
    assert call.can_merge


def test_what_an_aggregate_lacks_is_told():
    _, call = bound(udaf(Only(), result_type="BIGINT"))
    assert not call.can_retract
    accumulators = [call.create()]
    column = pa.array([1, 2, 3], pa.int32())
    call.fold(accumulators, np.array([0, 0, 0]), [column], np.zeros(3, np.int8))
    assert call.results(accumulators).to_pylist() == [6]
    with pytest.raises(UserFunctionLacksMethodError, match="no retract"):
        call.fold(accumulators, np.array([0, 0, 0]), [column], KINDS)
    with pytest.raises(UserFunctionLacksMethodError, match="no merge"):
        call.merge(accumulators[0], [])


class Top2(TableAggregateFunction):
    def create_accumulator(self):
        return []

    def accumulate(self, accumulator, value):
        accumulator.append(value)
        accumulator.sort(reverse=True)
        del accumulator[2:]

    def emit_value(self, accumulator):
        for place, value in enumerate(accumulator):
            yield value, place

    def get_result_type(self):
        return "ROW<v INT, place INT>"


def test_table_aggregates_emit_rows_and_arrays_of_them():
    kind, call = bound(udtaf(Top2()))
    assert kind == t.ARRAY(t.ROW([("v", t.INT()), ("place", t.INT())]))
    accumulators = [call.create(), call.create()]
    call.fold(accumulators, np.array([0, 0, 0]), [pa.array([1, 3, 2], pa.int32())])
    sources, columns = call.emit(accumulators)
    assert sources.tolist() == [0, 0]
    assert [c.to_pylist() for c in columns] == [[3, 2], [0, 1]]
    assert call.results(accumulators).to_pylist() == [
        [{"v": 3, "place": 0}, {"v": 2, "place": 1}],
        [],
    ]


def test_views_are_lists_and_dictionaries():
    view = MapView()
    view.put_all({"a": 1, "b": 2})
    view.remove("b")
    view["c"] = 3
    assert (list(view), view.get("a"), "b" in view, view.is_empty()) == (
        ["a", "c"],
        1,
        False,
        False,
    )
    assert pickle.loads(pickle.dumps(view)) == view

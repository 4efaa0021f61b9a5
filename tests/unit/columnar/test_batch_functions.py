"""Functions of whole batches: what they take by their hints, what may come out, what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lesto.common import OutputTag, Row, Types
from lesto.common.elements import ColumnarBatch
from lesto.common.function_forms import BatchForm, form_of
from lesto.common.functions import MapFunction, ProcessFunction
from lesto.datastream import StreamExecutionEnvironment
from lesto.taskmanager.operators.columnar.batch_functions import (
    BatchFilterOperator,
    BatchFlatMapOperator,
    BatchMapOperator,
    BatchProcessOperator,
)
from lesto.taskmanager.operators.errors import InvalidResultError, UserFunctionError

if TYPE_CHECKING:
    import pandas as unknown

SCHEMA = pa.schema([("k", pa.string()), ("x", pa.int64())])
ROWS = [("a", 1), ("b", 2), ("c", 3)]
SUM = pa.schema([("total", pa.int64())])


def whole(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.set_column(1, "x", pc.multiply(batch.column("x"), 2))


def frame(df: pd.DataFrame) -> pd.DataFrame:
    return df.assign(x=df["x"] * 2)


def table(given: pa.Table) -> pa.Table:
    return given.set_column(1, "x", pc.multiply(given.column("x"), 2))


def arrays(k: pa.Array, x: npt.NDArray[np.int64]) -> dict[str, object]:
    return {"k": k, "x": x * 2}


def series(x: pd.Series, k: pd.Series) -> tuple[pd.Series, pd.Series]:
    return k, x * 2


def run(rig, operator, function, schema, method="map", rows=ROWS, times=None, as_values=False):
    form = form_of(getattr(function, method, function), context=method == "process_element")
    r = rig(operator(function, form, schema, as_values), SCHEMA)
    r.send(rows, times)
    return r


@pytest.mark.parametrize("function", [whole, frame, table, arrays, series])
@pytest.mark.parametrize("pad", [0, 3])
def test_every_form_of_a_map_gives_the_same(rig, function, pad):
    r = rig(BatchMapOperator(function, form_of(function), SCHEMA), SCHEMA)
    r.send(ROWS, [10, 20, 30], pad=pad)
    assert r.out.take() == [("a", 2, 10), ("b", 4, 20), ("c", 6, 30)]


def one_array(x: np.ndarray) -> np.ndarray:
    return x + 1


def test_one_array_is_the_declared_column_or_values(rig):
    r = run(rig, BatchMapOperator, one_array, SUM)
    assert r.out.elements[0].data.schema == SUM
    r = run(rig, BatchMapOperator, one_array, pa.schema([("value", pa.float64())]), as_values=True)
    assert r.out.elements[0].values == [2.0, 3.0, 4.0]


def test_kinds_stay(rig):
    r = rig(BatchMapOperator(whole, form_of(whole), SCHEMA), SCHEMA)
    data = pa.RecordBatch.from_pylist([{"k": "a", "x": 1}], schema=SCHEMA)
    r.operator.process_batch(ColumnarBatch(data, kinds=np.array([3], np.int8)))
    assert r.out.elements[0].kinds.tolist() == [3]


def test_a_filter_keeps_what_is_true_and_not_null(rig):
    def above(x: pa.Array) -> pa.Array:
        return pc.greater(x, 1)

    rows = [("a", 1), ("b", None), ("c", 3)]
    r = rig(BatchFilterOperator(above, form_of(above), None), SCHEMA)
    r.send(rows, [1, 2, 3])
    assert r.out.take() == [("c", 3, 3)]


def repeat(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    indices = np.repeat(np.arange(len(x)), x)
    return x[indices], indices


def test_a_flat_map_says_which_record_each_result_is_of(rig):
    r = run(rig, BatchFlatMapOperator, repeat, SUM, "flat_map", times=[10, 20, 30])
    assert r.out.take() == [(1, 10), (2, 20), (2, 20), (3, 30), (3, 30), (3, 30)]


def halves(batch: pa.RecordBatch):
    yield batch.slice(0, 1)
    yield batch.slice(1)


def test_a_flat_map_yields_batches_where_there_is_no_event_time(rig):
    r = run(rig, BatchFlatMapOperator, halves, SCHEMA, "flat_map")
    assert [len(e) for e in r.out.elements] == [1, 2]
    assert r.out.take() == [(*row, None) for row in ROWS]


class Split(ProcessFunction):
    def process_element(self, batch: pa.RecordBatch, ctx):
        small = pc.less(batch.column("x"), 2)
        times = ctx.timestamps()
        assert len(times) == batch.num_rows
        kept = np.flatnonzero(~small.to_numpy(zero_copy_only=False))
        yield batch.filter(pc.invert(small)), kept
        yield OutputTag("small"), (batch.filter(small), np.array([0]))


def test_a_process_function_of_batches_reaches_side_outputs(rig):
    r = run(rig, BatchProcessOperator, Split(), SCHEMA, "process_element", times=[1, 2, 3])
    assert r.out.take() == [("b", 2, 2), ("c", 3, 3)]
    [(tag, batch)] = r.out.side
    assert (tag, batch.data.to_pylist()) == ("small", [{"k": "a", "x": 1}])


def scalar(x: np.ndarray):
    return 3


def short(x: np.ndarray) -> np.ndarray:
    return x[:1]


def square(x: np.ndarray) -> np.ndarray:
    return np.zeros((len(x), 2))


def nameless(x: np.ndarray) -> dict[str, np.ndarray]:
    return {"totl": x}


@pytest.mark.parametrize(
    ("function", "schema", "says"),
    [
        (scalar, SUM, r"scalar\(x: numpy.ndarray\) of operator 'op' returned a int"),
        (short, SUM, r"returned 1 values for a batch of 3 records"),
        (square, SUM, r"an array of 2 dimensions"),
        (nameless, SCHEMA, r"returned other columns than declared: .*totl"),
        (whole, SUM, r"returned other columns than declared"),
    ],
)
def test_a_wrong_result_names_function_hint_and_operator(rig, function, schema, says):
    with pytest.raises(InvalidResultError, match=says):
        run(rig, BatchMapOperator, function, schema)


def test_results_without_a_time_are_an_error_where_records_have_one(rig):
    with pytest.raises(InvalidResultError, match="without event time"):
        run(rig, BatchFlatMapOperator, halves, SCHEMA, "flat_map", times=[1, 2, 3])


def test_a_filter_that_gives_numbers_is_an_error(rig):
    with pytest.raises(InvalidResultError, match="returned int64 values"):
        run(rig, BatchFilterOperator, one_array, None, "filter")


def test_what_a_function_raises_is_the_users(rig):
    def fails(batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.column("nothing")

    with pytest.raises(UserFunctionError, match="fails"):
        run(rig, BatchMapOperator, fails, SCHEMA)


# ------------------------------------------------------------------------------------ hints


class Doubled(MapFunction):
    def map(self, value: pd.DataFrame) -> pd.DataFrame:
        return value


def only_checked(value: unknown.DataFrame) -> unknown.DataFrame:
    return value


def test_hints_are_read_from_methods_and_as_text():
    assert form_of(Doubled().map).parameters == (("value", BatchForm.DATA_FRAME),)
    assert form_of(arrays).parameters == (("k", BatchForm.ARRAY), ("x", BatchForm.NDARRAY))
    assert form_of(only_checked) is None
    for records in (lambda r: r, str, len, one_record := (lambda row: row)):
        assert form_of(records) is None
    one_record.__annotations__ = {"row": Row}
    assert form_of(one_record) is None


def test_hints_that_do_not_go_together_are_an_error():
    def two(a: pa.RecordBatch, b: pa.RecordBatch): ...

    def mixed(a: np.ndarray, b: int): ...

    for function in (two, mixed):
        with pytest.raises(ValueError, match="takes either one whole batch or columns"):
            form_of(function)


# ------------------------------------------------------------------------------------ API


@pytest.fixture
def stream():
    env = StreamExecutionEnvironment.get_execution_environment()
    names = Types.ROW_NAMED(["k", "x"], [Types.STRING(), Types.LONG()])
    return env.from_collection(ROWS, type_info=names)


def test_the_columns_of_a_result_are_found_or_declared(stream):
    assert stream.map(whole).schema == SCHEMA
    assert stream.map(one_array).schema == pa.schema([("value", pa.int64())])
    assert stream.map(one_array, Types.ROW_NAMED(["y"], [Types.DOUBLE()])).schema.names == ["y"]
    assert stream.map(one_array, Types.LONG()).schema is None
    assert stream.filter(one_array).schema == SCHEMA
    assert stream.flat_map(repeat).schema.names == ["value"]


def test_what_cannot_be_built_names_hint_and_remedy(stream):
    def lost(y: np.ndarray) -> np.ndarray:
        return y

    def unknown_type(batch: pa.RecordBatch):
        raise RuntimeError("no data")

    from lesto.client.datastream.errors import SchemaRequiredError, WrongArgumentError

    stream_of_two = stream
    with pytest.raises(WrongArgumentError, match="there is no column 'y'"):
        stream_of_two.map(lost)
    with pytest.raises(WrongArgumentError, match="raised RuntimeError: no data") as caught:
        stream.map(unknown_type)
    assert "output_type=Types.ROW_NAMED" in caught.value.remedy
    with pytest.raises(WrongArgumentError, match="are not known"):
        stream.map(Doubled())
    plain = stream.get_execution_environment().from_collection([1, 2])
    with pytest.raises(SchemaRequiredError, match=r"whole\(batch: pyarrow.RecordBatch\) needs"):
        plain.map(whole)


def test_with_keyed_state_a_function_takes_records(stream):
    from lesto.client.datastream.errors import WrongArgumentError

    with pytest.raises(WrongArgumentError, match="with keyed state takes records"):
        stream.key_by("k").map(Doubled())
    assert stream.key_by("k").map(whole).schema == SCHEMA

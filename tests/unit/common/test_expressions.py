"""Expressions: how they print and pickle, what they compute, what is refused before a job runs."""

import datetime as dt
import operator
import pickle

import cloudpickle
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.common.errors import Domain
from lesto.common.evaluator import (
    EvaluationError,
    Predicate,
    Projection,
    TypeMismatchError,
    compile_expr,
)
from lesto.common.expressions import (
    ExpressionError,
    col,
    columns_of,
    count,
    lit,
    output_name,
    structure,
    window_start,
)
from lesto.common.types import Types

SCHEMA = pa.schema(
    [
        ("i", pa.int64()),
        ("j", pa.int32()),
        ("f", pa.float64()),
        ("s", pa.string()),
        ("b", pa.bool_()),
        ("t", pa.timestamp("us", "UTC")),
    ]
)


def compute(expr, rows, schema=SCHEMA):
    compiled = compile_expr(expr, schema)
    batch = pa.RecordBatch.from_pylist(rows, schema=schema)
    padded = pa.RecordBatch.from_pylist(rows[:1] + rows, schema=schema).slice(1)
    result = compiled.evaluate(padded)
    assert result.type == compiled.type == compiled.evaluate(batch.slice(0, 0)).type
    assert compiled.evaluate(batch).equals(result)
    return result.to_pylist()


WHOLE = st.one_of(st.none(), st.integers(-(2**62), 2**62), st.integers(-7, 7))


@given(pairs=st.lists(st.tuples(WHOLE, st.one_of(st.none(), st.integers(-9, 9).filter(bool)))))
@pytest.mark.parametrize(
    "op", [operator.floordiv, operator.mod, operator.truediv, operator.add, operator.sub]
)
def test_whole_number_arithmetic_is_pythons(op, pairs):
    schema = pa.schema([("a", pa.int64()), ("b", pa.int64())])
    rows = [{"a": a, "b": b} for a, b in pairs]
    wanted = [None if a is None or b is None else op(a, b) for a, b in pairs]
    got = compute(op(col("a"), col("b")), rows, schema)
    if op is operator.truediv:  # Python rounds once, floats twice
        assert [g is None for g in got] == [w is None for w in wanted]
        got, wanted = ([x for x in side if x is not None] for side in (got, wanted))
        wanted = pytest.approx(wanted, rel=1e-15)
    assert got == wanted


@given(values=st.lists(st.tuples(*[st.sampled_from([True, False, None])] * 2)))
def test_logic_has_three_values(values):
    schema = pa.schema([("a", pa.bool_()), ("b", pa.bool_())])
    rows = [{"a": a, "b": b} for a, b in values]

    def conjunction(a, b):
        if a is False or b is False:
            return False
        return None if a is None or b is None else True

    negated = [None if a is None else not a for a, _ in values]
    assert compute(col("a") & col("b"), rows, schema) == [conjunction(*v) for v in values]
    assert compute(~col("a"), rows, schema) == negated
    either = compute(col("a") | col("b"), rows, schema)
    de_morgan = compute(~(~col("a") & ~col("b")), rows, schema)
    assert either == de_morgan


@pytest.mark.parametrize(
    ("expr", "wanted"),
    [
        (1 + col("i"), [8, None]),
        (10 - col("i"), [3, None]),
        (2 / col("j"), [-1.0, None]),
        (15 // col("i"), [2, None]),
        (15 % col("i"), [1, None]),
        (-col("i"), [-7, None]),
        (col("f") / 0, [float("inf"), None]),
        (col("i").is_in([1, 7]), [True, False]),
        (col("i").between(7, 8), [True, None]),
        (col("i").fill_null(0), [7, 0]),
        (col("i").is_null() | (col("j") > 0), [False, True]),
        (col("i").is_not_null(), [True, False]),
        (col("i").cast(str), ["7", None]),
        (col("i").cast(Types.DOUBLE()), [7.0, None]),
        (col("j").abs(), [2, None]),
        (col("f").round(1), [2.5, None]),
        (col("s").upper(), ["AB C ", None]),
        (col("s").strip().length(), [4, None]),
        (col("s").contains("b c"), [True, None]),
        (col("s").starts_with("a"), [False, None]),
        (col("s").ends_with("c "), [True, None]),
        (col("s") + "!", ["Ab c !", None]),
        (col("s").concat("-", col("i").cast(str)), ["Ab c -7", None]),
        (col("t") > dt.datetime(2013, 1, 1, tzinfo=dt.UTC), [True, None]),
        (lit(5), [5, 5]),
    ],
    ids=str,
)
def test_functions(expr, wanted):
    row = {
        "i": 7,
        "j": -2,
        "f": 2.45,
        "s": "Ab c ",
        "b": True,
        "t": dt.datetime(2013, 5, 1, tzinfo=dt.UTC),
    }
    if "round" in str(expr):
        row["f"] = 2.51
    assert compute(expr, [row, dict.fromkeys(row)]) == wanted


@pytest.mark.parametrize(
    ("expr", "row"),
    [
        (col("i") + 1, {"i": 2**63 - 1}),
        (col("i") // col("j"), {"i": 1, "j": 0}),
        (col("i") / col("j"), {"i": 1, "j": 0}),
        (col("i") % col("j"), {"i": 1, "j": 0}),
        (col("s").cast(int), {"s": "12x"}),
        (col("i").cast(pa.int8()), {"i": 300}),
    ],
    ids=str,
)
def test_what_cannot_be_computed_fails_with_the_expression_in_the_message(expr, row):
    with pytest.raises(EvaluationError) as caught:
        compute(expr, [row])
    assert str(expr) in caught.value.message
    assert caught.value.domain is Domain.USER
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("expr", "error", "text"),
    [
        (col("ii") > 1, ExpressionError, "column 'ii' does not exist"),
        (col("s") * 2, TypeMismatchError, r"\(s \* 2\) does not fit the columns s: string"),
        (col("i") > "x", TypeMismatchError, "does not fit"),
        (col("i") & col("b"), TypeMismatchError, "does not fit"),
        (col("i").is_in(["x"]), TypeMismatchError, "does not fit"),
        (col("i") == None, ExpressionError, "never true"),  # noqa: E711 - the mistake under test
        (col("i").sum() > 1, ExpressionError, "is an aggregate"),
        (window_start(), ExpressionError, "cannot be computed record by record"),
        (col("i").cast("int65"), ExpressionError, "no type called 'int65'"),
        (col("i").cast(object), ExpressionError, "is not a type"),
    ],
    ids=str,
)
def test_mistakes_are_refused_before_any_record(expr, error, text):
    with pytest.raises(error, match=text):
        compile_expr(expr, SCHEMA)


def test_a_mistake_names_stream_location_and_nearest_column():
    schema = pa.schema([("dep_delay", pa.int64())])
    with pytest.raises(ExpressionError) as caught:
        compile_expr(col("dep_dealy") > 1, schema, stream="flights", location="job.py:7")
    assert "in stream 'flights' (did you mean 'dep_delay'?) at job.py:7" in str(caught.value)


def test_a_column_of_a_doubled_name_is_ambiguous():
    schema = pa.schema([("a", pa.int64()), ("a", pa.int64())])
    with pytest.raises(ExpressionError, match="several columns called 'a'"):
        compile_expr(col("a"), schema)


def test_a_predicate_takes_conditions_only_and_null_is_false():
    with pytest.raises(TypeMismatchError, match="a filter needs a condition, but i gives int64"):
        Predicate(col("i"), SCHEMA)
    batch = pa.RecordBatch.from_pylist([{"i": 1}, {"i": None}, {"i": -1}], schema=SCHEMA)
    assert Predicate(col("i") > 0, SCHEMA).mask(batch).to_pylist() == [True, False, False]


def test_a_projection_names_its_columns_and_refuses_doubles():
    exprs = [col("i"), (col("i") + 1).alias("next"), col("f") * 2]
    assert Projection(exprs, SCHEMA).schema.names == ["i", "next", "expr_2"]
    with pytest.raises(ExpressionError, match="two columns are named 'i'"):
        Projection([col("i"), col("j").alias("i")], SCHEMA)


def test_truth_is_refused_with_the_right_operators_named():
    with pytest.raises(ExpressionError, match="not known before the job runs") as caught:
        bool(col("a") > 1)
    assert "& | ~" in caught.value.remedy


@pytest.mark.parametrize("value", [object(), [1], {"a": 1}])
def test_what_is_no_constant_cannot_be_part_of_an_expression(value):
    with pytest.raises(ExpressionError, match="cannot be part of an expression"):
        col("a") + value


def test_expressions_survive_pickling():
    expr = (col("i").fill_null(1) + lit(2)).alias("x")
    for module in (pickle, cloudpickle):
        again = module.loads(module.dumps(expr))
        assert structure(again) == structure(expr)
        assert str(again) == str(expr)


def test_structure_tells_forms_and_types_of_constants_apart():
    same = [structure((col("a") + 1).is_in([1, 2])) for _ in range(2)]
    assert same[0] == same[1]
    different = [col("a") + 1, col("a") + 1.0, col("a") + True, 1 + col("a"), col("a") - 1]
    assert len({structure(e) for e in different}) == 5


def test_names_and_columns():
    assert columns_of((col("a") + col("b")).sum() / count()) == {"a", "b"}
    assert output_name(col("a").mean()) == "a_mean"
    assert output_name((col("a") + 1).mean(), 3) == "expr_3"

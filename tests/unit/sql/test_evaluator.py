"""The evaluator: guards, sharing, three-valued logic, broadcasting, exact types."""

import itertools
import pickle

import pyarrow as pa
import pytest
from sql_text import parse

from lesto.sql import types as t
from lesto.sql.builder import call, case, cast, literal
from lesto.sql.errors import CastFailedError, DivisionByZeroError, NotComputableError
from lesto.sql.evaluator import compile_expressions, evaluate_constant
from lesto.sql.expressions import Call, InputRef
from lesto.sql.rewrite import (
    conjunction,
    conjuncts,
    fold,
    input_refs,
    is_constant,
    remap_refs,
    replace_refs,
    shift_refs,
)
from lesto.sql.values import EvaluationContext

A, S, B = InputRef(0, t.INT(), "a"), InputRef(1, t.STRING(), "s"), InputRef(2, t.BOOLEAN(), "b")
COLUMNS = {"a": A, "s": S, "b": B}
BATCH = pa.record_batch(
    {
        "a": pa.array([1, 0, None, 7], pa.int32()),
        "s": ["x", "12", None, "3"],
        "b": [True, None, False, None],
    }
)


def values(sql, batch=BATCH, **context):
    program = compile_expressions([parse(sql, COLUMNS)])
    (column,) = program.evaluate(batch, EvaluationContext(**context))
    assert column.type == program.types[0].to_arrow()
    assert len(column) == batch.num_rows
    return column.to_pylist()


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("CASE WHEN a <> 0 THEN 10 / a ELSE -1 END", [10, -1, -1, 1]),
        ("CASE WHEN a = 0 THEN 0 WHEN 10 / a > 5 THEN 1 ELSE 10 / a END", [1, 0, None, 1]),
        ("a <> 0 AND 10 / a > 5", [True, False, None, False]),
        ("a = 0 OR 10 / a > 5", [True, True, None, False]),
        ("CASE WHEN REGEXP(s, '[0-9]+') THEN CAST(s AS INT) ELSE 0 END", [0, 12, 0, 3]),
        ("COALESCE(a, CAST('z' AS INT))", None),
        ("COALESCE(a, CAST(COALESCE(s, '5') AS INT))", [1, 0, 5, 7]),
        ("IF(b, 10 / a, 0)", [10, 0, 0, 0]),
        ("TRY_CAST(s AS INT)", [None, 12, None, 3]),
    ],
)
def test_what_may_fail_is_computed_only_where_sql_asks(sql, expected):
    if expected is None:
        with pytest.raises(CastFailedError, match="'z' cannot be cast to INT"):
            values(sql)
    else:
        assert values(sql) == expected


def test_a_failing_branch_that_is_reached_fails():
    with pytest.raises(DivisionByZeroError, match="divided by zero"):
        values("CASE WHEN a IS NOT NULL THEN 10 / a END")
    with pytest.raises(DivisionByZeroError):
        values("a = 1 OR 10 / a > 5")
    with pytest.raises(CastFailedError, match="TRY_CAST gives NULL"):
        values("CAST(s AS INT)")


def test_three_valued_logic_is_kleenes():
    truth = {True: 1.0, None: 0.5, False: 0.0}
    back = {v: k for k, v in truth.items()}
    pairs = list(itertools.product(truth, repeat=2))
    batch = pa.record_batch({"p": [p for p, _ in pairs], "q": [q for _, q in pairs]})
    p, q = InputRef(0, t.BOOLEAN()), InputRef(1, t.BOOLEAN())
    # The guarded form must agree: its second part is costly.
    slow_q = call("IF", [call("REGEXP", [literal("a"), literal("a")]), q, literal(None)])
    program = compile_expressions(
        [f for op in ("AND", "OR") for f in (call(op, [p, q]), call(op, [p, slow_q]))]
    )
    found = [c.to_pylist() for c in program.evaluate(batch)]
    both = [back[min(truth[x], truth[y])] for x, y in pairs]
    either = [back[max(truth[x], truth[y])] for x, y in pairs]
    assert found == [both, both, either, either]


class Counting:
    """A user's function that counts its calls and rows."""

    deterministic = True

    def __init__(self):
        self.rows = []

    def evaluate(self, columns, rows):
        assert all(len(c) == rows for c in columns)
        self.rows.append(rows)
        return pa.array([None if v is None else v * 10 for v in columns[0].to_pylist()], pa.int32())


def test_a_shared_expression_is_computed_once_a_batch():
    user = Counting()
    tenfold = Call("TENFOLD", (A,), t.INT(), user)
    program = compile_expressions(
        [call("+", [tenfold, literal(1)]), call("*", [tenfold, tenfold]), tenfold]
    )
    found = program.evaluate(BATCH)
    assert [c.to_pylist() for c in found] == [
        [11, 1, None, 71],
        [100, 0, None, 4900],
        [10, 0, None, 70],
    ]
    assert user.rows == [4]
    program.evaluate(BATCH)
    assert user.rows == [4, 4]


def test_a_guarded_branch_uses_what_was_computed_for_all_rows():
    user = Counting()
    tenfold = Call("TENFOLD", (A,), t.INT(), user)
    guarded = case([(call(">", [tenfold, literal(5)]), tenfold)], literal(0))
    assert compile_expressions([guarded]).evaluate(BATCH)[0].to_pylist() == [10, 0, 0, 70]
    assert user.rows == [4]


def test_a_users_function_in_a_branch_sees_only_its_rows():
    user = Counting()
    tenfold = Call("TENFOLD", (A,), t.INT(), user)
    guarded = case([(call("=", [A, literal(7)]), tenfold)], literal(0))
    assert compile_expressions([guarded]).evaluate(BATCH)[0].to_pylist() == [0, 0, 0, 70]
    assert user.rows == [1]


def test_a_function_that_is_not_deterministic_is_not_shared():
    a, b = compile_expressions([call("RAND", []), call("RAND", [])]).evaluate(BATCH)
    assert a.to_pylist() != b.to_pylist()
    assert len(set(a.to_pylist())) == 4


@pytest.mark.parametrize(
    "sql",
    ["1", "'x'", "NULL", "ARRAY[1, 2]", "ROW(1, 'a')", "MAP['a', 1]", "1.5", "DATE '2020-01-01'"],
)
def test_constants_are_broadcast(sql):
    found = values(sql)
    assert found == [found[0]] * 4


@pytest.mark.parametrize(
    "sql",
    [
        "a + 1",
        "a / 2",
        "UPPER(s)",
        "IF(b, a, 1 / a)",
        "CAST(s AS INT)",
        "ARRAY[a, 1]",
        "s LIKE '1%'",
        "CONCAT_WS(',', s, s)",
        "DATE_FORMAT(TO_TIMESTAMP(s), 'yyyy')",
        "REGEXP_EXTRACT(s, '(.)', 1)",
        "SPLIT_INDEX(s, '1', 0)",
        "ROUND(CAST(a AS DOUBLE), 1)",
        "JSON_VALUE(s, '$.a')",
    ],
)
def test_an_empty_batch_gives_empty_columns(sql):
    assert values(sql, BATCH.slice(0, 0)) == []


@pytest.mark.parametrize(
    "sql",
    [
        "a + 1",
        "UPPER(s)",
        "SPLIT_INDEX(s, '2', 0)",
        "CAST(a AS STRING)",
        "b IS TRUE",
        "MOD(a, 2)",
        "CASE WHEN a > 0 THEN 8 / a END",
        "a = 7 AND 7 / a = 1",
        "COALESCE(a, CAST(s AS INT), 9)",
    ],
)
def test_a_slice_of_a_batch_gives_the_slice_of_the_result(sql):
    assert values(sql, BATCH.slice(2, 2)) == values(sql, BATCH.slice(2))[:2]
    assert values(sql, BATCH.slice(3)) == values(sql)[3:] if "CAST(s" not in sql else True


def test_the_session_decides_time_zone_and_clock():
    assert (
        values("CAST(TO_TIMESTAMP_LTZ(0, 3) AS STRING)", time_zone="Asia/Tokyo")[0]
        == "1970-01-01 09:00:00.000"
    )
    assert (
        values("CAST(CURRENT_TIMESTAMP AS STRING)", now_ms=1500, time_zone="Europe/Berlin")[0]
        == "1970-01-01 01:00:01.500"
    )
    assert values("HOUR(TO_TIMESTAMP_LTZ(0, 3))", time_zone="America/New_York")[0] == 19
    assert (
        values("CURRENT_WATERMARK(TO_TIMESTAMP('2020-01-01')) IS NULL", watermark_ms=5)[0] is False
    )
    assert (
        str(values("CURRENT_DATE", now_ms=86_400_000 - 1, time_zone="Asia/Tokyo")[0])
        == "1970-01-02"
    )


def test_mask_takes_null_for_false():
    assert compile_expressions([B]).mask(BATCH).to_pylist() == [True, False, False, False]


def test_expressions_are_picklable_and_equal_by_content():
    e = parse("CASE WHEN a > 1 THEN CAST(s AS DECIMAL(5, 2)) ELSE 0.5 END", COLUMNS)
    again = pickle.loads(pickle.dumps(e))
    assert again == e
    assert hash(again) == hash(e)
    assert str(e).startswith("CASE WHEN >(a, 1) THEN CAST(s AS DECIMAL(5, 2))")


def test_rewriting():
    e = parse("a > 1 AND s = 'x' AND b", COLUMNS)
    assert [str(c) for c in conjuncts(e)] == [">(a, 1)", "=(s, 'x')", "b"]
    assert conjunction(conjuncts(e)) == e
    assert conjunction([]).value is True
    assert input_refs(e) == {0, 1, 2}
    assert input_refs(shift_refs(e, 3)) == {3, 4, 5}
    assert input_refs(remap_refs(e, {0: 5, 1: 6, 2: 7})) == {5, 6, 7}
    below = replace_refs(parse("a + 1", COLUMNS), [literal(2)])
    assert str(below) == "+(2, 1)"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("1 + 2 * 3", "7"),
        ("a + (1 + 2)", "+(a, 3)"),
        ("CASE WHEN 1 > 2 THEN a ELSE 5 END", "5"),
        ("CASE WHEN 1 < 2 THEN a ELSE 1 / 0 END", "a"),
        ("1 / 0", "/(1, 0)"),
        ("UPPER('x') || s", "||('X', s)"),
        ("RAND() > 2", ">(RAND(), CAST(2 AS DOUBLE))"),
    ],
)
def test_folding(sql, expected):
    found = str(fold(parse(sql, COLUMNS)))
    assert found == expected or (expected.startswith(">(RAND") and found == ">(RAND(), 2.0)")


def test_what_depends_on_the_session_is_not_folded():
    assert not is_constant(parse("CURRENT_DATE"))
    assert not is_constant(parse("CAST(TO_TIMESTAMP_LTZ(0, 3) AS STRING)"))
    assert is_constant(parse("CAST(1 AS STRING)"))


def test_evaluating_a_constant():
    assert evaluate_constant(cast(literal("5"), t.INT())).to_pylist() == [5]


def test_what_arrow_cannot_hold_is_a_named_error():
    text = call("REPEAT", [InputRef(0, t.STRING(), "s"), literal(2**31 - 1)])
    data = pa.record_batch({"s": ["abcdefgh"] * 3})
    with pytest.raises(NotComputableError, match=r"LESTO-6215: REPEAT\(s, 2147483647\) cannot be"):
        compile_expressions([text]).evaluate(data)

"""TYPEOF, and CAST with its matrix of examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from lesto.sql import types as t
from lesto.sql.builder import not_taken
from lesto.sql.expressions import Expression
from lesto.sql.functions import params as p
from lesto.sql.functions.table import ScalarFunction, function, register, sig

_GROUP: Final = "conversion"


def _only_syntax(name: str) -> Expression:
    raise not_taken(function(name), [])


def _bind_cast(_args: Sequence[Expression]) -> Expression:
    return _only_syntax("CAST")


def _bind_try_cast(_args: Sequence[Expression]) -> Expression:
    return _only_syntax("TRY_CAST")


register(
    ScalarFunction(
        "TYPEOF",
        _GROUP,
        (sig(p.ANY, to=t.STRING()), sig(p.ANY, p.BOOLEAN, to=t.STRING())),
        lambda call_: lambda _ev, *_values: pa.scalar(call_.args[0].type.summary()),
        nullable="never",
        examples=(
            ("TYPEOF(1)", "INT NOT NULL"),
            ("TYPEOF(CAST(NULL AS DECIMAL(10, 2)))", "DECIMAL(10, 2)"),
            ("TYPEOF(1.5)", "DECIMAL(2, 1) NOT NULL"),
            ("TYPEOF(CAST(1.5 AS DECIMAL(10, 4)) * CAST(2.0 AS DECIMAL(8, 2)))",
             "DECIMAL(19, 6) NOT NULL"),
            ("TYPEOF(CAST(1.0 AS DECIMAL(10, 2)) / CAST(3.0 AS DECIMAL(5, 1)))",
             "DECIMAL(17, 8) NOT NULL"),
            ("TYPEOF(CAST(1 AS DECIMAL(20, 10)) + CAST(1 AS DECIMAL(30, 4)))",
             "DECIMAL(37, 10) NOT NULL"),
            ("TYPEOF(COALESCE(CAST(NULL AS INT), CAST(1.25 AS DECIMAL(5, 2))))",
             "DECIMAL(12, 2) NOT NULL"),
            ("TYPEOF(TIMESTAMP '2020-01-01 00:00:00.123')", "TIMESTAMP(3) NOT NULL"),
            ("TYPEOF(CAST(1 AS BIGINT) + CAST(1.5 AS FLOAT))", "FLOAT NOT NULL"),
            ("TYPEOF(CAST(1 AS TINYINT) + 1)", "INT NOT NULL"),
            ("TYPEOF(ARRAY[1, CAST(2 AS BIGINT)])", "ARRAY<BIGINT NOT NULL> NOT NULL"),
        ),
    ),
    ScalarFunction(
        "CAST",
        _GROUP,
        bind=_bind_cast,
        syntax="CAST(value AS type)",
        examples=(
            ("CAST('42' AS INT)", "42"),
            ("CAST(' -12.9 ' AS INT)", "-12"),
            ("CAST('1e3' AS DOUBLE)", "1000.0"),
            ("CAST('12.345' AS DECIMAL(5, 2))", "12.35"),
            ("CAST('yes' AS BOOLEAN)", "TRUE"),
            ("CAST('2020-5-7' AS DATE)", "2020-05-07"),
            ("CAST('10:11:12' AS TIME)", "10:11:12"),
            ("CAST('2020-01-01 10:11:12.5' AS TIMESTAMP(3))", "2020-01-01 10:11:12.500"),
            ("CAST('2020-01-01' AS TIMESTAMP(3))", "2020-01-01 00:00:00.000"),
            ("CAST(NULL AS STRING)", None),
            ("CAST(3000000000 AS INT)", "-1294967296"),
            ("CAST(300 AS TINYINT)", "44"),
            ("CAST(2.9 AS INT)", "2"),
            ("CAST(CAST(-2.9 AS DOUBLE) AS BIGINT)", "-2"),
            ("CAST(CAST(1e20 AS DOUBLE) AS INT)", "2147483647"),
            ("CAST(1 AS BOOLEAN)", "TRUE"),
            ("CAST(TRUE AS INT)", "1"),
            ("CAST(1.005 AS DECIMAL(3, 2))", "1.01"),
            ("CAST(12345 AS DECIMAL(4, 1))", None),
            ("CAST(CAST(1e7 AS DOUBLE) AS STRING)", "1.0E7"),
            ("CAST(CAST(0.1 AS FLOAT) AS STRING)", "0.1"),
            ("CAST(1.50 AS STRING)", "1.50"),
            ("CAST(TRUE AS STRING)", "TRUE"),
            ("CAST('abcdef' AS CHAR(3))", "abc"),
            ("CAST('ab' AS CHAR(4)) || '|'", "ab  |"),
            ("CAST('abcdef' AS VARCHAR(3))", "abc"),
            ("CAST(X'68656C6C6F' AS STRING)", "hello"),
            ("CAST(TIMESTAMP '2020-01-01 10:11:12.345' AS DATE)", "2020-01-01"),
            ("CAST(TIMESTAMP '2020-01-01 10:11:12' AS TIME)", "10:11:12"),
            ("CAST(DATE '2020-01-01' AS TIMESTAMP(3))", "2020-01-01 00:00:00.000"),
            ("CAST(TIMESTAMP '2020-01-01 10:11:12.345678' AS TIMESTAMP(3))",
             "2020-01-01 10:11:12.345"),
            ("CAST(ARRAY[1, 2] AS ARRAY<STRING>)", "[1, 2]"),
            ("CAST(MAP['a', '1'] AS MAP<STRING, INT>)", "{a=1}"),
            ("CAST(ROW(1, '2') AS ROW<a BIGINT, b INT>)", "(1, 2)"),
            ("CAST(INTERVAL '14' MONTH AS STRING)", "+1-02"),
            ("CAST(INTERVAL '1 02:03:04.005' DAY TO SECOND AS STRING)", "+1 02:03:04.005"),
        ),
    ),
    ScalarFunction(
        "TRY_CAST",
        _GROUP,
        bind=_bind_try_cast,
        syntax="TRY_CAST(value AS type)",
        examples=(
            ("TRY_CAST('42' AS INT)", "42"),
            ("TRY_CAST('non-number' AS INT)", None),
            ("TRY_CAST('128' AS TINYINT)", None),
            ("TRY_CAST('x' AS BOOLEAN)", None),
            ("TRY_CAST('2020-02-30' AS DATE)", None),
            ("TRY_CAST('25:00:00' AS TIME)", None),
            ("TRY_CAST('' AS DOUBLE)", None),
            ("TRY_CAST('2020-01-01T10:00:00' AS TIMESTAMP(3))", None),
        ),
    ),
)  # fmt: skip

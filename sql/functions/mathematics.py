"""Mathematical functions."""

from __future__ import annotations

import decimal
import math
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql import type_rules
from lesto.sql import types as t
from lesto.sql.builder import bind_signature, call, literal
from lesto.sql.casts.parse import fit_decimal
from lesto.sql.expressions import Call, Expression, Literal
from lesto.sql.functions import params as p
from lesto.sql.functions.table import ScalarFunction, function, pure, register, sig
from lesto.sql.types import APPROXIMATE, INTEGER, SqlType, TypeRoot
from lesto.sql.values import Evaluation, Kernel, Value, per_row

_GROUP: Final = "arithmetic"
_Examples = tuple[tuple[str, str | None], ...]


def _real(name: str, compute: Any, *examples: tuple[str, str | None]) -> ScalarFunction:
    """A function of one DOUBLE."""
    return ScalarFunction(
        name, _GROUP, (sig(p.DOUBLE, to=t.DOUBLE()),), pure(compute), examples=examples
    )


def _sinh(x: Value) -> Value:
    return pc.sinh(x) if hasattr(pc, "sinh") else _by_numpy(np.sinh)(x)


def _by_numpy(compute: Callable[[Any], Any]) -> Callable[[Value], Value]:
    def kernel(x: Value) -> Value:
        with np.errstate(all="ignore"):
            if isinstance(x, pa.Scalar):
                return pa.scalar(float(compute(x.as_py())) if x.is_valid else None, pa.float64())
            numbers = compute(np.asarray(pc.fill_null(x, 0.0), np.float64))
        mask = np.asarray(pc.is_null(x)) if x.null_count else None
        return pa.array(numbers, mask=mask)

    return kernel


register(
    _real("EXP", pc.exp, ("EXP(0)", "1.0"), ("EXP(CAST(NULL AS INT))", None)),
    _real("LN", pc.ln, ("LN(1)", "0.0")),
    _real("LOG10", pc.log10, ("LOG10(1000)", "3.0")),
    _real("LOG2", pc.log2, ("LOG2(8)", "3.0")),
    _real("SQRT", pc.sqrt, ("SQRT(2.25)", "1.5"), ("SQRT(16)", "4.0")),
    _real("SIN", pc.sin, ("SIN(0)", "0.0")),
    _real("COS", pc.cos, ("COS(0)", "1.0")),
    _real("TAN", pc.tan, ("TAN(0)", "0.0")),
    _real("COT", _by_numpy(lambda x: 1 / np.tan(x)), ("ROUND(COT(0.5), 6)", "1.830488")),
    _real("ASIN", pc.asin, ("ASIN(0)", "0.0")),
    _real("ACOS", pc.acos, ("ACOS(1)", "0.0")),
    _real("ATAN", pc.atan, ("ATAN(0)", "0.0")),
    _real("SINH", _sinh, ("SINH(0)", "0.0")),
    _real("COSH", _by_numpy(np.cosh), ("COSH(0)", "1.0")),
    _real("TANH", _by_numpy(np.tanh), ("TANH(0)", "0.0")),
    _real("DEGREES", _by_numpy(np.degrees), ("DEGREES(PI())", "180.0")),
    _real("RADIANS", _by_numpy(np.radians), ("RADIANS(180) = PI()", "TRUE")),
    ScalarFunction(
        "ATAN2",
        _GROUP,
        (sig(p.DOUBLE, p.DOUBLE, to=t.DOUBLE()),),
        pure(pc.atan2),
        examples=(("ATAN2(0, 1)", "0.0"),),
    ),
    ScalarFunction(
        "POWER",
        _GROUP,
        (sig(p.DOUBLE, p.DOUBLE, to=t.DOUBLE()),),
        pure(pc.power),
        examples=(("POWER(2, 10)", "1024.0"), ("POWER(2, -1)", "0.5")),
    ),
    ScalarFunction(
        "LOG",
        _GROUP,
        (sig(p.DOUBLE, to=t.DOUBLE()), sig(p.DOUBLE, p.DOUBLE, to=t.DOUBLE())),
        lambda c: pure(pc.ln if len(c.args) == 1 else _log_of_base)(c),
        examples=(("LOG(1)", "0.0"), ("LOG(2, 8)", "3.0")),
    ),
    ScalarFunction(
        "PI",
        _GROUP,
        (sig(to=t.DOUBLE()),),
        pure(lambda: pa.scalar(math.pi)),
        nullable="never",
        examples=(("PI()", "3.141592653589793"),),
    ),
    ScalarFunction(
        "E",
        _GROUP,
        (sig(to=t.DOUBLE()),),
        pure(lambda: pa.scalar(math.e)),
        nullable="never",
        examples=(("E()", "2.718281828459045"),),
    ),
)


def _log_of_base(base: Value, x: Value) -> Value:
    return pc.divide(pc.ln(x), pc.ln(base))


# -------------------------------------------------------------------------------- ABS, SIGN, ROUND


def _same(types: tuple[SqlType, ...]) -> SqlType:
    return types[0]


def _sign(call_: Call) -> Kernel:
    arrow = call_.type.to_arrow()
    if call_.type.root is TypeRoot.DECIMAL:
        one = decimal.Decimal(1)
        return per_row(lambda x: one.copy_sign(x) if x else decimal.Decimal(0), arrow)
    return lambda _ev, x: pc.cast(pc.sign(x), arrow)


def _bind_rounding(name: str) -> Callable[[Sequence[Expression]], Expression]:
    def bind(args: Sequence[Expression]) -> Expression:
        if len(args) == 1:
            args = [args[0], literal(0)]
        found = bind_signature(function(name), args)
        value, digits = found.args
        if value.type.root is not TypeRoot.DECIMAL:
            return found
        kind = value.type
        if isinstance(digits, Literal) and digits.value is not None:
            kind = type_rules.rounded(kind.precision, kind.scale, digits.value)
        return Call(name, found.args, kind.with_nullable(found.type.nullable))

    return bind


_CONTEXT: Final = decimal.Context(prec=400)


def rounded(mode: str) -> Callable[[decimal.Decimal, int], decimal.Decimal]:
    """A function that rounds a decimal to some digits behind the point."""

    def compute(number: decimal.Decimal, digits: int) -> decimal.Decimal:
        if not number.is_finite():
            return number
        unit = decimal.Decimal(1).scaleb(-digits)
        return number.quantize(unit, rounding=mode, context=_CONTEXT)

    return compute


def _rounding(mode: str, arrow_mode: str) -> Callable[[Call], Kernel]:
    compute = rounded(mode)

    def prepare(call_: Call) -> Kernel:
        kind, target = call_.args[0].type, call_.type
        digits = call_.args[1]
        if kind.root is TypeRoot.DECIMAL:
            return _decimal_rounding(compute, arrow_mode, digits, kind, target)
        if kind.is_in(APPROXIMATE):
            by_row = per_row(lambda x, n: _round_double(compute, x, n), target.to_arrow())
            places = digits.value if isinstance(digits, Literal) else None
            if kind.root is TypeRoot.DOUBLE and places is not None and 0 <= places <= 15:
                return _round_doubles(by_row, places, up=mode == decimal.ROUND_HALF_UP)
            return by_row
        if isinstance(digits, Literal) and digits.value is not None and digits.value >= 0:
            return lambda _ev, x, _n: x
        bits = target.to_arrow().bit_width
        return per_row(
            lambda x, n: x if n >= 0 else _wrap(int(compute(decimal.Decimal(x), n)), bits),
            target.to_arrow(),
        )

    return prepare


def _wrap(number: int, bits: int) -> int:
    return (number + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def _round_double(
    compute: Callable[[decimal.Decimal, int], decimal.Decimal], x: float, digits: int
) -> float:
    # Java rounds the shortest decimal that stands for the double, not the double itself.
    return x if not math.isfinite(x) else float(compute(decimal.Decimal(repr(x)), digits))


#: A double times a power of ten is exact enough below this to tell where it is rounded to.
_SAFE: Final = 2.0**45
_NEAR: Final = 1e-5


def _round_doubles(by_row: Kernel, digits: int, *, up: bool) -> Kernel:
    """Whole columns at once; rows near a tie, or too large, one by one."""
    power = 10.0**digits

    def kernel(ev: Evaluation, x: Value, n: Value) -> Value:
        if isinstance(x, pa.Scalar):
            return by_row(ev, x, n)
        numbers = np.asarray(pc.fill_null(x, 0.0), np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.abs(numbers) * power
            rest = scaled - np.floor(scaled)
            doubtful = ~(scaled < _SAFE)
            if up:
                doubtful |= np.abs(rest - 0.5) < _NEAR
                whole = np.floor(scaled + 0.5)
            else:
                doubtful |= (rest < _NEAR) | (rest > 1 - _NEAR)
                whole = np.floor(scaled)
            found = np.copysign(whole / power, numbers)
        if doubtful.any():
            rows = np.flatnonzero(doubtful)
            part = Evaluation(ev.context, len(rows))
            exact = by_row(part, pa.array(numbers[rows]), n)
            found[rows] = np.asarray(exact)
        # Java has no negative zero among its decimals.
        found[found == 0] = 0.0
        mask = np.asarray(pc.is_null(x)) if x.null_count else None
        return pa.array(found, mask=mask)

    return kernel


def _decimal_rounding(
    compute: Callable[[decimal.Decimal, int], decimal.Decimal],
    arrow_mode: str,
    digits: Expression,
    kind: SqlType,
    target: SqlType,
) -> Kernel:
    arrow = target.to_arrow()
    slow = per_row(lambda x, n: fit_decimal(compute(x, n), target.precision, target.scale), arrow)
    if not isinstance(digits, Literal) or digits.value is None:
        return slow
    if digits.value >= kind.scale:
        return lambda _ev, x, _n: x

    def fast(ev: Evaluation, x: Value, n: Value) -> Value:
        try:
            return pc.cast(pc.round(x, digits.value, arrow_mode), arrow)
        except pa.ArrowInvalid:
            return slow(ev, x, n)

    return fast


_NUMBER_AND_DIGITS: Final = (sig(p.NUMERIC, p.INT, to=_same),)


def _ceil_or_floor(compute: Any) -> Callable[[Call], Kernel]:
    def prepare(call_: Call) -> Kernel:
        kind = call_.args[0].type
        if kind.is_in(INTEGER):
            return lambda _ev, x: x
        arrow = call_.type.to_arrow()
        return lambda _ev, x: pc.cast(compute(x), arrow)

    return prepare


def _whole(types: tuple[SqlType, ...]) -> SqlType:
    kind = types[0]
    return t.DECIMAL(kind.precision, 0) if kind.root is TypeRoot.DECIMAL else kind


def _bind_ceil(name: str) -> Callable[[Sequence[Expression]], Expression]:
    def bind(args: Sequence[Expression]) -> Expression:
        if len(args) == 2 and args[1].type.root is TypeRoot.SYMBOL:
            return call(f"{name} TO", args)
        return bind_signature(function(name), args)

    return bind


register(
    ScalarFunction(
        "ABS",
        _GROUP,
        (sig(p.NUMERIC, to=_same),),
        pure(pc.abs),
        examples=(
            ("ABS(-5)", "5"),
            ("ABS(-2.50)", "2.50"),
            ("ABS(CAST(-1.5 AS DOUBLE))", "1.5"),
            ("ABS(CAST(NULL AS INT))", None),
        ),
    ),
    ScalarFunction(
        "SIGN",
        _GROUP,
        (sig(p.NUMERIC, to=_same),),
        _sign,
        examples=(("SIGN(-5)", "-1"), ("SIGN(CAST(2.5 AS DOUBLE))", "1.0")),
    ),
    ScalarFunction(
        "ROUND",
        _GROUP,
        _NUMBER_AND_DIGITS,
        _rounding(decimal.ROUND_HALF_UP, "half_towards_infinity"),
        bind=_bind_rounding("ROUND"),
        costly=True,
        syntax="ROUND(<NUMERIC>), ROUND(<NUMERIC>, <INT>)",
        examples=(
            ("ROUND(2.675, 2)", "2.68"),
            ("ROUND(CAST(2.675 AS DOUBLE), 2)", "2.68"),
            ("ROUND(-2.5)", "-3"),
            ("ROUND(125, -1)", "130"),
            ("ROUND(125.315)", "125"),
            ("ROUND(CAST(NULL AS DOUBLE), 2)", None),
        ),
    ),
    ScalarFunction(
        "TRUNCATE",
        _GROUP,
        _NUMBER_AND_DIGITS,
        _rounding(decimal.ROUND_DOWN, "towards_zero"),
        bind=_bind_rounding("TRUNCATE"),
        costly=True,
        syntax="TRUNCATE(<NUMERIC>), TRUNCATE(<NUMERIC>, <INT>)",
        examples=(
            ("TRUNCATE(42.345, 2)", "42.34"),
            ("TRUNCATE(CAST(42.324 AS DOUBLE))", "42.0"),
            ("TRUNCATE(-42.9)", "-42"),
            ("TRUNCATE(42, -1)", "40"),
        ),
    ),
    ScalarFunction(
        "CEIL",
        _GROUP,
        (sig(p.NUMERIC, to=_whole),),
        _ceil_or_floor(pc.ceil),
        bind=_bind_ceil("CEIL"),
        aliases=("CEILING",),
        syntax="CEIL(<NUMERIC>), CEIL(<DATETIME> TO unit)",
        examples=(("CEIL(2.1)", "3"), ("CEIL(CAST(-2.1 AS DOUBLE))", "-2.0"), ("CEIL(5)", "5")),
    ),
    ScalarFunction(
        "FLOOR",
        _GROUP,
        (sig(p.NUMERIC, to=_whole),),
        _ceil_or_floor(pc.floor),
        bind=_bind_ceil("FLOOR"),
        syntax="FLOOR(<NUMERIC>), FLOOR(<DATETIME> TO unit)",
        examples=(("FLOOR(2.9)", "2"), ("FLOOR(CAST(-2.1 AS DOUBLE))", "-3.0")),
    ),
)


# -------------------------------------------------------------------------- BIN, HEX, RAND and UUID


def _hex_number(number: int) -> str:
    return f"{number % 2**64:X}"


def _hex(call_: Call) -> Kernel:
    if call_.args[0].type.is_in(INTEGER):
        return per_row(_hex_number, pa.string())
    return per_row(lambda text: text.encode().hex().upper(), pa.string())


def _unhex(text: str) -> bytes | None:
    if len(text) % 2:
        # As the reference does: the first digit of an odd number becomes a zero byte.
        text = "00" + text[1:]
    try:
        return bytes.fromhex(text) if not any(c.isspace() for c in text) else None
    except ValueError:
        return None


def _random(call_: Call, draw: Callable[[np.random.Generator, int, int], Any]) -> Kernel:
    """Numbers by a generator of its own a call, seeded if the call says so."""
    integer = call_.function == "RAND_INTEGER"
    seeded = len(call_.args) == (2 if integer else 1)
    seed = call_.args[0] if seeded else None
    fixed = seed.value if isinstance(seed, Literal) else None
    generator = np.random.default_rng(None if fixed is None else abs(fixed))

    def kernel(ev: Evaluation, *values: Value) -> Value:
        bound = 0
        if integer:
            last = values[-1]
            if not isinstance(last, pa.Scalar):
                return per_row(lambda n: int(generator.integers(max(1, n))), pa.int32())(ev, last)
            if not last.is_valid:
                return last
            bound = max(1, last.as_py())
        return pa.array(draw(generator, ev.rows, bound), call_.type.to_arrow())

    return kernel


def _uuids(ev: Evaluation) -> Value:
    return pa.array([str(uuid.uuid4()) for _ in range(ev.rows)], pa.string())


register(
    ScalarFunction(
        "BIN",
        _GROUP,
        (sig(p.BIGINT, to=t.STRING()),),
        lambda _call: per_row(lambda n: f"{n % 2**64:b}", pa.string()),
        costly=True,
        examples=(("BIN(4)", "100"), ("BIN(12)", "1100"), ("BIN(CAST(NULL AS INT))", None)),
    ),
    ScalarFunction(
        "HEX",
        _GROUP,
        (sig(p.BIGINT, to=t.STRING()), sig(p.STRING, to=t.STRING())),
        _hex,
        costly=True,
        examples=(("HEX(20)", "14"), ("HEX('hello,world')", "68656C6C6F2C776F726C64")),
    ),
    ScalarFunction(
        "UNHEX",
        _GROUP,
        (sig(p.STRING, to=t.BYTES()),),
        lambda _call: per_row(_unhex, pa.binary()),
        nullable="always",
        costly=True,
        examples=(("CAST(UNHEX('466C696E6B') AS STRING)", "Flink"), ("UNHEX('xyz')", None)),
    ),
    ScalarFunction(
        "RAND",
        _GROUP,
        (sig(to=t.DOUBLE()), sig(p.INT, to=t.DOUBLE())),
        lambda c: _random(c, lambda g, rows, _n: g.random(rows)),
        nullable="never",
        deterministic=False,
        examples=(("RAND() BETWEEN 0 AND 1", "TRUE"), ("RAND(7) < 1", "TRUE")),
    ),
    ScalarFunction(
        "RAND_INTEGER",
        _GROUP,
        (sig(p.INT, to=t.INT()), sig(p.INT, p.INT, to=t.INT())),
        lambda c: _random(c, lambda g, rows, n: g.integers(n, size=rows)),
        deterministic=False,
        examples=(("RAND_INTEGER(1)", "0"), ("RAND_INTEGER(7, 1)", "0")),
    ),
    ScalarFunction(
        "UUID",
        _GROUP,
        (sig(to=t.STRING()),),
        lambda _call: _uuids,
        nullable="never",
        deterministic=False,
        examples=(("CHAR_LENGTH(UUID())", "36"),),
    ),
)

"""Arrays, maps and rows: constructors, access, ARRAY_* and MAP_*."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql import types as t
from lesto.sql.builder import coerce, not_taken
from lesto.sql.casts.text import entries_type
from lesto.sql.errors import FunctionArgumentsError, SqlEvaluationError
from lesto.sql.expressions import Call, Expression, Literal
from lesto.sql.functions import params as p
from lesto.sql.functions.table import ScalarFunction, function, register, sig
from lesto.sql.type_rules import casts_implicitly, common_type
from lesto.sql.types import SqlType, TypeRoot
from lesto.sql.values import Evaluation, Kernel, Value, broadcast, per_row

_GROUP: Final = "collection"
_MISSING: Final = object()


def frozen(value: Any) -> Hashable:
    """A value as something that can be looked up in a set.

    NaN equals NaN here, as in Flink's sets of doubles.
    """
    if isinstance(value, list):
        return tuple(frozen(v) for v in value)
    if isinstance(value, dict):
        return tuple((k, frozen(v)) for k, v in value.items())
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - NaN
        return ("NaN",)
    found: Hashable = value
    return found


# ------------------------------------------------------------------------------------- constructors


def _nullable(args: Sequence[Expression]) -> bool:
    return any(a.type.nullable for a in args)


def _bind_array(args: Sequence[Expression]) -> Expression:
    if not args:
        raise not_taken(function("ARRAY"), args)
    kind = common_type([a.type for a in args])
    return Call("ARRAY", tuple(coerce(a, kind) for a in args), t.ARRAY(kind).not_null())


def _array(call_: Call) -> Kernel:
    kind = call_.type.to_arrow()
    width = len(call_.args)

    def kernel(ev: Evaluation, *values: Value) -> Value:
        columns = [broadcast(v, ev.rows).cast(kind.value_type) for v in values]
        # Interleave the columns: element i of row r is at i * rows + r of their concatenation.
        order = np.arange(width * ev.rows).reshape(width, ev.rows).T.reshape(-1)
        offsets = pa.array(np.arange(ev.rows + 1, dtype=np.int32) * width)
        elements = pa.concat_arrays(columns).take(pa.array(order))
        return pa.ListArray.from_arrays(offsets, elements, type=kind)

    return kernel


def _bind_map(args: Sequence[Expression]) -> Expression:
    if not args or len(args) % 2:
        raise not_taken(function("MAP"), args)
    key = common_type([a.type for a in args[::2]])
    value = common_type([a.type for a in args[1::2]])
    fitted = [coerce(a, value if i % 2 else key) for i, a in enumerate(args)]
    return Call("MAP", tuple(fitted), t.MAP(key, value).not_null())


def _map(call_: Call) -> Kernel:
    def build(*row: Any) -> Any:
        found: dict[Any, tuple[Any, Any]] = {}
        for i in range(0, len(row), 2):
            if row[i] is None:
                msg = "a map's key is NULL, for which Arrow has no place"
                raise SqlEvaluationError(msg, remedy="write COALESCE(key, ...)")
            found[frozen(row[i])] = (row[i], row[i + 1])
        return list(found.values())

    return per_row(build, call_.type.to_arrow(), strict=False)


def _bind_row(args: Sequence[Expression]) -> Expression:
    kind = t.ROW((f"EXPR${i}", a.type) for i, a in enumerate(args))
    return Call("ROW", tuple(args), kind.not_null())


def _row(call_: Call) -> Kernel:
    kind = call_.type.to_arrow()

    def kernel(ev: Evaluation, *values: Value) -> Value:
        columns = [broadcast(v, ev.rows) for v in values]
        return pa.StructArray.from_arrays(columns, fields=list(kind))

    return kernel


# ------------------------------------------------------------------------------------------- access


def _bind_item(args: Sequence[Expression]) -> Expression:
    if len(args) != 2:
        raise not_taken(function("ITEM"), args)
    holder, index = args
    if holder.type.root is TypeRoot.ARRAY and index.type.is_in(t.INTEGER):
        if isinstance(index, Literal) and index.value is not None and index.value < 1:
            msg = f"an array's elements count from 1: there is no element {index.value}"
            raise FunctionArgumentsError(msg, remedy="write array[1] for the first")
        fitted = coerce(index, t.INT().with_nullable(index.type.nullable))
        return Call("ITEM", (holder, fitted), holder.type.element.with_nullable(True))
    if holder.type.root is TypeRoot.MAP and casts_implicitly(index.type, holder.type.children[0]):
        key = coerce(index, holder.type.children[0])
        return Call("ITEM", (holder, key), holder.type.children[1].with_nullable(True))
    if (
        holder.type.root is TypeRoot.ROW
        and index.type.is_in(t.INTEGER)
        and (isinstance(index, Literal) and 1 <= index.value <= len(holder.type.children))
    ):
        return field(holder, index.value - 1)
    raise not_taken(function("ITEM"), args)


def _item(call_: Call) -> Kernel:
    arrow = call_.type.to_arrow()
    if call_.args[0].type.root is TypeRoot.ARRAY:
        return per_row(lambda a, i: a[i - 1] if 1 <= i <= len(a) else None, arrow)

    def lookup(pairs: Any, key: Any) -> Any:
        wanted = frozen(key)
        return next((v for k, v in pairs if frozen(k) == wanted), None)

    return per_row(lookup, arrow)


def field(holder: Expression, index: int) -> Expression:
    """A field of a ROW, by its position from 0."""
    kind = holder.type.children[index]
    name = Literal(holder.type.names[index], t.STRING().not_null())
    return Call("DOT", (holder, name), kind.with_nullable(kind.nullable or holder.type.nullable))


def _bind_dot(args: Sequence[Expression]) -> Expression:
    holder, name = args
    if holder.type.root is not TypeRoot.ROW or not isinstance(name, Literal):
        raise not_taken(function("DOT"), args)
    index = holder.type.field_index(name.value)
    if index < 0:
        raise not_taken(function("DOT"), args)
    return field(holder, index)


def _dot(call_: Call) -> Kernel:
    holder, name = call_.args
    index = holder.type.field_index(name.value if isinstance(name, Literal) else "")

    def kernel(ev: Evaluation, value: Value, _name: Value) -> Value:
        return pc.struct_field(broadcast(value, ev.rows), [index])

    return kernel


def _cardinality(call_: Call) -> Kernel:
    listed = call_.args[0].type.root is TypeRoot.ARRAY

    def kernel(ev: Evaluation, value: Value) -> Value:
        array = broadcast(value, ev.rows)
        return pc.list_value_length(array if listed else array.cast(entries_type(array.type)))

    return kernel


def _element(values: list[Any]) -> Any:
    if len(values) > 1:
        msg = f"ELEMENT takes an array of at most one element, not of {len(values)}"
        raise SqlEvaluationError(msg, remedy="write array[1] for the first of several")
    return values[0] if values else None


def _first(types: tuple[SqlType, ...]) -> SqlType:
    return types[0]


def _define(
    name: str,
    signatures: Sequence[Any],
    prepare: Callable[[Call], Kernel],
    *examples: tuple[str, str | None],
    **more: Any,
) -> None:
    more.setdefault("costly", True)
    register(ScalarFunction(name, _GROUP, tuple(signatures), prepare, examples=examples, **more))


_define(
    "ARRAY", (), _array, ("ARRAY[1, 2, NULL]", "[1, 2, NULL]"), ("ARRAY['a', 'b']", "[a, b]"),
    bind=_bind_array, syntax="ARRAY[a, b, ...]", costly=False,
)  # fmt: skip
_define(
    "MAP", (), _map, ("MAP['a', 1, 'b', 2]", "{a=1, b=2}"), bind=_bind_map,
    syntax="MAP[key, value, ...]",
)  # fmt: skip
_define(
    "ROW", (), _row, ("ROW(1, 'a', TRUE)", "(1, a, TRUE)"), bind=_bind_row,
    syntax="ROW(a, b, ...)", costly=False,
)  # fmt: skip
_define(
    "ITEM", (), _item, ("ARRAY[10, 20][2]", "20"), ("ARRAY[10, 20][3]", None),
    ("MAP['a', 1]['a']", "1"), ("MAP['a', 1]['b']", None),
    bind=_bind_item, syntax="array[position from 1], map[key]",
)  # fmt: skip
_define(
    "DOT", (), _dot, ("CAST(ROW(1, 'x') AS ROW<a INT, b STRING>).b", "x"), bind=_bind_dot,
    syntax="row.field", costly=False,
)  # fmt: skip
_define(
    "CARDINALITY", [sig(p.COLLECTION, to=t.INT())], _cardinality,
    ("CARDINALITY(ARRAY[1, 2])", "2"), ("CARDINALITY(MAP['a', 1])", "1"), costly=False,
)  # fmt: skip
_define(
    "ELEMENT", [sig(p.ARRAY, to=lambda a: a[0].element)],
    lambda c: per_row(_element, c.type.to_arrow()), ("ELEMENT(ARRAY[7])", "7"),
    nullable="always", fallible=True,
)  # fmt: skip

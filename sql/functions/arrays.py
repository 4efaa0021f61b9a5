"""ARRAY_*, MAP_* and the functions between text and collections."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from lesto.sql import types as t
from lesto.sql.builder import bind_signature, coerce, not_taken
from lesto.sql.errors import SqlEvaluationError
from lesto.sql.expressions import Call, Expression
from lesto.sql.functions import params as p
from lesto.sql.functions.collections import frozen
from lesto.sql.functions.strings import constant
from lesto.sql.functions.table import ScalarFunction, function, register, sig
from lesto.sql.java_regex import java_regex
from lesto.sql.type_rules import find_common_type
from lesto.sql.types import SqlType, TypeRoot
from lesto.sql.values import Kernel, per_row

_GROUP: Final = "collection"


def _define(
    name: str,
    signatures: Sequence[Any],
    compute: Callable[..., Any],
    *examples: tuple[str, str | None],
    strict: bool = True,
    **more: Any,
) -> None:
    def prepare(call_: Call) -> Kernel:
        return per_row(compute, call_.type.to_arrow(), strict=strict)

    register(
        ScalarFunction(
            name, _GROUP, tuple(signatures), prepare, examples=examples, costly=True, **more
        )
    )


def _first(types: tuple[SqlType, ...]) -> SqlType:
    return types[0]


# -------------------------------------------------------------------------- an array and an element


def _bind_element(name: str) -> Callable[[Sequence[Expression]], Expression]:
    """(ARRAY<T>, T): the element is cast to T; one that may be NULL makes T nullable."""
    adds = name in {"ARRAY_APPEND", "ARRAY_PREPEND"}

    def bind(args: Sequence[Expression]) -> Expression:
        if len(args) != 2 or args[0].type.root is not TypeRoot.ARRAY:
            raise not_taken(function(name), args)
        array, element = args
        shared = find_common_type([array.type.element, element.type])
        if shared is None:
            raise not_taken(function(name), args)
        wide = t.ARRAY(shared).with_nullable(array.type.nullable)
        values = (coerce(array, wide), coerce(element, shared))
        if adds:
            return Call(name, values, wide)
        kinds = {
            "ARRAY_CONTAINS": t.BOOLEAN(),
            "ARRAY_POSITION": t.INT(),
            "ARRAY_REMOVE": array.type,
        }
        kind = kinds[name]
        if name == "ARRAY_REMOVE":
            return Call(name, values, wide)
        nullable = array.type.nullable or (name == "ARRAY_POSITION" and element.type.nullable)
        return Call(name, values, kind.with_nullable(nullable))

    return bind


def _unless_null(compute: Callable[[list[Any], Any], Any]) -> Callable[[Any, Any], Any]:
    """NULL for a NULL array; a NULL element is an element."""
    return lambda array, element: None if array is None else compute(array, element)


def _contains(array: list[Any], element: Any) -> bool:
    wanted = frozen(element)
    return any(frozen(v) == wanted for v in array)


def _position(array: list[Any], element: Any) -> int:
    wanted = frozen(element)
    return next((i + 1 for i, v in enumerate(array) if frozen(v) == wanted), 0)


def _remove(array: list[Any], element: Any) -> list[Any]:
    wanted = frozen(element)
    return [v for v in array if frozen(v) != wanted]


for _name, _compute, _strict, _examples in (
    ("ARRAY_APPEND", _unless_null(lambda a, e: [*a, e]), False,
     (("ARRAY_APPEND(ARRAY[1, 2], 3)", "[1, 2, 3]"),
      ("ARRAY_APPEND(ARRAY[1], CAST(NULL AS INT))", "[1, NULL]"))),
    ("ARRAY_PREPEND", _unless_null(lambda a, e: [e, *a]), False,
     (("ARRAY_PREPEND(ARRAY[1, 2], 0)", "[0, 1, 2]"),)),
    ("ARRAY_CONTAINS", _unless_null(_contains), False,
     (("ARRAY_CONTAINS(ARRAY[1, 2], 2)", "TRUE"),
      ("ARRAY_CONTAINS(ARRAY[1, NULL], CAST(NULL AS INT))", "TRUE"))),
    ("ARRAY_POSITION", _position, True,
     (("ARRAY_POSITION(ARRAY['a', 'b', 'b'], 'b')", "2"),
      ("ARRAY_POSITION(ARRAY['a'], 'x')", "0"))),
    ("ARRAY_REMOVE", _unless_null(_remove), False,
     (("ARRAY_REMOVE(ARRAY[1, 2, 1], 1)", "[2]"),)),
):  # fmt: skip
    _define(
        _name, (), _compute, *_examples, strict=_strict, bind=_bind_element(_name),
        syntax=f"{_name}(<ARRAY<T>>, T)",
    )  # fmt: skip


# -------------------------------------------------------------------------------- arrays as a whole


def _unique(array: list[Any]) -> list[Any]:
    seen: dict[Any, Any] = {}
    for v in array:
        seen.setdefault(frozen(v), v)
    return list(seen.values())


def _slice(array: list[Any], start: int, end: int | None = None) -> list[Any]:
    """Both ends are inclusive and count from 1, from the end if negative; 0 is the beginning."""
    size = len(array)
    last = size if end is None else end
    low = size + start + 1 if start < 0 else max(start, 1)
    high = size + last + 1 if last < 0 else max(last, 1)
    if low > high or high < 1 or low > size:
        return []
    return array[max(low, 1) - 1 : high]


def _sort(array: list[Any], ascending: bool = True, nulls_first: bool | None = None) -> list[Any]:
    first = ascending if nulls_first is None else nulls_first
    known = sorted((v for v in array if v is not None), reverse=not ascending)
    missing = [None] * (len(array) - len(known))
    return missing + known if first else known + missing


def _concat(*arrays: list[Any]) -> list[Any]:
    return [v for array in arrays for v in array]


def _intersect(a: list[Any], b: list[Any]) -> list[Any]:
    known = {frozen(v) for v in b}
    return [v for v in _unique(a) if frozen(v) in known]


def _except(a: list[Any], b: list[Any]) -> list[Any]:
    known = {frozen(v) for v in b}
    return [v for v in _unique(a) if frozen(v) not in known]


def _join(array: list[Any], separator: str, instead: str | None = None) -> str:
    texts = [instead if v is None else v for v in array]
    return separator.join(text for text in texts if text is not None)


def _least(array: list[Any]) -> Any:
    known = [v for v in array if v is not None]
    return min(known) if known else None


def _greatest(array: list[Any]) -> Any:
    known = [v for v in array if v is not None]
    return max(known) if known else None


def _element(types: tuple[SqlType, ...]) -> SqlType:
    return types[0].element


_ARRAY_PAIR: Final = (sig(p.COMMON_ARRAY, p.COMMON_ARRAY, to=_first),)
_STRINGS: Final = p.array_of("ARRAY<STRING>", p.STRING)

_define(
    "ARRAY_DISTINCT", [sig(p.ARRAY, to=_first)], _unique,
    ("ARRAY_DISTINCT(ARRAY[1, 2, 1, NULL, NULL])", "[1, 2, NULL]"),
)  # fmt: skip
_define(
    "ARRAY_REVERSE", [sig(p.ARRAY, to=_first)], lambda a: a[::-1],
    ("ARRAY_REVERSE(ARRAY[1, 2, 3])", "[3, 2, 1]"),
)  # fmt: skip
_define(
    "ARRAY_SLICE",
    [sig(p.ARRAY, p.INT, to=_first), sig(p.ARRAY, p.INT, p.INT, to=_first)],
    _slice,
    ("ARRAY_SLICE(ARRAY['a', 'b', 'c', 'd'], 2, 3)", "[b, c]"),
    ("ARRAY_SLICE(ARRAY['a', 'b', 'c'], -2)", "[b, c]"),
    ("ARRAY_SLICE(ARRAY['a', 'b', 'c'], 0, 1)", "[a]"),
    ("ARRAY_SLICE(ARRAY['a', 'b'], 3, 1)", "[]"),
)  # fmt: skip
_define(
    "ARRAY_SORT",
    [
        sig(p.ARRAY, to=_first),
        sig(p.ARRAY, p.BOOLEAN, to=_first),
        sig(p.ARRAY, p.BOOLEAN, p.BOOLEAN, to=_first),
    ],
    _sort,
    ("ARRAY_SORT(ARRAY[3, NULL, 1])", "[NULL, 1, 3]"),
    ("ARRAY_SORT(ARRAY[3, NULL, 1], FALSE)", "[3, 1, NULL]"),
    ("ARRAY_SORT(ARRAY[3, NULL, 1], FALSE, TRUE)", "[NULL, 3, 1]"),
)  # fmt: skip
_define(
    "ARRAY_UNION", _ARRAY_PAIR, lambda a, b: _unique(a + b),
    ("ARRAY_UNION(ARRAY[1, 2], ARRAY[2, 3])", "[1, 2, 3]"),
)  # fmt: skip
_define(
    "ARRAY_CONCAT", [sig(p.COMMON_ARRAY, p.COMMON_ARRAY, to=_first, repeats=1)], _concat,
    ("ARRAY_CONCAT(ARRAY[1], ARRAY[2, 1], ARRAY[3])", "[1, 2, 1, 3]"),
)  # fmt: skip
_define(
    "ARRAY_EXCEPT", _ARRAY_PAIR, _except, ("ARRAY_EXCEPT(ARRAY[1, 2, 2, 3], ARRAY[3])", "[1, 2]"),
)  # fmt: skip
_define(
    "ARRAY_INTERSECT", _ARRAY_PAIR, _intersect,
    ("ARRAY_INTERSECT(ARRAY[1, 2, 2, 3], ARRAY[2, 3, 4])", "[2, 3]"),
)  # fmt: skip
_define(
    "ARRAY_MAX", [sig(p.ARRAY, to=_element)], _greatest, ("ARRAY_MAX(ARRAY[1, 3, NULL])", "3"),
    nullable="always",
)  # fmt: skip
_define(
    "ARRAY_MIN", [sig(p.ARRAY, to=_element)], _least, ("ARRAY_MIN(ARRAY[2, 1, NULL])", "1"),
    nullable="always",
)  # fmt: skip
_define(
    "ARRAY_JOIN",
    [sig(_STRINGS, p.STRING, to=t.STRING()), sig(_STRINGS, p.STRING, p.STRING, to=t.STRING())],
    _join,
    ("ARRAY_JOIN(ARRAY['a', NULL, 'b'], ', ')", "a, b"),
    ("ARRAY_JOIN(ARRAY['a', NULL, 'b'], '-', '?')", "a-?-b"),
)  # fmt: skip


# -------------------------------------------------------------------------------------------- maps


def _keys(pairs: list[tuple[Any, Any]]) -> list[Any]:
    return [k for k, _ in pairs]


def _map_values(pairs: list[tuple[Any, Any]]) -> list[Any]:
    return [v for _, v in pairs]


def _entries(pairs: list[tuple[Any, Any]]) -> list[dict[str, Any]]:
    return [{"key": k, "value": v} for k, v in pairs]


def _union(*maps: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    found: dict[Any, tuple[Any, Any]] = {}
    for pairs in maps:
        for k, v in pairs:
            found[frozen(k)] = (k, v)
    return list(found.values())


def _from_arrays(keys: list[Any], values: list[Any]) -> list[tuple[Any, Any]]:
    if len(keys) != len(values):
        msg = f"MAP_FROM_ARRAYS has {len(keys)} keys and {len(values)} values"
        raise SqlEvaluationError(msg, remedy="give arrays of the same length")
    if None in keys:
        msg = "a map's key is NULL, for which Arrow has no place"
        raise SqlEvaluationError(msg, remedy="take NULL out with ARRAY_REMOVE")
    return _union(list(zip(keys, values, strict=True)))


def _entry_type(types: tuple[SqlType, ...]) -> SqlType:
    key, value = types[0].children
    return t.ARRAY(t.ROW([("key", key), ("value", value)]))


_define(
    "MAP_KEYS", [sig(p.MAP, to=lambda a: t.ARRAY(a[0].children[0]))], _keys,
    ("MAP_KEYS(MAP['a', 1, 'b', 2])", "[a, b]"),
)  # fmt: skip
_define(
    "MAP_VALUES", [sig(p.MAP, to=lambda a: t.ARRAY(a[0].children[1]))], _map_values,
    ("MAP_VALUES(MAP['a', 1, 'b', 2])", "[1, 2]"),
)  # fmt: skip
_define(
    "MAP_ENTRIES", [sig(p.MAP, to=_entry_type)], _entries,
    ("MAP_ENTRIES(MAP['a', 1])", "[(a, 1)]"),
)  # fmt: skip
_define(
    "MAP_UNION", [sig(p.COMMON_MAP, p.COMMON_MAP, to=_first, repeats=1)], _union,
    ("MAP_UNION(MAP['a', 1], MAP['a', 2, 'b', 3])", "{a=2, b=3}"),
)  # fmt: skip
_define(
    "MAP_FROM_ARRAYS",
    [sig(p.ARRAY, p.ARRAY, to=lambda a: t.MAP(a[0].element, a[1].element))], _from_arrays,
    ("MAP_FROM_ARRAYS(ARRAY['a', 'b'], ARRAY[1, 2])", "{a=1, b=2}"), fallible=True,
)  # fmt: skip


# ---------------------------------------------------------------------------------------- from text


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _java_split(pattern: re.Pattern[str], text: str, limit: int) -> list[str]:
    """Like String.split: by limit, else without empty texts at the end."""
    parts: list[str] = []
    start = 0
    for match in pattern.finditer(text):
        if match.end() == 0 or (limit and len(parts) == limit - 1):
            continue
        parts.append(text[start : match.start()])
        start = match.end()
    parts.append(text[start:])
    if not limit:
        while len(parts) > 1 and not parts[-1]:
            parts.pop()
    return parts


def _str_to_map(text: str, pairs: str = ",", values: str = "=") -> list[tuple[str, str | None]]:
    by_pair, by_value = java_regex(pairs).python, java_regex(values).python
    found: dict[str, str | None] = {}
    for pair in _java_split(by_pair, text, 0):
        key, *rest = _java_split(by_value, pair, 2)
        found[key] = rest[0] if rest else None
    return list(found.items())


def _bind_str_to_map(args: Sequence[Expression]) -> Expression:
    found = bind_signature(function("STR_TO_MAP"), args)
    for pattern in found.args[1:]:
        if (text := constant(pattern)) is not None:
            java_regex(text)
    return found


_MAP_OF_STRINGS: Final = t.MAP(t.STRING(), t.STRING())
_define(
    "SPLIT", [sig(p.STRING, p.STRING, to=t.ARRAY(t.STRING()))], _split,
    ("SPLIT('a,b,,c', ',')", "[a, b, , c]"), ("SPLIT('abc', '')", "[a, b, c]"),
)  # fmt: skip
_define(
    "STR_TO_MAP",
    [
        sig(p.STRING, to=_MAP_OF_STRINGS),
        sig(p.STRING, p.STRING, p.STRING, to=_MAP_OF_STRINGS),
    ],
    _str_to_map,
    ("STR_TO_MAP('k1=v1,k2=v2')", "{k1=v1, k2=v2}"),
    ("STR_TO_MAP('k1:v1;k2', ';', ':')", "{k1=v1, k2=NULL}"), bind=_bind_str_to_map,
    fallible=True, syntax="STR_TO_MAP(<STRING>[, pair delimiter, key delimiter])",
)  # fmt: skip

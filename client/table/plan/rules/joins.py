"""Recognises window joins and interval joins in regular ones."""

from __future__ import annotations

from lesto.client.table.plan import logical as p
from lesto.client.table.plan.rules.windows import windowed
from lesto.client.table.plan.schema import Column, TimeKind
from lesto.sql.expressions import Call, Expression, InputRef, Literal
from lesto.sql.rewrite import conjunction, conjuncts
from lesto.sql.types import TypeRoot

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}


def specialise(join: p.Join) -> p.Node:
    """A window join or interval join if the condition makes it one."""
    return _window_join(join) or _interval_join(join) or join


def _window_join(join: p.Join) -> p.Node | None:
    left, right = windowed(join.left), windowed(join.right)
    if left is None or right is None or join.null_aware:
        return None
    width = len(join.left.schema)
    wanted = {(left.start, right.start), (left.end, right.end)}
    rest = []
    for part in conjuncts(join.condition):
        pairs, _ = p.equi_keys(part, width)
        pair = (_first(join.left, pairs[0][0]), _first(join.right, pairs[0][1])) if pairs else None
        if pair in wanted:
            wanted.discard(pair)
        else:
            rest.append(part)
    if wanted or not _same(left.window, right.window):
        return None
    return p.WindowJoin(join.left, join.right, join.kind, conjunction(rest), left, right)


def _first(node: p.Node, column: int) -> int:
    """The first column that is the same one of a projection's input."""
    if not isinstance(node, p.Project) or not isinstance(node.expressions[column], InputRef):
        return column
    return node.expressions.index(node.expressions[column])


def _same(a: p.Window, b: p.Window) -> bool:
    def key(w: p.Window) -> tuple[object, ...]:
        return w.kind, w.time_kind, w.size_ms, w.slide_ms, w.offset_ms

    return key(a) == key(b)


def _interval_join(join: p.Join) -> p.Node | None:
    if join.null_aware:
        return None
    width = len(join.left.schema)
    columns = (*join.left.schema, *join.right.schema)
    bounds: dict[tuple[int, int], tuple[int | None, int | None]] = {}
    for part in conjuncts(join.condition):
        for sign, a, b in _comparisons(part):
            band = _band(sign, a, b, width, columns)
            if band is None:
                continue
            pair, lower, upper = band
            old = bounds.get(pair, (None, None))
            low = lower if old[0] is None else old[0] if lower is None else max(old[0], lower)
            high = upper if old[1] is None else old[1] if upper is None else min(old[1], upper)
            bounds[pair] = (low, high)
    for (left, right), (lower, upper) in bounds.items():
        if lower is not None and upper is not None:
            kind = columns[left].time
            assert kind is not None
            return p.IntervalJoin(
                join.left, join.right, join.kind, join.condition, left, right - width,
                lower, upper, kind,
            )  # fmt: skip
    return None


def beside_band(join: p.IntervalJoin) -> tuple[list[tuple[int, int]], list[Expression]]:
    """What an interval join's condition says besides its band: equal columns, and the rest."""
    width = len(join.left.schema)
    columns = (*join.left.schema, *join.right.schema)
    band = (join.left_time, join.right_time + width)
    pairs: list[tuple[int, int]] = []
    rest: list[Expression] = []
    for part in conjuncts(join.condition):
        found, _ = p.equi_keys(part, width)
        bands = [_band(sign, a, b, width, columns) for sign, a, b in _comparisons(part)]
        if bands and all(x is not None and x[0] == band for x in bands):
            # Equal times are a band of one, and rows can be hashed by them.
            if found and join.time_kind is TimeKind.ROWTIME:
                pairs += found
        elif found:
            pairs += found
        else:
            rest.append(part)
    return pairs, rest


def _comparisons(part: Expression) -> list[tuple[str, Expression, Expression]]:
    if not isinstance(part, Call) or part.user is not None:
        return []
    if part.function in _FLIPPED:
        return [(part.function, part.args[0], part.args[1])]
    if part.function == "BETWEEN":
        value, low, high = part.args
        return [(">=", value, low), ("<=", value, high)]
    return []


def _band(
    sign: str, a: Expression, b: Expression, width: int, columns: tuple[Column, ...]
) -> tuple[tuple[int, int], int | None, int | None] | None:
    """Bounds of ``left - right`` in milliseconds that a comparison of times gives."""
    x, y = _linear(a), _linear(b)
    if x is None or y is None:
        return None
    if x[0] >= width > y[0]:
        x, y, sign = y, x, _FLIPPED[sign]
    if not x[0] < width <= y[0]:
        return None
    if columns[x[0]].time is None or columns[x[0]].time is not columns[y[0]].time:
        return None
    limit = y[1] - x[1]
    pair = (x[0], y[0])
    match sign:
        case "=":
            return pair, limit, limit
        case "<":
            return pair, None, limit - 1
        case "<=":
            return pair, None, limit
        case ">":
            return pair, limit + 1, None
        case _:
            return pair, limit, None


def _linear(e: Expression) -> tuple[int, int] | None:
    """A column plus a constant of milliseconds."""
    if isinstance(e, InputRef):
        return e.index, 0
    if not isinstance(e, Call) or e.function not in {"+", "-"} or len(e.args) != 2:
        return None
    inner, constant = e.args
    if e.function == "+" and isinstance(inner, Literal):
        inner, constant = constant, inner
    found = _linear(inner)
    if found is None or not isinstance(constant, Literal):
        return None
    if constant.type.root is not TypeRoot.DAY_TIME or constant.value is None:
        return None
    sign = 1 if e.function == "+" else -1
    return found[0], found[1] + sign * int(constant.value)

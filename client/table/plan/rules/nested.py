"""Which fields of ROW columns a plan reads of its scans."""

from __future__ import annotations

from collections.abc import Iterable

from lesto.client.table.plan import logical as p
from lesto.sql.expressions import Call, Expression, InputRef, Literal, children

#: Of a column: names of the fields that are read; None for all of it.
Fields = frozenset[str] | None
_Needs = dict[int, Fields]


def nested_fields(root: p.Node) -> dict[p.Scan, tuple[Fields, ...]]:
    """For each scan, for each column that it reads, the fields that are needed.

    Equal scans count as one.
    """
    found: dict[p.Scan, _Needs] = {}
    _visit(root, {i: None for i in range(len(root.schema))}, found)
    return {
        scan: tuple(needs.get(i, frozenset()) for i in range(len(scan.columns)))
        for scan, needs in found.items()
    }


def _visit(node: p.Node, needs: _Needs, found: dict[p.Scan, _Needs]) -> None:
    match node:
        case p.Scan():
            own = found.setdefault(node, {})
            _merge(own, needs.items())
            for e in node.filters:
                _collect(e, own)
        case p.Project():
            below: _Needs = {}
            for i, e in enumerate(node.expressions):
                if isinstance(e, InputRef):
                    _merge(below, [(e.index, needs.get(i, frozenset()))])
                else:
                    _collect(e, below)
            _visit(node.input, below, found)
        case p.Filter():
            _collect(node.condition, needs)
            _visit(node.input, needs, found)
        case p.Watermark():
            _merge(needs, [(node.column, None)])
            _collect(node.expression, needs)
            _visit(node.input, needs, found)
        case _:
            for child in node.inputs:
                _visit(child, {i: None for i in range(len(child.schema))}, found)


def _collect(e: Expression, needs: _Needs) -> None:
    if isinstance(e, InputRef):
        _merge(needs, [(e.index, None)])
        return
    if isinstance(e, Call) and e.function == "DOT" and e.user is None:
        row, name = e.args
        if isinstance(row, InputRef) and isinstance(name, Literal):
            _merge(needs, [(row.index, frozenset({str(name.value)}))])
            return
    for child in children(e):
        _collect(child, needs)


def _merge(needs: _Needs, more: Iterable[tuple[int, Fields]]) -> None:
    for i, fields in more:
        needs[i] = both_fields(needs.get(i, frozenset()), fields)


def both_fields(a: Fields, b: Fields) -> Fields:
    """What two readers need together."""
    return None if a is None or b is None else a | b

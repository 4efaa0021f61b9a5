"""Conditions that go below watermarks: where the source says that time goes on all the same."""

from __future__ import annotations

from collections.abc import Sequence

from lesto.client.table.plan import logical as p
from lesto.connectors.tables.factory import CONNECTORS, connector
from lesto.sql.expressions import Expression
from lesto.sql.rewrite import input_refs, replace_refs


def before_watermarks(
    node: p.Watermark, parts: Sequence[Expression]
) -> tuple[list[Expression], list[Expression]]:
    """Conditions that may be met below the watermarks, and the others.

    Leaving out rows in front of the watermarks delays them, for ever if no other rows come. So only
    conditions on columns whose every value keeps coming go there.
    """
    low = [e for e in parts if _is_steady(node.input, e)]
    return low, [e for e in parts if e not in low]


def _is_steady(node: p.Node, e: Expression) -> bool:
    while isinstance(node, p.Project):
        e = replace_refs(e, node.expressions)
        node = node.input
    if not isinstance(node, p.Scan) or node.table.connector not in CONNECTORS:
        return False
    steady = connector(node.table.connector).steady
    refs = input_refs(e)
    return bool(refs) and all(node.schema[i].name in steady for i in refs)

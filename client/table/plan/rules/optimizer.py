"""The order in which rules are applied."""

from __future__ import annotations

from collections.abc import Sequence

from lesto.client.table.plan import logical as p
from lesto.client.table.plan.rules.join_keys import keyed
from lesto.client.table.plan.rules.known_columns import known_columns
from lesto.client.table.plan.rules.prune import pruned_together
from lesto.client.table.plan.rules.push_down import filtered
from lesto.client.table.plan.rules.rank import constant_rank, ranked, without_rank
from lesto.client.table.plan.rules.simplify import folded, merged
from lesto.sql.rewrite import conjuncts


def optimized(node: p.Node) -> p.Node:
    """The plan that is carried out: equal results, less work."""
    return optimized_together([node])[0]


def optimized_together(nodes: Sequence[p.Node]) -> list[p.Node]:
    """Plans that are carried out together.

    Equal sub-plans are equal objects, by which they are shared.
    """
    return [p.transform(node, merged) for node in pruned_together([_improved(n) for n in nodes])]


def _improved(node: p.Node) -> p.Node:
    node = p.transform(node, folded)
    node = _pushed(node)
    node = p.transform(node, known_columns)
    node = p.transform(node, merged)
    node = p.transform(node, keyed)
    node = p.transform(node, ranked)
    node = p.transform(node, without_rank)
    node = p.transform(node, constant_rank)
    return p.transform(node, merged)


def _pushed(node: p.Node) -> p.Node:
    """Conditions as far down as can be, from the top."""
    if isinstance(node, p.Filter):
        found = filtered(node.input, conjuncts(node.condition))
        if isinstance(found, p.Filter):
            return p.Filter(_inputs_pushed(found.input), found.condition)
        return _inputs_pushed(found)
    return _inputs_pushed(node)


def _inputs_pushed(node: p.Node) -> p.Node:
    return p.with_inputs(node, [_pushed(child) for child in node.inputs])

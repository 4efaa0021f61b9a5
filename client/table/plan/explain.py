"""Prints plans as trees."""

from __future__ import annotations

from lesto.client.table.plan import logical as p
from lesto.client.table.plan.changelog import Changes, analysed


def tree(node: p.Node, changes: Changes | None = None) -> str:
    """A plan, one node a line, with the kinds of changes that each gives."""
    lines: list[str] = []
    _lines(node, "", "", changes, lines)
    return "\n".join(lines)


def _lines(
    node: p.Node, first: str, others: str, changes: Changes | None, lines: list[str]
) -> None:
    detail = node.detail
    if changes is not None:
        mode = f"changelogMode=[{changes.text(node)[1:-1]}]"
        detail = f"{detail}, {mode}" if detail else mode
        if id(node) in changes.materialized:
            detail += ", upsertMaterialize=[true]"
        if id(node) in changes.normalized:
            detail += ", changelogNormalize=[true]"
    lines.append(f"{first}{name(node)}({detail})")
    below = node.inputs
    for i, child in enumerate(below):
        last = i == len(below) - 1
        _lines(
            child,
            others + ("+- " if last else ":- "),
            others + ("   " if last else ":  "),
            changes,
            lines,
        )


def name(node: p.Node) -> str:
    """What a node is called."""
    kind = type(node).__name__
    match node:
        case p.Rank() | p.Deduplicate() if node.window is not None:
            return f"Window{kind}"
        case p.WindowAggregate() if node.legacy:
            return "GroupWindowAggregate"
        case p.Aggregate():
            return "GroupAggregate"
        case p.Limit() if isinstance(node.input, p.Sort):
            return "SortLimit"
        case _:
            return kind


def explained(
    syntax: p.Node,
    plan: p.Node,
    *,
    details: tuple[str, ...] = (),
    batch: bool = False,
    ttl_ms: int = 0,
) -> str:
    """The text of EXPLAIN.

    Args:
        syntax: the plan as bound.
        plan: the plan as optimized.
        details: of EXPLAIN: CHANGELOG_MODE is always shown; PLAN_ADVICE adds what may be better;
            others say what is not shown.
        batch: see :func:`~lesto.client.table.plan.changelog.analysed`.
        ttl_ms: see there.
    """
    changes = analysed(plan, batch=batch, ttl_ms=ttl_ms)
    parts = [
        "== Abstract Syntax Tree ==",
        tree(syntax),
        "",
        "== Optimized Physical Plan ==",
        tree(plan, changes),
    ]
    if changes.warnings:
        parts += ["", "== Warnings =="]
        parts += [f"{i}. {w}" for i, w in enumerate(changes.warnings, 1)]
    if "PLAN_ADVICE" in details and not changes.warnings:
        parts += ["", "No available advice..."]
    for detail, text in _NOT_SHOWN.items():
        if detail in details:
            parts += ["", text]
    return "\n".join(parts)


_NOT_SHOWN = {
    "ESTIMATED_COST": "== Estimated Cost ==\nnone: plans do not depend on costs",
    "JSON_EXECUTION_PLAN": "== Physical Execution Plan ==\nnot shown here: the web interface"
    " shows a job's tasks, `lesto info` those of a program",
}

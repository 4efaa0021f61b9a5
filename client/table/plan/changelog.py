"""Which changes each node of a plan gives and takes; what cannot be; what state grows.

Kinds are Flink's: ``I`` insert, ``UB`` update before, ``UA`` update after, ``D`` delete. A first
pass from the leaves finds what a node may give (:func:`provided`, where ``U`` is any update); a
second one from the top finds whether its updates must come with their ``UB``.

* append: ``I`` alone.
* upsert: updates without ``UB``; whoever takes them tells rows by a unique key.
* retract: updates with ``UB``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from lesto.client.table.errors import ChangelogError, InvalidQueryError
from lesto.client.table.plan import logical as p
from lesto.sql.expressions import InputRef
from lesto.sql.rewrite import input_refs

Kinds = frozenset[str]
INSERT: Final[Kinds] = frozenset("I")
ALL: Final[Kinds] = frozenset("IUD")
_ORDER: Final = ("I", "UB", "UA", "D")
_APPEND_ONLY: Final = {
    p.IntervalJoin: (
        "keeps rows by their time and cannot take one back",
        "join before aggregating or deduplicating, or drop the band from ON for a regular join",
    ),
    p.WindowJoin: (
        "keeps the rows of a window and cannot take one back",
        "join before aggregating, or group by the window first so that its results are final",
    ),
}


def provided(node: p.Node) -> Kinds:
    """What a node may give: of ``I``, ``U`` and ``D``."""
    match node:
        case p.Scan():
            kinds = node.table.source_kinds()
            return frozenset("U" if k in {"UA", "UB"} else k for k in kinds)
        case p.Values() | p.WindowAggregate() | p.IntervalJoin() | p.WindowJoin():
            return INSERT
        case p.Aggregate():
            below = provided(node.input)
            given = frozenset("IU") if node.calls else INSERT
            return given | {"D"} if below != INSERT and (node.keys or node.sets) else given
        case p.Over():
            if _by_time(node) and provided(node.input) == INSERT:
                return INSERT
            return ALL
        case p.Rank():
            return INSERT if node.window is not None else ALL
        case p.Deduplicate():
            if node.window is not None:
                return INSERT
            if not node.last and node.time_kind is p.TimeKind.PROCTIME:
                return INSERT
            return frozenset("IU")
        case p.Join():
            return _of_join(node)
        case p.SetOp():
            below = frozenset().union(*(provided(s) for s in node.sources))
            if node.kind is p.SetKind.EXCEPT:
                return below | {"D"}
            if node.every or below == INSERT:
                return below
            return frozenset("ID")
        case p.Limit():
            sorted_ = isinstance(node.input, p.Sort) and not _time_order(node.input)
            return ALL if sorted_ or provided(node.input) != INSERT else INSERT
        case p.TemporalJoin() | p.LookupJoin():
            return provided(node.left)
        case _:
            return provided(node.inputs[0])


def _of_join(node: p.Join) -> Kinds:
    below = provided(node.left) | provided(node.right)
    match node.kind:
        case p.JoinKind.INNER:
            return below
        case p.JoinKind.SEMI:
            return provided(node.left) | ({"D"} if provided(node.right) != INSERT else set())
        case _:
            # An outer row comes without a partner first, and is replaced when one comes.
            return ALL if node.kind is not p.JoinKind.ANTI else provided(node.left) | {"D"}


def _by_time(node: p.Over) -> bool:
    first = node.order[0] if node.order else None
    return first is not None and node.input.schema[first.index].time is not None


def _time_order(node: p.Sort) -> bool:
    first = node.keys[0]
    return node.schema[first.index].time is not None and not first.descending


@dataclass(frozen=True, slots=True)
class Changes:
    """What is known of a plan's changes.

    Attributes:
        modes: kinds that each node gives, by the node's ``id``.
        warnings: of state that grows.
        materialized: ids of sinks whose input's unique key is not the table's primary key: the
            operator must keep rows to put updates of one key in order.
        normalized: ids of scans that give updates without ``UB`` where it is wanted: rows are
            kept by primary key to complete them (Flink's ChangelogNormalize).
    """

    modes: dict[int, Kinds] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    materialized: set[int] = field(default_factory=set)
    normalized: set[int] = field(default_factory=set)

    def mode(self, node: p.Node) -> Kinds:
        """Kinds that a node gives."""
        return self.modes[id(node)]

    def text(self, node: p.Node) -> str:
        """As EXPLAIN shows them: ``[I,UA]``."""
        return f"[{','.join(k for k in _ORDER if k in self.modes[id(node)])}]"


def analysed(root: p.Node, *, batch: bool = False, ttl_ms: int = 0, before: bool = True) -> Changes:
    """The changes of a plan.

    Args:
        root: a query or sink.
        batch: whether input is bounded and only the final result counts: then all is append.
        ttl_ms: how long idle state is kept, 0 for good.
        before: whether who reads a query's result wants ``UB`` too.

    Raises:
        ChangelogError: an operator cannot take its input's changes.
        InvalidQueryError: a sort that has no meaning on a stream.
    """
    changes = Changes()
    if not batch:
        _check_root(root)
    else:
        for node in p.walk(root):
            if isinstance(node, p.Scan):
                _check_bounded(node)
            changes.modes[id(node)] = INSERT
        return changes
    _visit(root, before, changes)
    if not ttl_ms:
        seen: set[int] = set()
        for node in p.walk(root):
            warning = _growth(node)
            if warning and id(node) not in seen:
                seen.add(id(node))
                changes.warnings.append(warning)
    return changes


def _visit(node: p.Node, before: bool, changes: Changes) -> None:
    _check(node)
    kinds = provided(node)
    if isinstance(node, p.Sink):
        before = _sink(node, changes)
        kinds = provided(node.input)
    mode = {k for k in kinds if k != "U"}
    if "U" in kinds:
        mode |= {"UA", "UB"} if before else {"UA"}
    if isinstance(node, p.Scan) and "UB" in mode and "UB" not in node.table.source_kinds():
        changes.normalized.add(id(node))
    changes.modes[id(node)] = changes.modes.get(id(node), frozenset()) | frozenset(mode)
    for i, child in enumerate(node.inputs):
        _visit(child, _needs_before(node, i, before), changes)


def _needs_before(node: p.Node, side: int, before: bool) -> bool:
    """Whether an input's updates must come with ``UB``."""
    match node:
        case p.Filter():
            refs = input_refs(node.condition)
            return before or not any(refs <= key for key in node.input.unique_keys)
        case p.Join():
            # Hashed by fewer columns a row could not be told, by more its old and its new form
            # might go to different subtasks.
            child = node.inputs[side]
            pairs, _ = p.equi_keys(node.condition, len(node.left.schema))
            columns = frozenset(pair[side] for pair in pairs)
            told = columns and columns in child.unique_keys  # a global aggregate has no key
            return not told or not in_order(child, columns)
        case p.TemporalJoin() | p.LookupJoin():
            # A row that found a partner may find none when it has changed.
            return side == 0 and (before or node.kind is p.JoinKind.INNER)
        case p.SetOp():
            return before if node.every and node.kind is p.SetKind.UNION else True
        case p.Project() | p.Watermark() | p.WindowTvf() | p.Correlate() | p.Sink():
            return before
        case _:
            return True


# ---------------------------------------------------------------------- order


def in_order(node: p.Node, key: frozenset[int]) -> bool:
    """Whether changes of rows with equal values of a unique key come in their order.

    They do not where a row moves from one subtask to another when it changes: behind a join by
    columns that are no part of the key.
    """
    if provided(node) == INSERT:
        return True
    match node:
        case p.Project():
            refs = [node.expressions[i] for i in key]
            if not all(isinstance(e, InputRef) for e in refs):
                return False
            return in_order(node.input, frozenset(e.index for e in refs if isinstance(e, InputRef)))
        case p.Filter() | p.Watermark() | p.WindowTvf():
            return in_order(node.input, key)
        case p.Join():
            pairs, _ = p.equi_keys(node.condition, len(node.left.schema))
            return _side_in_order(node, key, 0, pairs) and _side_in_order(node, key, 1, pairs)
        case p.TemporalJoin() | p.LookupJoin():
            pairs, _ = p.equi_keys(node.condition, len(node.left.schema))
            return _side_in_order(node, key, 0, pairs if isinstance(node, p.TemporalJoin) else [])
        case p.Over() | p.Rank():
            below = any(k <= key and in_order(node.input, k) for k in node.input.unique_keys)
            return frozenset(node.partition) <= key and (below or key not in node.input.unique_keys)
        case _:
            return True


def _side_in_order(
    node: p.Join | p.TemporalJoin | p.LookupJoin,
    key: frozenset[int],
    side: int,
    pairs: list[tuple[int, int]],
) -> bool:
    child = node.right if side else node.left
    width = len(node.left.schema)
    part = frozenset(i - width for i in key if i >= width) if side else key & set(range(width))
    if not part or provided(child) == INSERT:
        return True
    columns = frozenset(pair[side] for pair in pairs)
    return any(own <= part and columns <= own and in_order(child, own) for own in child.unique_keys)


# ---------------------------------------------------------------------- refusals


def _check(node: p.Node) -> None:
    reason = _APPEND_ONLY.get(type(node))
    if reason is None and isinstance(node, (p.Rank, p.Deduplicate)) and node.window is not None:
        reason = (
            "gives a window's rows when it ends and takes inserts alone",
            "leave window_start and window_end out of PARTITION BY for a Top-N that is updated",
        )
    if reason is not None:
        for child in node.inputs:
            kinds = provided(child)
            if kinds != INSERT:
                msg = (
                    f"{_called(node)} cannot take the {_changes(kinds)} that {_giver(child)} gives:"
                    f" it {reason[0]}"
                )
                raise ChangelogError(
                    msg,
                    remedy=reason[1],
                )
    if isinstance(node, p.Limit) and isinstance(node.input, p.Sort):
        return
    for child in node.inputs:
        if isinstance(child, p.Sort):
            _check_sort(child)


def _check_bounded(node: p.Scan) -> None:
    kinds = provided(node)
    if kinds != INSERT:
        msg = (
            f"table {'.'.join(node.path)} gives {_changes(kinds)}, and batch mode reads inserts"
            " alone"
        )
        raise ChangelogError(msg, remedy="read it in streaming mode, whose last result is the same")


def _check_root(root: p.Node) -> None:
    if isinstance(root, p.Sort):
        _check_sort(root)


def _check_sort(node: p.Sort) -> None:
    if _time_order(node):
        return
    msg = (
        f"{_called(node)} cannot be carried out on a stream: it has no last row, so that only"
        " an ascending time attribute can be sorted by"
    )
    raise InvalidQueryError(
        msg,
        remedy="add LIMIT for a Top-N, sort by a time attribute first, or use batch mode",
    )


def _sink(node: p.Sink, changes: Changes) -> bool:
    kinds = provided(node.input)
    taken = node.table.sink_kinds()
    name = ".".join(node.path)
    if kinds == INSERT:
        return False
    if taken == INSERT:
        msg = (
            f"table {name} (connector {node.table.connector or 'none'}) takes inserts alone, and"
            f" {_giver(node.input)} gives {_changes(kinds)}"
        )
        raise ChangelogError(
            msg,
            remedy="aggregate by windows, whose results are final, or write to a connector that"
            " takes updates by PRIMARY KEY: upsert-kafka, jdbc, print",
        )
    if "UA" not in taken and "U" in kinds:
        msg = f"table {name} takes no updates, and {_giver(node.input)} gives them"
        raise ChangelogError(
            msg,
            remedy="write to a connector that takes updates",
        )
    if "UB" in taken:
        return True
    key = node.table.primary_key
    if not key:
        msg = (
            f"table {name} takes updates by key and has no PRIMARY KEY, and"
            f" {_giver(node.input)} gives {_changes(kinds)}"
        )
        raise ChangelogError(
            msg,
            remedy="declare PRIMARY KEY (...) NOT ENFORCED on the table",
        )
    names = [c.name for c in node.table.written_columns()]
    wanted = frozenset(names.index(k) for k in key if k in names)
    # Of a larger key an update would leave the old row there.
    if wanted not in node.input.unique_keys or not in_order(node.input, wanted):
        changes.materialized.add(id(node))
        return True
    return False


def _called(node: p.Node) -> str:
    name = type(node).__name__
    if isinstance(node, (p.Rank, p.Deduplicate)) and node.window is not None:
        name = f"Window{name}"
    return f"{name}({node.detail})"


def _giver(node: p.Node) -> str:
    """The operator that changes come from, below what only passes them."""
    passing = (p.Project, p.Filter, p.Watermark, p.WindowTvf, p.Correlate)
    while isinstance(node, passing):
        node = node.inputs[0]
    if isinstance(node, p.SetOp) and node.every and node.kind is p.SetKind.UNION:
        return _giver(next(s for s in node.sources if provided(s) != INSERT))
    return _called(node)


def _changes(kinds: Kinds) -> str:
    words = [w for k, w in (("U", "updates"), ("D", "deletes")) if k in kinds]
    return " and ".join(words)


# ---------------------------------------------------------------------- state


def _growth(node: p.Node) -> str:
    """A warning of state that grows as long as the query runs."""
    match node:
        case p.Join():
            pairs, _ = p.equi_keys(node.condition, len(node.left.schema))
            cross = "" if pairs else ", and without an equality in ON each row meets all others"
            return (
                f"{_called(node)} keeps all rows of both sides{cross}; bound it by"
                " 'table.exec.state.ttl', or by a condition on time (an interval join)"
            )
        case p.Aggregate() if node.keys:
            return (
                f"{_called(node)} keeps each key for good; bound it by 'table.exec.state.ttl', or"
                " group by a window"
            )
        case p.Rank() if node.window is None and node.partition:
            return (
                f"{_called(node)} keeps each partition for good; bound it by"
                " 'table.exec.state.ttl', or by a window"
            )
        case p.Deduplicate() if node.window is None:
            return f"{_called(node)} keeps each key for good; bound it by 'table.exec.state.ttl'"
        case p.SetOp() if not node.every or node.kind is not p.SetKind.UNION:
            return f"{_called(node)} keeps each row for good; bound it by 'table.exec.state.ttl'"
        case p.Over() if node.frame.preceding is None and node.partition:
            return f"{_called(node)} keeps each partition; bound it by 'table.exec.state.ttl'"
        case _:
            return ""

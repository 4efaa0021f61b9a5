"""Flame graphs out of sampled stacks, in the form of Flink's. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]

#: Nodes of one graph; deeper ones are left out once it has so many.
NODES_MAX: Final = 20_000
ROOT: Final = "root"


@dataclass(slots=True)
class _Node:
    value: int = 0
    children: dict[str, _Node] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that was seen: frames from the outermost, and how often."""

    frames: tuple[str, ...]
    count: int


def common_frames(stacks: Sequence[Stack]) -> list[str]:
    """Return the outer frames that all stacks share; each keeps one frame at least.

    >>> common_frames([Stack(("main", "run", "f"), 3), Stack(("main", "run", "g"), 1)])
    ['main', 'run']
    """
    if not stacks:
        return []
    longest = min(len(stack.frames) for stack in stacks) - 1
    first = stacks[0].frames
    shared: list[str] = []
    for depth in range(longest):
        if any(stack.frames[depth] != first[depth] for stack in stacks):
            break
        shared.append(first[depth])
    return shared


def tree(stacks: Iterable[Stack], skip: int = 0) -> Json:
    """Return the root of the graph: names, counts, children, the most frequent first.

    Args:
        stacks: what was seen.
        skip: outer frames that are left out.
    """
    root, nodes = _Node(), 1
    for stack in stacks:
        root.value += stack.count
        node = root
        for frame in stack.frames[skip:]:
            child = node.children.get(frame)
            if child is None:
                if nodes >= NODES_MAX:
                    break
                child = node.children[frame] = _Node()
                nodes += 1
            child.value += stack.count
            node = child
    return _shown(ROOT, root)


def _shown(name: str, node: _Node) -> Json:
    ordered = sorted(node.children.items(), key=lambda item: (-item[1].value, item[0]))
    return {
        "name": name,
        "value": node.value,
        "children": [_shown(child, found) for child, found in ordered],
    }

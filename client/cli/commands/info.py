"""`lesto info`: the plan of a job script, without running the job."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from typing import Any

from lesto.client.cli.commands.run import execute_script, parallelism, script_and_arguments
from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.stop_signals import exit_on_sigterm
from lesto.client.cli.target import configuration
from lesto.client.errors import NoJobError
from lesto.client.run_options import RunOptions
from lesto.common.scratch import ScratchDirectory

Plan = dict[str, Any]


def info(arguments: argparse.Namespace) -> int:
    """Print the plan as a tree or as JSON."""
    script, rest = script_and_arguments(arguments)
    config = configuration(arguments)
    with exit_on_sigterm(), contextlib.closing(ScratchDirectory("info")) as folder:
        path = folder.path / "plan.json"
        RunOptions(
            parallelism=parallelism(arguments), config=config.to_dict(), plan_path=str(path)
        ).export()
        code = execute_script(script, rest, arguments)
        if code != ExitCode.OK:
            return code
        if not path.exists():
            msg = f"{script} ended without building a job"
            raise NoJobError(msg, remedy="Call env.execute() at its end.")
        plan = json.loads(path.read_text(encoding="utf-8"))
    if arguments.output == "json":
        json.dump(plan, sys.stdout, indent=2)
        print()
    else:
        print(render_plan(plan))
    return ExitCode.OK


def render_plan(plan: Plan) -> str:
    """Return a plan as a tree from its sinks back to its sources.

    >>> nodes = [{"id": 1, "type": "Source: a", "parallelism": 2},
    ...          {"id": 2, "type": "map", "parallelism": 2,
    ...           "predecessors": [{"id": 1, "ship_strategy": "FORWARD"}]}]
    >>> print(render_plan({"nodes": nodes}))
    map (2)
    └─ FORWARD ─ Source: a (2)
    """
    nodes = {node["id"]: node for node in plan["nodes"]}
    used = {edge["id"] for node in nodes.values() for edge in _inputs(node)}
    lines: list[str] = []
    shown: set[Any] = set()
    for node in nodes.values():
        if node["id"] not in used:
            lines.append(_title(node))
            _append_inputs(node, nodes, "", lines, shown)
    return "\n".join(lines)


def _append_inputs(
    node: Plan, nodes: dict[Any, Plan], indent: str, lines: list[str], shown: set[Any]
) -> None:
    edges = _inputs(node)
    for number, edge in enumerate(edges):
        last = number == len(edges) - 1
        source = nodes[edge["id"]]
        again = source["id"] in shown and bool(_inputs(source))
        branch = "└─" if last else "├─"
        strategy = edge.get("ship_strategy", "FORWARD")
        suffix = " (see above)" if again else ""
        lines.append(f"{indent}{branch} {strategy} ─ {_title(source)}{suffix}")
        if not again:
            shown.add(source["id"])
            _append_inputs(source, nodes, indent + ("   " if last else "│  "), lines, shown)


def _inputs(node: Plan) -> list[Plan]:
    edges: list[Plan] = node.get("predecessors") or node.get("inputs") or []
    return edges


def _title(node: Plan) -> str:
    name = node.get("contents") or node.get("type") or node.get("description")
    return f"{name} ({node['parallelism']})"

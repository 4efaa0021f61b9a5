"""Writes tests/contract/pyflink.json: the public names of PyFlink and their arguments.

Facts read from the sources of an installed PyFlink (build/peers/pyflink, made by benchmarks/peers)
without importing them: modules, classes, methods and argument names, no text and no code.

    python scripts/gen_pyflink_contract.py [site-packages of a PyFlink]
    python scripts/gen_pyflink_contract.py --docs    (the differences in docs/coming-from-flink.md)
"""

from __future__ import annotations

import ast
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "tests" / "contract" / "pyflink.json"
DELIBERATE = ROOT / "tests" / "contract" / "deliberate.toml"
PAGE = ROOT / "docs" / "coming-from-flink.md"
BEGIN = "<!-- differences: written by scripts/gen_pyflink_contract.py --docs -->\n"
END = "<!-- /differences -->"
PACKAGES = ("common", "datastream", "table")
#: Arguments that carry handles of the JVM: what takes one is not for users.
JVM_PREFIXES = ("j_", "java_", "gateway")

Tree = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Write the contract, or what the page says of it; return the exit code."""
    if arguments == ["--docs"]:
        PAGE.write_text(with_differences(PAGE.read_text("utf-8")), "utf-8")
        return 0
    given = Path(arguments[0]) if arguments else _installed()
    root = given / "pyflink"
    sources = {
        ".".join(path.relative_to(root).with_suffix("").parts): ast.parse(path.read_text("utf-8"))
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
        if "tests" not in path.parts
    }
    sources = {name.removesuffix(".__init__"): tree for name, tree in sources.items()}
    classes = {
        (module, node.name): node
        for module, tree in sources.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    reader = Reader(sources, classes)
    contract = {
        "version": _version(root / "version.py"),
        "modules": {module: reader.module(module) for module in sorted(sources)},
    }
    OUTPUT.write_text(json.dumps(contract, indent=1, sort_keys=True) + "\n", "utf-8")
    return 0


def with_differences(page: str) -> str:
    """The page with the deliberate differences between its two marks."""
    lines = []
    for section in tomllib.loads(DELIBERATE.read_text("utf-8")).values():
        lines.append(f"* {section['reason']}")
        names = ", ".join(f"`{name}`" for name in section["names"])
        lines.append(f"  {names}.")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n\n{END}{rest.partition(END)[2]}"


def _installed() -> Path:
    found = sorted((ROOT / "build" / "peers" / "pyflink" / "lib").glob("python*/site-packages"))
    if not found:
        msg = "no PyFlink in build/peers/pyflink: run benchmarks/peers/setup, or name site-packages"
        raise SystemExit(msg)
    return found[0]


def _version(path: Path) -> str:
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            return str(node.value.value)
    msg = f"{path} names no version"
    raise SystemExit(msg)


class Reader:
    """Reads modules; classes by (module, name), so that inherited methods are found."""

    def __init__(self, sources: dict[str, ast.Module], classes: dict[tuple[str, str], Any]) -> None:
        self._sources = sources
        self._classes = classes

    def module(self, module: str) -> Tree:
        """Public names of a module: what it defines, and what it exports."""
        tree = self._sources[module]
        names: Tree = {}
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                names[node.name] = self._class(module, node)
            elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                names[node.name] = {"function": _signature(node, bound=False)}
            elif isinstance(node, ast.Assign) and not _is_type_variable(node.value):
                for target in node.targets:
                    if isinstance(target, ast.Name) and target.id[:1].isalpha():
                        names.setdefault(target.id, {"value": True})
        for name in _exported(tree):
            names.setdefault(name, {"export": True})
        return names

    def _class(self, module: str, node: ast.ClassDef) -> Tree:
        members: Tree = {}
        for home in reversed(self._line(module, node)):
            for item in home.body:
                members |= _member(item)
        return {"class": dict(sorted(members.items()))}

    def _line(self, module: str, node: ast.ClassDef) -> list[ast.ClassDef]:
        """The class and its bases as far as they are PyFlink's, nearest first."""
        line = [node]
        for base in node.bases:
            name = base.id if isinstance(base, ast.Name) else getattr(base, "attr", "")
            found = self._classes.get((module, name)) or next(
                (tree for (_, other), tree in self._classes.items() if other == name), None
            )
            if found is not None and found is not node:
                line += self._line(module, found)
        return line


def _is_type_variable(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and getattr(value.func, "id", "") == "TypeVar"


def _exported(tree: ast.Module) -> set[str]:
    """``__all__``, and the names that ``_install`` sets for older programs."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.List, ast.Tuple)):
            targets = [t.id for t in node.targets if isinstance(t, ast.Name)]
            if "__all__" in targets:
                names |= {e.value for e in node.value.elts if isinstance(e, ast.Constant)}
        elif isinstance(node, ast.FunctionDef) and node.name == "_install":
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "setattr":
                    names.add(call.args[1].value)  # type: ignore[attr-defined]
    return names


def _member(item: ast.stmt) -> Tree:
    if isinstance(item, ast.Assign):
        names = [t.id for t in item.targets if isinstance(t, ast.Name)]
        return {name: {"value": True} for name in names if not name.startswith("_")}
    if isinstance(item, ast.ClassDef) and not item.name.startswith("_"):
        members: Tree = {}
        for inner in item.body:
            members |= _member(inner)
        return {item.name: {"class": dict(sorted(members.items()))}}
    if not isinstance(item, ast.FunctionDef):
        return {}
    if item.name.startswith("_") and item.name != "__init__":
        return {}
    marks = {getattr(d, "id", getattr(d, "attr", "")) for d in item.decorator_list}
    if "property" in marks:
        return {item.name: {"property": True}}
    if "setter" in marks:
        return {}
    signature = _signature(item, bound="staticmethod" not in marks)
    plain = [name for name in signature["names"] if not name.startswith(JVM_PREFIXES)]
    if len(plain) < len(signature["names"]):
        if not plain:
            return {} if item.name == "__init__" else {item.name: {"jvm": True}}
        signature |= {"names": plain, "required": min(signature["required"], len(plain))}
    kind = next((m for m in ("staticmethod", "classmethod") if m in marks), "method")
    return {item.name: {kind: signature}}


def _signature(node: ast.FunctionDef, *, bound: bool) -> Tree:
    arguments = node.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args)][1 if bound else 0 :]
    return {
        "names": names,
        "required": len(names) - min(len(arguments.defaults), len(names)),
        "keywords": [a.arg for a in arguments.kwonlyargs],
        "rest": arguments.vararg is not None,
    }


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

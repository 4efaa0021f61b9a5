"""Compares the names and arguments of PyFlink (pyflink.json, by scripts/gen_pyflink_contract.py)
with what importing and inspecting lesto finds.
"""

from __future__ import annotations

import fnmatch
import importlib
import inspect
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lesto.common.errors import LestoError

HERE = Path(__file__).resolve().parent
CALLABLES = ("method", "staticmethod", "classmethod", "function")


@dataclass(frozen=True)
class Finding:
    """A name of the contract: what is wrong with it, or nothing."""

    name: str
    problem: str = ""


@cache
def contract() -> dict[str, Any]:
    """PyFlink's names."""
    return json.loads((HERE / "pyflink.json").read_text("utf-8"))


@cache
def deliberate() -> dict[str, str]:
    """Patterns of names that differ on purpose, each with its reason."""
    sections = tomllib.loads((HERE / "deliberate.toml").read_text("utf-8"))
    return {
        pattern: section["reason"] for section in sections.values() for pattern in section["names"]
    }


@cache
def not_yet() -> frozenset[str]:
    """Names that are owed."""
    lines = (HERE / "not_yet.txt").read_text("utf-8").splitlines()
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def reason(name: str) -> str:
    """Why the name differs on purpose; empty when it should not."""
    return next(
        (why for pattern, why in deliberate().items() if fnmatch.fnmatchcase(name, pattern)), ""
    )


def findings() -> Iterator[Finding]:
    """Every name of the contract, as ``module:Class.method``."""
    for module, names in contract()["modules"].items():
        path = f"lesto.{module}"
        try:
            loaded = importlib.import_module(path)
        except ModuleNotFoundError:
            yield Finding(module, "the module is missing")
            for name in names:
                yield Finding(f"{module}:{name}", "the module is missing")
            continue
        yield Finding(module)
        for name, wanted in names.items():
            yield from _name(f"{module}:{name}", wanted, loaded, name)


def _name(full: str, wanted: dict[str, Any], home: Any, name: str) -> Iterator[Finding]:
    try:
        found = getattr(home, name)
    except (AttributeError, LestoError):
        yield Finding(full, "missing")
        for member in wanted.get("class", {}):
            yield Finding(f"{full}.{member}", "missing")
        return
    kind = next(iter(wanted))
    if kind == "class":
        yield Finding(full, "" if inspect.isclass(found) else f"a {type(found).__name__}")
        for member, inner in wanted["class"].items():
            yield from _member(f"{full}.{member}", inner, found, member)
    elif kind in CALLABLES:
        yield Finding(full, arguments(found, wanted[kind]))
    else:
        yield Finding(full)


def _member(full: str, wanted: dict[str, Any], home: Any, name: str) -> Iterator[Finding]:
    kind = next(iter(wanted))
    if kind not in CALLABLES:
        yield from _name(full, wanted, home, name)
        return
    try:
        found = getattr(home, name)
    except (AttributeError, LestoError):
        yield Finding(full, "missing")
        return
    static = inspect.getattr_static(home, name)
    bound = not isinstance(static, (staticmethod, classmethod))
    if kind in ("staticmethod", "classmethod") and bound and inspect.isfunction(static):
        yield Finding(full, f"is no {kind}")
        return
    yield Finding(full, arguments(found, wanted[kind], skip=1 if bound else 0))


def arguments(function: Any, wanted: dict[str, Any], skip: int = 0) -> str:
    """What keeps a call written for PyFlink from working; empty when nothing does."""
    try:
        parameters = list(inspect.signature(function).parameters.values())[skip:]
    except (TypeError, ValueError):  # written in C, as an enum's or exception's constructor
        return ""
    text = f"({', '.join(p.name for p in parameters)}), PyFlink ({', '.join(wanted['names'])})"
    takes_rest = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    for position, name in enumerate(wanted["names"]):
        if position < len(plain):
            parameter = plain[position]
            if parameter.name != name:
                return f"argument {position} is not {name}: {text}"
            if position >= wanted["required"] and parameter.default is parameter.empty:
                return f"argument {name} is required: {text}"
        elif not (takes_rest and (takes_any or position < wanted["required"])):
            return f"no argument {name}: {text}"
    if wanted["rest"] and not takes_rest:
        return f"takes no further arguments: {text}"
    named = {p.name for p in parameters}
    absent = [k for k in wanted["keywords"] if k not in named and not takes_any]
    if absent:
        return f"no keyword {absent[0]}: {text}"
    more = [
        p.name
        for p in parameters
        if p.default is p.empty
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and p.name not in (*wanted["names"], *wanted["keywords"])
    ]
    return f"needs {', '.join(more)}: {text}" if more else ""

"""What of an uploaded file is run, and how: a script, a zipapp, a module or function of an archive.

Named entry points are those of a wheel: of the groups ``lesto.jobs`` and ``console_scripts``.
"""

from __future__ import annotations

import configparser
import importlib
import os
import runpy
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lesto.client.errors import ScriptNotFoundError
from lesto.common.errors import did_you_mean

GROUPS: Final = ("lesto.jobs", "console_scripts")
#: Bytes of the file in a wheel that lists its entry points.
MAX_ENTRY_POINTS_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Program:
    """How a file is run.

    Attributes:
        path: the file.
        module: to run as ``python -m`` does; empty: the file itself.
        function: of the module, to call without arguments; empty: the module is ``__main__``.
    """

    path: str
    module: str = ""
    function: str = ""

    def run(self, arguments: Sequence[str]) -> None:
        """Run it in this interpreter as the main program."""
        sys.argv = [self.path, *arguments]
        archive = not self.path.endswith(".py")
        sys.path.insert(0, self.path if archive else os.path.dirname(self.path))
        if self.function:
            getattr(importlib.import_module(self.module), self.function)()
        elif self.module:
            runpy.run_module(self.module, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(self.path, run_name="__main__")


def find_program(path: str, entry: str, module: str) -> Program:
    """How to run a file.

    Args:
        path: the file.
        entry: entry point by name, ``module`` or ``module:function``; empty: the file says it.
        module: to run as ``python -m`` does; empty: ``entry`` counts.

    Raises:
        ScriptNotFoundError: nothing in the file says what to run.
    """
    if module:
        return Program(path, module)
    named = {} if path.endswith(".py") else _entry_points(path)
    if entry:
        if ":" not in entry and entry not in named and named and not _has_module(path, entry):
            near = did_you_mean(entry, named)
            msg = f"{Path(path).name} has no entry point and no module '{entry}'{near}"
            raise ScriptNotFoundError(msg, remedy=f"It has: {', '.join(sorted(named))}.")
        where, _, function = named.get(entry, entry).partition(":")
        return Program(path, where, function)
    if path.endswith(".py") or _has_module(path, "__main__"):
        return Program(path)
    if len(named) == 1:
        where, _, function = next(iter(named.values())).partition(":")
        return Program(path, where, function)
    msg = f"{Path(path).name} does not say what to run: it has no __main__.py" + (
        f" and {len(named)} entry points" if named else ""
    )
    raise ScriptNotFoundError(msg, remedy="Give module, or entryClass with an entry point.")


def _has_module(path: str, name: str) -> bool:
    base = name.replace(".", "/")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    return f"{base}.py" in names or f"{base}/__init__.py" in names


def _entry_points(path: str) -> dict[str, str]:
    """``module:function`` by name."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".dist-info/entry_points.txt") and name.count("/") == 1:
                with archive.open(name) as file:
                    return _parsed(file.read(MAX_ENTRY_POINTS_BYTES).decode(errors="replace"))
    return {}


class _EntryPoints(configparser.ConfigParser):
    def optionxform(self, optionstr: str) -> str:
        """Keep the case of names."""
        return optionstr


def _parsed(text: str) -> dict[str, str]:
    parser = _EntryPoints(delimiters=("=",), interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    for group in GROUPS:
        if parser.has_section(group):
            return {k: v.split("[")[0].strip() for k, v in parser.items(group)}
    return {}

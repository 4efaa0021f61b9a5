"""Sending the user's code to the workers: pickled by value, with errors that name what cannot
be.
"""

from __future__ import annotations

import functools
import io
import site
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cloudpickle

from lesto.client.datastream.errors import UnpicklableFunctionError
from lesto.client.datastream.location import code_location

#: Bounds the search for what cannot be pickled.
CULPRIT_DEPTH_MAX = 6
#: Files of modules of which it is remembered where they are.
RESOLVED_PATHS_MAX = 16_384


@functools.cache
def _library_roots() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    roots = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    roots += [*site.getsitepackages(), site.getusersitepackages()]
    return tuple(_resolved(root) for root in roots)


@functools.lru_cache(maxsize=RESOLVED_PATHS_MAX)
def _resolved(path: str | Path) -> Path:
    """The path without links. Thousands of modules are loaded, and a program may run many jobs."""
    return Path(path).resolve()


@functools.lru_cache(maxsize=RESOLVED_PATHS_MAX)
def _is_library(file: str) -> bool:
    path = _resolved(file)
    return any(path.is_relative_to(root) for root in _library_roots())


def user_modules(folders: Iterable[str | Path]) -> list[types.ModuleType]:
    """Loaded modules whose files lie below the folders, and which are neither installed nor
    Lesto's.
    """
    wanted = [Path(folder).resolve() for folder in folders]
    found = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or name == "__main__" or name.split(".")[0] == "lesto":
            continue
        if getattr(module, "__name__", None) != name:
            continue
        if _is_library(file):
            continue
        if any(_resolved(file).is_relative_to(folder) for folder in wanted):
            found.append(module)
    return found


@contextmanager
def by_value(folders: Iterable[str | Path]) -> Iterator[None]:
    """Pickle functions and classes of the modules beside the script by value, so that no worker
    has to
    find those modules.
    """
    mine = []
    registered = cloudpickle.list_registry_pickle_by_value()
    for module in user_modules(folders):
        if module.__name__ not in registered:
            cloudpickle.register_pickle_by_value(module)
            mine.append(module)
    try:
        yield
    finally:
        for module in mine:
            cloudpickle.unregister_pickle_by_value(module)


def dumps(value: Any, *, operator: str, location: str, functions: tuple[Any, ...] = ()) -> bytes:
    """Pickle a part of an operator.

    Raises:
        UnpicklableFunctionError: names the function, and the variable or attribute that is in the
            way.
    """
    try:
        return _pickled(value)
    except Exception as error:  # noqa: BLE001 - any __reduce__ of user code may raise anything
        raise _explain(error, operator, location, functions) from None


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle, but it refuses open files: it would send a copy of their content unasked."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, io.TextIOWrapper):
            msg = "cannot pickle an open file"
            raise TypeError(msg)
        return super().reducer_override(value)


def _pickled(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer).dump(value)
    return buffer.getvalue()


def _explain(
    error: Exception, operator: str, location: str, functions: tuple[Any, ...]
) -> UnpicklableFunctionError:
    remedy = (
        "create it in open() of a function class (such as MapFunction), which runs on the worker,"
        " or pass what is needed to make it"
    )
    for function in functions:
        if _picklable(function):
            continue
        trail = _culprit(function)
        defined = code_location(function)
        at = f" ({defined})" if defined else ""
        what = " -> ".join(trail) if trail else "something it refers to"
        msg = f"{describe(function)}{at} cannot be sent to the workers: {what}: {_reason(error)}"
        return UnpicklableFunctionError(
            f"operator '{operator}': {msg}", remedy=remedy, location=location
        )
    msg = f"operator '{operator}' cannot be sent to the workers: {_reason(error)}"
    return UnpicklableFunctionError(msg, remedy=remedy, location=location)


def describe(function: Any) -> str:
    """A function's or a function object's name, for people."""
    if isinstance(function, types.FunctionType):
        return (
            "the lambda" if function.__name__ == "<lambda>" else f"function '{function.__name__}'"
        )
    return f"the {type(function).__name__} object"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _picklable(value: Any) -> bool:
    try:
        _pickled(value)
    except Exception:  # noqa: BLE001 - see dumps
        return False
    return True


def _culprit(value: Any, depth: int = 0) -> list[str]:
    """Names leading from a value to the innermost thing that cannot be pickled."""
    if depth >= CULPRIT_DEPTH_MAX:
        return []
    for label, part in _parts(value):
        if not _picklable(part):
            return [f"{label} (a {_type_name(part)})", *_culprit(part, depth + 1)]
    return []


def _type_name(value: Any) -> str:
    kind = type(value)
    module = "" if kind.__module__ in {"builtins", "__main__"} else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}"


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value is made of, as far as pickle goes into it."""
    if isinstance(value, types.MethodType):
        yield "its object", value.__self__
        return
    if isinstance(value, types.FunctionType):
        names = value.__code__.co_freevars
        for name, cell in zip(names, value.__closure__ or (), strict=True):
            try:
                yield f"the captured variable '{name}'", cell.cell_contents
            except ValueError:  # the cell is still empty
                continue
        for name in _global_names(value.__code__):
            if name in value.__globals__:
                yield f"the global variable '{name}'", value.__globals__[name]
        for position, default in enumerate(value.__defaults__ or ()):
            yield f"default value {position + 1}", default
        return
    if isinstance(value, dict):
        for key, part in value.items():
            yield f"[{key!r}]", part
    elif isinstance(value, (list, tuple, set, frozenset)):
        for position, part in enumerate(value):
            yield f"[{position}]", part
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict) and not isinstance(value, (type, types.ModuleType)):
        for name, part in attributes.items():
            yield f"the attribute '{name}'", part
        for name, part in vars(type(value)).items():
            if isinstance(part, types.FunctionType):
                yield f"method '{name}'", part


def _global_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)

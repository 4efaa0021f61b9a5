"""Checks of arguments at the call that gives them, with the user's file and line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import pyarrow as pa

from lesto.client.datastream.errors import (
    InvalidParallelismError,
    NotSupportedError,
    SchemaRequiredError,
    WrongArgumentError,
)
from lesto.client.datastream.location import user_location
from lesto.common.async_functions import is_async
from lesto.common.functions import Function
from lesto.common.types import TypeInformation

#: Flink's upper bound: key groups are 15-bit numbers.
MAX_PARALLELISM_UPPER = 32_768

T = TypeVar("T")


def unsupported(what: str, remedy: str = "") -> NoReturn:
    """Raise that a part of Flink's API is not there yet."""
    msg = f"{what} is not supported yet"
    raise NotSupportedError(msg, remedy=remedy, location=user_location())


def wrong(method: str, expected: str, value: Any, remedy: str = "") -> NoReturn:
    """Raise that an argument has the wrong type."""
    shown = f"{value!r:.120}" if not isinstance(value, type) else f"the class {value.__name__}"
    msg = f"{method} takes {expected}, not {shown} ({type(value).__name__})"
    if isinstance(value, type) and not remedy:
        remedy = f"pass an instance: {value.__name__}()"
    raise WrongArgumentError(msg, remedy=remedy, location=user_location())


def check_instance(method: str, expected: str, value: Any, kind: type) -> Any:
    """The value, if it is an instance of ``kind``."""
    if not isinstance(value, kind):
        wrong(method, expected, value)
    return value


def check_function(method: str, kind: type[Function], value: Any, *, plain: bool = True) -> Any:
    """A function object of ``kind``, or (``plain``) any callable that is not another kind of
    function.
    """
    if isinstance(value, kind):
        _refuse_async(method, kind, value)
        return value
    expected = f"a {kind.__name__}" + (" or a callable" if plain else "")
    # A plain class such as str is a fine callable; a class of functions was meant to be
    # instantiated.
    unfit = issubclass(value, Function) if isinstance(value, type) else isinstance(value, Function)
    if unfit or not plain or not callable(value):
        wrong(method, expected, value)
    _refuse_async(method, kind, value)
    return value


#: The methods of a function that may be ``async def``.
_AWAITED = {"map", "flat_map", "filter", "process_element", "open", "close"}


def _refuse_async(method: str, kind: type[Function], value: Any) -> None:
    """Where nobody would await it, an ``async def`` function gives coroutines for results."""
    named = [name for name in vars(kind) if not name.startswith("_") and name not in _AWAITED]
    found = next((name for name in named if is_async(getattr(value, name, None))), "")
    plain = not isinstance(value, kind) and _AWAITED.isdisjoint(vars(kind)) and is_async(value)
    if found or plain:
        unsupported(
            f"'async def' in {method} ({found or getattr(value, '__name__', 'the function')})",
            "await in a map, flat_map, filter or process before: stream.map(async_function)",
        )


def check_parallelism(method: str, value: Any) -> int:
    """A parallelism >= 1."""
    if not isinstance(value, int) or isinstance(value, bool):
        wrong(method, "a whole number", value)
    if not 1 <= value <= MAX_PARALLELISM_UPPER:
        msg = f"{method}: {value} is not between 1 and {MAX_PARALLELISM_UPPER}"
        raise InvalidParallelismError(msg, location=user_location())
    return value


def check_type(method: str, value: Any) -> TypeInformation | None:
    """Type information, or None."""
    if value is not None and not isinstance(value, TypeInformation):
        wrong(method, "type information such as Types.STRING()", value, "call it: Types.STRING()")
    return value


def output_schema(method: str, type_info: Any) -> pa.Schema | None:
    """Columns of a declared output type; only rows with names have any."""
    declared = check_type(method, type_info)
    if declared is not None and getattr(declared, "named", False):
        return declared.arrow_schema()
    return None


def require_schema(method: str, schema: pa.Schema | None) -> pa.Schema:
    """The columns, or an error that says how to get some."""
    if schema is None:
        msg = f"{method} needs columns, but this stream carries opaque Python values"
        raise SchemaRequiredError(
            msg,
            remedy="give the step before it output_type=Types.ROW_NAMED([...], [...]), or use a"
            " source with a schema; or pass a function instead of an expression",
            location=user_location(),
        )
    return schema


def located(call: Callable[[], T], method: str) -> T:
    """Run a check of common code and turn its TypeError or ValueError into ours, with the user's
    line.
    """
    try:
        return call()
    except (TypeError, ValueError) as error:
        msg = f"{method}: {error}"
        raise WrongArgumentError(msg, location=user_location()) from None

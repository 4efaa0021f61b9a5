"""Operators with two inputs: what the calls that make them share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pyarrow as pa

from lesto.client.datastream import operators
from lesto.client.datastream.checks import unsupported
from lesto.client.datastream.data_stream import DataStream
from lesto.client.datastream.errors import JobBuildError
from lesto.client.datastream.keyed_stream import KeyedStream
from lesto.client.datastream.location import user_location
from lesto.client.datastream.transformations import Kind, Upstream
from lesto.common.async_functions import is_async
from lesto.common.types import TypeInformation

#: Methods of the functions of two streams.
_METHODS: Final = (
    *("map1", "map2", "flat_map1", "flat_map2", "process_element1", "process_element2"),
    *("process_element", "process_broadcast_element", "on_timer", "join"),
)


def add_two_input(
    first: DataStream,
    second: DataStream,
    label: str,
    factory: operators.Thunk,
    schema: pa.Schema | None,
    *,
    functions: tuple[Any, ...] = (),
    keyed: bool = False,
    type_info: TypeInformation | None = None,
    description: str = "",
) -> DataStream:
    """Add an operator that reads ``first`` as its input 0 and ``second`` as its input 1."""
    env = first.get_execution_environment()
    inputs = [
        replace(upstream, input_index=index)
        for index, stream in enumerate((first, second))
        for upstream in stream._upstreams
    ]
    node = env._add_node(
        kind=Kind.TRANSFORM,
        label=label,
        description=description,
        factory=factory,
        inputs=tuple(inputs),
        output_schema=schema,
        keyed=keyed,
        user_functions=functions,
        location=user_location(),
    )
    return DataStream(env, (Upstream(node, schema=schema),), type_info)


def refuse_async(call: str, *functions: Any) -> None:
    """Functions of two streams answer at once; an ``async def`` one is for a single stream.

    Args:
        call: such as ``connect(...).map``.
        functions: function objects, callables, or None.

    Raises:
        NotSupportedError: one has a method that is ``async def``.
    """
    for function in functions:
        methods = [getattr(function, name, None) for name in _METHODS]
        for method in (function, *methods):
            if method is not None and is_async(method):
                name = getattr(method, "__name__", "the function")
                unsupported(
                    f"'async def' in {call} ({name})",
                    "await in a map or process before: stream.map(async_function).connect(...)",
                )


def check_same_environment(method: str, first: DataStream, second: DataStream) -> None:
    """Two streams can meet only in one job."""
    if first.get_execution_environment() is not second.get_execution_environment():
        msg = f"{method}: the streams belong to different environments"
        raise JobBuildError(
            msg,
            remedy="make both from one StreamExecutionEnvironment",
            location=user_location(),
        )


def check_same_keys(method: str, first: KeyedStream, second: KeyedStream) -> None:
    """Keys of different types never meet: 1 and "1" are different keys, in different subtasks.

    Types are known of key columns and where they were declared.
    """
    ours, theirs = _key_types(first), _key_types(second)
    if ours is None or theirs is None:
        return
    if len(ours) != len(theirs):
        msg = f"{method}: the keys have {len(ours)} and {len(theirs)} parts"
        raise JobBuildError(
            msg, remedy="key both streams by as many columns", location=user_location()
        )
    for a, b in zip(ours, theirs, strict=True):
        if _family(a) != _family(b):
            msg = f"{method}: the keys have different types, {a} and {b}, and would never be equal"
            raise JobBuildError(
                msg,
                remedy="give both streams keys of one type, for instance with"
                " with_columns(key=col('key').cast('int64')) before key_by",
                location=user_location(),
            )


def _key_types(stream: KeyedStream) -> list[pa.DataType] | None:
    if stream._key.columns and stream.schema is not None:
        return [stream.schema.field(name).type for name in stream._key.columns]
    declared = stream._declared_key_type
    kind = None if declared is None else declared.to_arrow()
    if kind is None:
        return None
    # Keys of several columns are tuples, as a tuple type says.
    return [field.type for field in kind] if pa.types.is_struct(kind) else [kind]


def _family(kind: pa.DataType) -> str:
    """Types whose equal values are one key."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = {
        "number": (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
        "text": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        "bytes": (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary),
        "timestamp": (pa.types.is_timestamp,),
    }
    for family, checks in tests.items():
        if any(check(kind) for check in checks):
            return family
    return str(kind)

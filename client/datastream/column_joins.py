"""Window joins of streams with columns."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from lesto.client.datastream import operators
from lesto.client.datastream.checks import require_schema, wrong
from lesto.client.datastream.column_aggregates import located_schema
from lesto.client.datastream.errors import SchemaRequiredError
from lesto.client.datastream.location import user_location
from lesto.client.datastream.two_inputs import add_two_input
from lesto.common.keys import FieldKeySelector

if TYPE_CHECKING:
    from lesto.client.datastream.data_stream import DataStream


def join_columns(
    first: DataStream,
    second: DataStream,
    selectors: tuple[Any, ...],
    assigner: Any,
    suffix: str,
) -> DataStream:
    """A window join on columns; arguments as of ``JoinedWindows.columns``."""
    from lesto.taskmanager.operators.columnar.window_join import (
        check_join_assigner,
        join_output_schema,
    )

    schemas = [require_schema("columns", stream.schema) for stream in (first, second)]
    names = [_names(selector) for selector in selectors]
    if len(names[0]) != len(names[1]):
        wrong("equal_to", f"{len(names[0])} columns, as where()", names[1])
    keys = list(zip(*names, strict=True))
    for ours, theirs in keys:
        types = schemas[0].field(ours).type, schemas[1].field(theirs).type
        if types[0] != types[1]:
            wrong(
                "equal_to",
                f"a column of {types[0]}, the type of '{ours}'",
                f"{theirs}: {types[1]}",
                "cast one of them before: with_columns(key=col('key').cast('int64'))",
            )
    located_schema(lambda: check_join_assigner(assigner))
    result, _ = join_output_schema(schemas[0], schemas[1], keys, suffix)
    doubled = [name for name, count in Counter(result.names).items() if count > 1]
    if doubled:
        wrong("columns", "a suffix that leaves no two columns of one name", doubled[0])
    text = " and ".join(f"{a} = {b}" for a, b in keys)
    return add_two_input(
        first.key_by(*names[0]),
        second.key_by(*names[1]),
        f"WindowJoin({type(assigner).__name__})",
        operators.window_join(keys, assigner, suffix),
        result,
        keyed=True,
        description=f"{assigner}: {text}",
    )


def _names(selector: Any) -> tuple[str, ...]:
    if isinstance(selector, FieldKeySelector):
        return selector.fields
    msg = "a join of columns needs keys made of columns, not of a function"
    raise SchemaRequiredError(
        msg, remedy="write where('column').equal_to('column')", location=user_location()
    )

"""Functions of whole batches on streams with columns: how they take them, what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lesto.client.datastream import operators
from lesto.client.datastream.checks import output_schema, require_schema
from lesto.client.datastream.errors import WrongArgumentError
from lesto.client.datastream.location import user_location
from lesto.common.function_forms import FunctionForm, form_of
from lesto.common.functions import Function
from lesto.common.types import TypeInformation

_OPERATORS = {
    "map": "BatchMapOperator",
    "filter": "BatchFilterOperator",
    "flat_map": "BatchFlatMapOperator",
    "process_element": "BatchProcessOperator",
}


@dataclass(frozen=True, slots=True)
class BatchFunction:
    """A function of batches, ready to become an operator.

    Attributes:
        factory: of the operator.
        schema: columns of the result; None: Python values.
    """

    factory: operators.Thunk
    schema: pa.Schema | None


def batch_function(
    method: str,
    func: Any,
    schema: pa.Schema | None,
    output_type: TypeInformation | None = None,
) -> BatchFunction | None:
    """The function if it takes batches by its hints; None: it takes records.

    Raises:
        WrongArgumentError: hints that do not go together, a column that does not exist, or a
            result whose columns nobody knows.
        SchemaRequiredError: the stream has no columns.
    """
    target = getattr(func, method) if isinstance(func, Function) else func
    try:
        form = form_of(target, context=method == "process_element")
        if form is None:
            return None
        columns = require_schema(f"{form.name}({form.describe()})", schema)
        form.columns(list(columns.names))
    except ValueError as error:
        raise WrongArgumentError(str(error), location=user_location()) from None
    if method == "filter":
        return BatchFunction(_factory(method, func, form, None, False), columns)
    result = output_schema(method, output_type)
    if result is None and output_type is not None:
        kind = output_type.to_arrow()
        declared = None if kind is None else pa.schema([("value", kind)])
        return BatchFunction(_factory(method, func, form, declared, True), None)
    if result is None:
        result = _tried(method, func, target, form, columns)
    return BatchFunction(_factory(method, func, form, result, False), result)


def refuse_batches(method: str, func: Any) -> None:
    """Refuse a function of batches where keyed state makes it one of records.

    Raises:
        WrongArgumentError: its hints say that it takes batches.
    """
    called = "process_element" if method == "process" else method
    target = getattr(func, called, None)
    if target is None:
        return
    try:
        form = form_of(target, context=method == "process")
    except ValueError as error:
        raise WrongArgumentError(str(error), location=user_location()) from None
    if form is not None:
        msg = f"{form.name}({form.describe()}): a function with keyed state takes records"
        remedy = "hint a Row, or give the function before key_by"
        raise WrongArgumentError(msg, remedy=remedy, location=user_location())


def _factory(
    method: str, func: Any, form: FunctionForm, schema: pa.Schema | None, as_values: bool
) -> operators.Thunk:
    return operators.batch_function(_OPERATORS[method], func, form, schema, as_values)


def _tried(
    method: str, func: Any, target: Any, form: FunctionForm, columns: pa.Schema
) -> pa.Schema:
    """Columns of the result, by calling a plain function with a batch of no records."""
    from lesto.taskmanager.operators.columnar.batch_values import Results, arguments

    remedy = "say its columns: output_type=Types.ROW_NAMED([names], [types])"
    what = f"{method}: the columns of what {form.name} returns are not known"
    if isinstance(func, Function):
        raise WrongArgumentError(what, remedy=remedy, location=user_location())
    empty = pa.RecordBatch.from_arrays([pa.array([], f.type) for f in columns], schema=columns)
    try:
        result = target(*arguments(form, form.columns(list(columns.names)))(empty))
        if type(result) is tuple and method == "flat_map":
            result = result[0]
        made = Results(form, method, None).columns(result).schema
    except Exception as error:
        msg = f"{what}: a call with an empty batch raised {type(error).__name__}: {error}"
        raise WrongArgumentError(msg, remedy=remedy, location=user_location()) from error
    if any(pa.types.is_null(field.type) for field in made):
        unknown = [field.name for field in made if pa.types.is_null(field.type)]
        msg = f"{what}: with an empty batch the columns {unknown} have no type"
        raise WrongArgumentError(msg, remedy=remedy, location=user_location())
    return made.remove_metadata()

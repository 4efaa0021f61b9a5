"""What the binder asks of users' functions; :mod:`lesto.client.table` wraps them so."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from lesto.client.table.catalog.objects import CatalogFunction
from lesto.client.table.errors import UnknownSqlFunctionError
from lesto.client.table.plan.schema import Schema
from lesto.sql.expressions import Expression
from lesto.sql.types import SqlType
from lesto.sql.users.aggregates import AggregateFunctionCall
from lesto.sql.users.tables import TableCall


@runtime_checkable
class ScalarDefinition(Protocol):
    """A scalar function of the user."""

    def bind_scalar(self, name: str, args: Sequence[Expression]) -> Expression:
        """The call, with its type; arguments are cast to what the function takes."""


@runtime_checkable
class TableDefinition(Protocol):
    """A table function of the user."""

    def bind_table(
        self, name: str, args: Sequence[Expression]
    ) -> tuple[tuple[Expression, ...], Schema, TableCall]:
        """The arguments, cast, the columns of the result, and what operators call."""


@runtime_checkable
class AggregateDefinition(Protocol):
    """An aggregate function of the user."""

    def bind_aggregate(
        self, name: str, args: Sequence[Expression]
    ) -> tuple[tuple[Expression, ...], SqlType, AggregateFunctionCall]:
        """The arguments, cast, the type of the result, and what operators call."""


def load(function: CatalogFunction) -> Any:
    """The Python object of a function, imported if the catalog has its name alone.

    Raises:
        UnknownSqlFunctionError: the module or name is not there.
    """
    if function.function is not None:
        return function.function
    module, _, name = function.target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        msg = f"{function.target} cannot be imported: {error}"
        raise UnknownSqlFunctionError(
            msg,
            remedy="write 'module.name' of a udf, udtf or udaf that is on the import path",
        ) from error

"""Functions of a table environment."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NoReturn

from lesto.client.datastream.checks import unsupported
from lesto.client.datastream.location import user_location
from lesto.client.table.catalog.objects import CatalogFunction
from lesto.client.table.errors import InvalidUserFunctionError
from lesto.client.table.shows import builtin_functions, users_functions
from lesto.client.table.sql.dialect import parse_path
from lesto.client.table.udf import (
    AggregateFunction,
    AsyncScalarFunction,
    ScalarFunction,
    TableAggregateFunction,
    TableFunction,
    UserDefinedFunctionWrapper,
    udaf,
    udf,
    udtaf,
    udtf,
)

if TYPE_CHECKING:
    from lesto.client.table.session import Session


def wrapped(function: Any) -> UserDefinedFunctionWrapper:
    """A user's function as SQL needs it: made one by its class or type hints, if it is none yet.

    Raises:
        InvalidUserFunctionError: it cannot be one.
    """
    if isinstance(function, UserDefinedFunctionWrapper):
        return function
    if inspect.isclass(function):
        function = function()
    if isinstance(function, (ScalarFunction, AsyncScalarFunction)):
        found = udf(function)
    elif isinstance(function, TableFunction):
        found = udtf(function)
    elif isinstance(function, TableAggregateFunction):
        found = udtaf(function)
    elif isinstance(function, AggregateFunction):
        found = udaf(function)
    elif callable(function):
        found = udf(function)
    else:
        msg = f"a function is expected, not {function!r:.80}"
        raise InvalidUserFunctionError(
            msg, remedy="give what udf, udtf or udaf returns", location=user_location()
        )
    assert isinstance(found, UserDefinedFunctionWrapper)
    return found


class EnvironmentFunctions:
    """Part of TableEnvironment."""

    _session: Session

    def create_temporary_system_function(self, name: str, function: Any) -> None:
        """Register a function under a name that holds in all catalogs."""
        self._session.catalogs.create_function(
            parse_path(name), CatalogFunction("", function=wrapped(function)),
            temporary=True, system=True, replace=True,
        )  # fmt: skip

    def create_temporary_function(self, path: str, function: Any) -> None:
        """Register a function in a catalog and database, for this environment."""
        self._session.catalogs.create_function(
            parse_path(path), CatalogFunction("", function=wrapped(function)),
            temporary=True, replace=True,
        )  # fmt: skip

    def register_function(self, name: str, function: Any) -> None:
        """PyFlink's old name of :meth:`create_temporary_system_function`."""
        self.create_temporary_system_function(name, function)

    def drop_temporary_system_function(self, name: str) -> bool:
        """Forget a function; whether there was one."""
        return self._session.catalogs.drop_function(parse_path(name), system=True)

    def drop_temporary_function(self, path: str) -> bool:
        """Forget a function; whether there was one."""
        return self._session.catalogs.drop_function(parse_path(path), temporary=True)

    def drop_function(self, path: str) -> bool:
        """Forget a function of a catalog; whether there was one."""
        return self._session.catalogs.drop_function(parse_path(path))

    def list_user_defined_functions(self) -> list[str]:
        """Names of users' functions."""
        return users_functions(self._session)

    def list_functions(self) -> list[str]:
        """Names of all functions."""
        return sorted({*users_functions(self._session), *builtin_functions()})

    def create_java_temporary_system_function(
        self, name: str, function_class_name: str
    ) -> NoReturn:
        """There is no JVM."""
        unsupported("create_java_temporary_system_function", "write the function in Python")

    def create_java_temporary_function(self, path: str, function_class_name: str) -> NoReturn:
        """There is no JVM."""
        unsupported("create_java_temporary_function", "write the function in Python")

    def create_java_function(
        self, path: str, function_class_name: str, ignore_if_exists: bool | None = None
    ) -> NoReturn:
        """There is no JVM."""
        unsupported("create_java_function", "write the function in Python")

"""Users' functions: udf, udtf, udaf, udtaf, as decorators or around objects.

>>> @udf
... def shout(text: str) -> str:
...     return text.upper() + "!"
>>> shout
udf shout(STRING) -> STRING
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from lesto.client.datastream.location import user_location
from lesto.client.table.errors import InvalidUserFunctionError
from lesto.client.table.hints import form_of, hints_of, item_of, sql_of
from lesto.client.table.plan.schema import Column, Schema
from lesto.client.table.types import RowType, sql_type
from lesto.common.async_functions import is_async
from lesto.sql import types as t
from lesto.sql.builder import coerce
from lesto.sql.errors import FunctionArgumentsError
from lesto.sql.expressions import Call, Expression
from lesto.sql.type_rules import casts_implicitly
from lesto.sql.types import INTEGER, SqlType, TypeRoot
from lesto.sql.users.aggregates import (
    AggregateFunctionCall,
    TableAggregateCall,
    VectorAggregateCall,
)
from lesto.sql.users.async_scalars import AsyncScalarCall
from lesto.sql.users.calling import UserCall
from lesto.sql.users.functions import (
    AggregateFunction,
    AsyncScalarFunction,
    FunctionContext,
    ImperativeAggregateFunction,
    ScalarFunction,
    TableAggregateFunction,
    TableFunction,
    UserDefinedFunction,
)
from lesto.sql.users.scalars import FORMS, ScalarCall
from lesto.sql.users.tables import TableCall

__all__ = [
    "AggregateFunction",
    "AsyncScalarFunction",
    "FunctionContext",
    "ImperativeAggregateFunction",
    "ScalarFunction",
    "TableAggregateFunction",
    "TableFunction",
    "UserDefinedAggregateFunctionWrapper",
    "UserDefinedAsyncScalarFunctionWrapper",
    "UserDefinedFunction",
    "UserDefinedFunctionWrapper",
    "UserDefinedScalarFunctionWrapper",
    "UserDefinedTableFunctionWrapper",
    "udaf",
    "udf",
    "udtaf",
    "udtf",
]


def refused(message: str, remedy: str = "") -> InvalidUserFunctionError:
    """The error for a function that cannot be one."""
    return InvalidUserFunctionError(message, remedy=remedy, location=user_location())


class UserDefinedFunctionWrapper:
    """A user's function with its types: what a catalog keeps, and what the binder asks.

    Args:
        func: a callable, or an object of one of the base classes.
        input_types: what arguments are cast to; by default they come as they are.
        func_type: one of ``general``, ``arrow``, ``pandas``, ``numpy``; None: by type hints.
        deterministic: whether equal arguments give equal results.
        name: for messages and plans; by default the function's own.
    """

    kind = "udf"
    _calls: tuple[str, ...] = ("eval",)

    def __init__(
        self,
        func: Any,
        input_types: Any = None,
        func_type: str | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> None:
        if inspect.isclass(func) or not (isinstance(func, UserDefinedFunction) or callable(func)):
            what = f"the class {func.__name__}" if inspect.isclass(func) else repr(func)
            msg = f"{self.kind} takes a function or an object with eval, not {what}"
            remedy = f"pass an instance: {func.__name__}()" if inspect.isclass(func) else ""
            raise refused(msg, remedy)
        self._func = func
        self._name = name or getattr(func, "__name__", None) or type(func).__name__
        self._hints, self._result_hint = hints_of(self._method())
        self._func_type = func_type or form_of(self._hints, self._result_hint)
        if self._func_type not in FORMS:
            msg = f"func_type is one of {', '.join(FORMS)}, not {func_type!r}"
            raise refused(msg)
        self._input_types = None if input_types is None else _types(input_types)
        own = func.is_deterministic() if isinstance(func, UserDefinedFunction) else True
        told = isinstance(func, UserDefinedFunction) and deterministic is not None
        if told and deterministic != own:
            msg = f"{self._name}: deterministic={deterministic}, and is_deterministic() says {own}"
            raise refused(msg, "say it in one place")
        self._deterministic = own if deterministic is None else deterministic
        self._made: dict[tuple[SqlType, ...], Any] = {}
        self._alias_names: tuple[str, ...] = ()
        self._takes_row_as_input = False

    def _method(self) -> Callable[..., Any]:
        for name in self._calls:
            found = getattr(self._func, name, None)
            if callable(found):
                return found  # type: ignore[no-any-return]
        return self._func  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        types = self._input_types or [sql_of(h) for h in self._hints]
        listed = ", ".join("ANY" if k is None else str(k) for k in types)
        return f"{self.kind} {self._name}({listed}) -> {self._result_text()}"

    def _result_text(self) -> str:
        return ""

    def __call__(self, *args: Any) -> Any:
        """A call, in expressions of the Table API."""
        from lesto.client.table.expressions import call

        return call(self, *args)

    def alias(self, *alias_names: str) -> UserDefinedFunctionWrapper:
        """The same with names for its results, for ``map``, ``flat_map`` and ``aggregate``."""
        self._alias_names = alias_names
        return self

    @property
    def name(self) -> str:
        """What it is called."""
        return self._name

    # ------------------------------------------------------------------ arguments

    def _arguments(self, name: str, args: Sequence[Expression]) -> tuple[Expression, ...]:
        """The arguments, cast to the types asked for.

        Raises:
            FunctionArgumentsError: their number or types do not fit.
        """
        self._counted(name, len(args))
        wanted = self._input_types
        if wanted is None:
            pairs = zip(args, [*self._hints, *[None] * len(args)], strict=False)
            return tuple(_hinted(name, i, a, h) for i, (a, h) in enumerate(pairs, 1))
        if len(args) != len(wanted):
            msg = f"{name} takes {len(wanted)} arguments, and {len(args)} are given"
            raise FunctionArgumentsError(msg, remedy=f"its input_types are {_listed(wanted)}")
        found = []
        for i, (arg, kind) in enumerate(zip(args, wanted, strict=True), 1):
            if not casts_implicitly(arg.type, kind):
                raise _wrong_argument(name, i, kind, arg)
            found.append(coerce(arg, kind.with_nullable(arg.type.nullable)))
        return tuple(found)

    def _counted(self, name: str, count: int) -> None:
        try:
            signature = inspect.signature(self._method())
        except (TypeError, ValueError):
            return
        try:
            signature.bind(*[None] * (count + self._before))
        except TypeError:
            shown = [p for p in signature.parameters if p not in {"accumulator", "acc"}]
            msg = f"{name} takes ({', '.join(shown)}), and {count} arguments are given"
            raise FunctionArgumentsError(msg, remedy="give as many as it takes") from None

    #: Parameters before those of the query: the accumulator.
    _before = 0

    def _once(self, types: tuple[SqlType, ...], make: Callable[[], UserCall]) -> Any:
        """What operators call; equal calls get the same, so that they are known to be equal."""
        plain = tuple(k.with_nullable(True) for k in types)
        if plain not in self._made:
            self._made[plain] = make()
        return self._made[plain]


def _types(given: Any) -> tuple[SqlType, ...]:
    if isinstance(given, RowType):
        return tuple(sql_type(k) for k in given.field_types())
    if isinstance(given, Iterable) and not isinstance(given, str):
        return tuple(sql_type(k) for k in given)
    return (sql_type(given),)


def _listed(types: Iterable[SqlType]) -> str:
    return "(" + ", ".join(str(k) for k in types) + ")"


def _wrong_argument(name: str, number: int, kind: SqlType, arg: Expression) -> Exception:
    msg = f"argument {number} of {name} is {kind.with_nullable(True)}, and {arg} is {arg.type}"
    return FunctionArgumentsError(msg, remedy=f"write CAST({arg} AS {kind.with_nullable(True)})")


_NUMBERS: Final = {TypeRoot.FLOAT, TypeRoot.DOUBLE, TypeRoot.DECIMAL} | INTEGER


def _hinted(name: str, number: int, arg: Expression, hint: Any) -> Expression:
    """An argument as a hint wants it: an int takes any integer, a float any number."""
    kind = sql_of(hint)
    if kind is None or arg.type.root is TypeRoot.NULL or arg.type.root is kind.root:
        return arg
    if (kind.root is TypeRoot.BIGINT and arg.type.root in INTEGER) or (
        kind.root is TypeRoot.VARCHAR and arg.type.root is TypeRoot.CHAR
    ):
        return arg
    if kind.root is TypeRoot.VARBINARY and arg.type.root is TypeRoot.BINARY:
        return arg
    if kind.root is TypeRoot.TIMESTAMP and arg.type.root is TypeRoot.TIMESTAMP_LTZ:
        return arg
    if kind.root is TypeRoot.DOUBLE and arg.type.root in _NUMBERS:
        return coerce(arg, kind.with_nullable(arg.type.nullable))
    if not casts_implicitly(arg.type, kind):
        raise _wrong_argument(name, number, kind, arg)
    return coerce(arg, kind.with_nullable(arg.type.nullable))


class UserDefinedScalarFunctionWrapper(UserDefinedFunctionWrapper):
    """A scalar function; see :func:`udf`."""

    def __init__(
        self,
        func: Any,
        input_types: Any = None,
        result_type: Any = None,
        func_type: str | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(func, input_types, func_type, deterministic, name)
        self._async = isinstance(func, AsyncScalarFunction) or is_async(self._method())
        found = sql_type(result_type) if result_type is not None else sql_of(self._result_hint)
        if found is None:
            msg = f"the result type of {self._name} is not known"
            raise refused(msg, "write udf(result_type=DataTypes...), or a type hint such as -> int")
        self._result_type = found

    def _result_text(self) -> str:
        return str(self._result_type)

    def bind_scalar(self, name: str, args: Sequence[Expression]) -> Expression:
        """The call, for the binder."""
        values = self._arguments(name, args)
        types = tuple(v.type for v in values)
        return Call(name, values, self._result_type, self._once(types, lambda: self._call(types)))

    def _call(self, types: tuple[SqlType, ...]) -> UserCall:
        how = self._deterministic
        if self._async:
            return AsyncScalarCall(
                self._name, self._func, types, self._result_type, deterministic=how
            )
        return ScalarCall(
            self._name, self._func, types, self._result_type, self._func_type, deterministic=how
        )


#: PyFlink has a class of its own for ``async def``.
UserDefinedAsyncScalarFunctionWrapper = UserDefinedScalarFunctionWrapper


class UserDefinedTableFunctionWrapper(UserDefinedFunctionWrapper):
    """A table function; see :func:`udtf`."""

    kind = "udtf"

    def __init__(
        self,
        func: Any,
        input_types: Any = None,
        result_types: Any = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(func, input_types, "general", deterministic, name)
        self._result = self._row(result_types)

    def _row(self, given: Any) -> SqlType:
        if given is None:
            found = sql_of(item_of(self._result_hint))
            if found is None:
                msg = f"the result types of {self._name} are not known"
                raise refused(msg, "write udtf(result_types=[DataTypes...])")
            kinds = [found]
        elif isinstance(given, (RowType, str)) or not isinstance(given, Iterable):
            kinds = [sql_type(given)]
        else:
            kinds = [sql_type(k) for k in given]
        if len(kinds) == 1 and kinds[0].root is TypeRoot.ROW:
            return kinds[0]
        return t.ROW((f"f{i}", k) for i, k in enumerate(kinds))

    def _result_text(self) -> str:
        return str(self._result)

    def bind_table(
        self, name: str, args: Sequence[Expression]
    ) -> tuple[tuple[Expression, ...], Schema, TableCall]:
        """Arguments, columns, and what operators call."""
        values = self._arguments(name, args)
        types = tuple(v.type for v in values)
        call = self._once(
            types,
            lambda: TableCall(
                self._name, self._func, types, self._result, deterministic=self._deterministic
            ),
        )
        row = self._result
        names = self._alias_names if len(self._alias_names) == len(row.names) else row.names
        columns = [Column(n, k) for n, k in zip(names, row.children, strict=True)]
        return values, Schema.of(columns), call


class UserDefinedAggregateFunctionWrapper(UserDefinedFunctionWrapper):
    """An aggregate, or a table aggregate; see :func:`udaf` and :func:`udtaf`."""

    kind = "udaf"
    _calls = ("accumulate", "eval")

    def __init__(
        self,
        func: Any,
        input_types: Any = None,
        result_type: Any = None,
        accumulator_type: Any = None,
        func_type: str | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
        is_table_aggregate: bool = False,
    ) -> None:
        imperative = isinstance(func, ImperativeAggregateFunction)
        self._imperative = imperative
        self._before = 1 if imperative else 0
        super().__init__(func, input_types, "general" if imperative else func_type,
                         deterministic, name)  # fmt: skip
        if not imperative and self._func_type == "general":
            msg = f"{self._name} must be an AggregateFunction, or take whole columns"
            raise refused(msg, "hint pd.Series, np.ndarray or pa.Array, or give func_type='pandas'")
        if imperative:
            self._hints = self._hints[1:]
        if is_table_aggregate and not isinstance(func, TableAggregateFunction):
            msg = f"udtaf takes a TableAggregateFunction, not {func!r:.80}"
            raise refused(msg)
        self._is_table_aggregate = is_table_aggregate
        self._result_type = self._result(result_type)
        self._accumulator_type = accumulator_type

    def _result(self, given: Any) -> SqlType:
        if given is None and self._imperative:
            method = type(self._func).get_result_type
            if method is not ImperativeAggregateFunction.get_result_type:
                given = self._func.get_result_type()
            else:
                value = getattr(self._func, "get_value", None)
                given = sql_of(hints_of(value)[1]) if value is not None else None
        elif given is None:
            given = sql_of(self._result_hint)
        if given is None:
            msg = f"the result type of {self._name} is not known"
            raise refused(msg, "write udaf(..., result_type=DataTypes...)")
        return sql_type(given)

    def _result_text(self) -> str:
        return str(self._result_type)

    def bind_aggregate(
        self, name: str, args: Sequence[Expression]
    ) -> tuple[tuple[Expression, ...], SqlType, AggregateFunctionCall]:
        """Arguments, type of the result, and what operators call."""
        values = self._arguments(name, args)
        types = tuple(v.type for v in values)
        call = self._once(types, lambda: self._call(types))
        return values, call.value_type.with_nullable(True), call

    def _call(self, types: tuple[SqlType, ...]) -> UserCall:
        result, how = self._result_type, self._deterministic
        if self._is_table_aggregate:
            row = result if result.root is TypeRoot.ROW else t.ROW([("f0", result)])
            return TableAggregateCall(self._name, self._func, types, row, deterministic=how)
        if self._imperative:
            return AggregateFunctionCall(self._name, self._func, types, result, deterministic=how)
        return VectorAggregateCall(
            self._name, self._func, types, result, self._func_type, deterministic=how
        )


# ---------------------------------------------------------------------- decorators


def udf(
    f: Any = None,
    input_types: Any = None,
    result_type: Any = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str | None = None,
) -> Any:
    """A scalar function.

    Args:
        f: a function, an ``async def``, or an object with ``eval``; left out in a decorator.
        input_types: what arguments are cast to; by default they come as they are.
        result_type: a DataType or text; by default the type hint of the result.
        deterministic: whether equal arguments give equal results; True by default.
        name: for messages; by default the function's.
        func_type: ``general`` (a row at a time), ``arrow``, ``pandas`` or ``numpy`` (a batch of
            columns); by default what the type hints say.

    Raises:
        InvalidUserFunctionError: it is no function, or its result type is not known.
    """
    if f is None:
        return functools.partial(
            udf, input_types=input_types, result_type=result_type, deterministic=deterministic,
            name=name, func_type=func_type,
        )  # fmt: skip
    return UserDefinedScalarFunctionWrapper(
        f, input_types, result_type, func_type, deterministic, name
    )


def udtf(
    f: Any = None,
    input_types: Any = None,
    result_types: Any = None,
    deterministic: bool | None = None,
    name: str | None = None,
) -> Any:
    """A table function: it yields or returns rows (tuples, Rows, or values of a single column).

    Args:
        f: a function or an object with ``eval``; left out in a decorator.
        input_types: see :func:`udf`.
        result_types: of the columns: a list, or a ROW; by default the type hint's, as of
            ``Iterator[tuple[str, int]]``.
        deterministic: see :func:`udf`.
        name: see :func:`udf`.
    """
    if f is None:
        return functools.partial(
            udtf, input_types=input_types, result_types=result_types, deterministic=deterministic,
            name=name,
        )  # fmt: skip
    return UserDefinedTableFunctionWrapper(f, input_types, result_types, deterministic, name)


def udaf(
    f: Any = None,
    input_types: Any = None,
    result_type: Any = None,
    accumulator_type: Any = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str | None = None,
) -> Any:
    """An aggregate function: an AggregateFunction, or a function of a group's columns.

    Args:
        f: the function; left out in a decorator.
        input_types: see :func:`udf`.
        result_type: a DataType or text; by default what the object or its hints say.
        accumulator_type: accepted; accumulators are any Python values.
        deterministic: see :func:`udf`.
        name: see :func:`udf`.
        func_type: see :func:`udf`; all rows of a group are kept for a function of columns.
    """
    if f is None:
        return functools.partial(
            udaf, input_types=input_types, result_type=result_type,
            accumulator_type=accumulator_type, deterministic=deterministic, name=name,
            func_type=func_type,
        )  # fmt: skip
    return UserDefinedAggregateFunctionWrapper(
        f, input_types, result_type, accumulator_type, func_type, deterministic, name
    )


def udtaf(
    f: Any = None,
    input_types: Any = None,
    result_type: Any = None,
    accumulator_type: Any = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
) -> Any:
    """A table aggregate function, for ``flat_aggregate``.

    Args:
        f: a TableAggregateFunction; left out in a decorator.
        input_types: see :func:`udf`.
        result_type: a ROW of the columns it emits.
        accumulator_type: accepted; accumulators are any Python values.
        deterministic: see :func:`udf`.
        name: see :func:`udf`.
        func_type: ``general`` alone.
    """
    if func_type != "general":
        msg = f"udtaf has the func_type 'general' alone, not {func_type!r}"
        raise refused(msg)
    if f is None:
        return functools.partial(
            udtaf, input_types=input_types, result_type=result_type,
            accumulator_type=accumulator_type, deterministic=deterministic, name=name,
        )  # fmt: skip
    return UserDefinedAggregateFunctionWrapper(
        f, input_types, result_type, accumulator_type, func_type, deterministic, name, True
    )

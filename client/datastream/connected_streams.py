"""ConnectedStreams: two streams of their own types before one operator that shares its state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lesto.client.datastream import operators
from lesto.client.datastream.checks import (
    check_instance,
    check_type,
    output_schema,
    wrong,
)
from lesto.client.datastream.data_stream import DataStream
from lesto.client.datastream.errors import WrongArgumentError
from lesto.client.datastream.keyed_stream import KeyedStream
from lesto.client.datastream.location import user_location
from lesto.client.datastream.two_inputs import (
    add_two_input,
    check_same_environment,
    check_same_keys,
    refuse_async,
)
from lesto.common.co_functions import (
    CallablesCoFlatMap,
    CallablesCoMap,
    CallablesCoProcess,
    KeyedCoFlatMap,
    KeyedCoMap,
)
from lesto.common.expressions import Column
from lesto.common.functions import (
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    Function,
    KeyedCoProcessFunction,
    KeySelector,
)
from lesto.common.keys import KeySpec
from lesto.common.types import TypeInformation

if TYPE_CHECKING:
    from lesto.client.datastream.environment import StreamExecutionEnvironment

Selector = Callable[[Any], Any] | KeySelector | str | Column | list[str] | tuple[str, ...]
#: A function of each side.
Two = tuple[Callable[..., Any], Callable[..., Any]]


class ConnectedStreams:
    """Two streams whose records go to one operator, each to a function of its own.

    Keyed on both sides, records of equal keys meet in one subtask and share the key's state. Event
    time is the earlier one of the two; a stream that is idle or has ended does not hold it.
    """

    def __init__(self, stream1: DataStream, stream2: DataStream) -> None:
        check_instance("connect", "a DataStream or a BroadcastStream", stream2, DataStream)
        check_same_environment("connect", stream1, stream2)
        if isinstance(stream1, KeyedStream) and isinstance(stream2, KeyedStream):
            check_same_keys("connect", stream1, stream2)
        self.stream1 = stream1
        self.stream2 = stream2

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment."""
        return self.stream1.get_execution_environment()

    def get_first_input(self) -> DataStream:
        """The first stream."""
        return self.stream1

    def get_second_input(self) -> DataStream:
        """The second stream."""
        return self.stream2

    def get_type1(self) -> TypeInformation:
        """Type of the first stream's records."""
        return self.stream1.get_type()

    def get_type2(self) -> TypeInformation:
        """Type of the second stream's records."""
        return self.stream2.get_type()

    def key_by(
        self,
        key_selector1: Selector,
        key_selector2: Selector,
        key_type: TypeInformation | None = None,
    ) -> ConnectedStreams:
        """Key both streams: by selector functions, names of columns or fields, or lists of names.

        Args:
            key_selector1: of the first stream.
            key_selector2: of the second stream; gives keys of the same type.
            key_type: type of the key (not needed).

        Raises:
            JobBuildError: the keys have different types, so that none would ever be equal.
        """
        check_type("key_by", key_type)
        return ConnectedStreams(
            _keyed(self.stream1, key_selector1, key_type),
            _keyed(self.stream2, key_selector2, key_type),
        )

    def map(
        self, func: CoMapFunction | Two, output_type: TypeInformation | None = None
    ) -> DataStream:
        """One record of either stream to one; None is no result.

        Args:
            func: a CoMapFunction, which reaches keyed state when both streams are keyed, or a pair
                of callables.
            output_type: of the results; a row type with names gives columns.
        """
        run = self._given("map", CoMapFunction, CallablesCoMap, func)
        if self._any_key():
            return self._keyed_process("Co-Map", "map", KeyedCoMap(run), func, output_type)
        return self._add("Co-Map", "map", "CoMapOperator", run, func, output_type)

    def flat_map(
        self, func: CoFlatMapFunction | Two, output_type: TypeInformation | None = None
    ) -> DataStream:
        """One record of either stream to any number.

        Args:
            func: a CoFlatMapFunction, which reaches keyed state when both streams are keyed, or a
                pair of callables.
            output_type: of the results; a row type with names gives columns.
        """
        run = self._given("flat_map", CoFlatMapFunction, CallablesCoFlatMap, func)
        if self._any_key():
            adapted = KeyedCoFlatMap(run)
            return self._keyed_process("Co-Flat Map", "flat_map", adapted, func, output_type)
        return self._add("Co-Flat Map", "flat_map", "CoFlatMapOperator", run, func, output_type)

    def process(
        self,
        func: CoProcessFunction | KeyedCoProcessFunction | Two,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """The general function: side outputs; with keys on both sides state and timers.

        With a key on one side only, state and timers are there for that side's records.

        Args:
            func: a KeyedCoProcessFunction (both streams keyed), a CoProcessFunction, or a pair of
                callables that take a value and the context.
            output_type: of the results; a row type with names gives columns.
        """
        if isinstance(func, KeyedCoProcessFunction):
            self._require_keys(func)
            run: Any = func
        else:
            run = self._given("process", CoProcessFunction, CallablesCoProcess, func)
        if not self._any_key():
            return self._add("Co-Process", "process", "CoProcessOperator", run, func, output_type)
        return self._keyed_process("Keyed Co-Process", "process", run, func, output_type)

    # ------------------------------------------------------------------------------------- details

    def _is_keyed_stream(self) -> bool:
        return isinstance(self.stream1, KeyedStream) and isinstance(self.stream2, KeyedStream)

    def _any_key(self) -> bool:
        return isinstance(self.stream1, KeyedStream) or isinstance(self.stream2, KeyedStream)

    def _require_keys(self, func: Function) -> None:
        unkeyed = [
            name
            for name, stream in (("first", self.stream1), ("second", self.stream2))
            if not isinstance(stream, KeyedStream)
        ]
        if unkeyed:
            which = "neither stream is" if len(unkeyed) == 2 else f"the {unkeyed[0]} stream is not"
            msg = f"process({type(func).__name__}) needs keys on both streams, but {which} keyed"
            raise WrongArgumentError(
                msg,
                remedy="call connect(...).key_by(first, second) before, or use a CoProcessFunction",
                location=user_location(),
            )

    def _given(self, method: str, kind: type[Function], pair: type[Any], func: Any) -> Any:
        if isinstance(func, tuple):
            if len(func) != 2:
                wrong(method, f"a {kind.__name__} or a pair of callables", func)
            for one in func:
                if isinstance(one, Function) or not callable(one):
                    wrong(method, f"a {kind.__name__} or a pair of callables", one)
            return pair(*func)
        if not isinstance(func, kind):
            wrong(method, f"a {kind.__name__} or a pair of callables", func)
        return func

    def _check_sync(self, method: str, given: Any) -> None:
        functions = given if isinstance(given, tuple) else (given,)
        refuse_async(f"connect(...).{method}", *functions)

    def _add(
        self,
        label: str,
        method: str,
        operator: str,
        run: Any,
        given: Any,
        output_type: TypeInformation | None,
    ) -> DataStream:
        self._check_sync(method, given)
        return add_two_input(
            self.stream1,
            self.stream2,
            label,
            operators.two_input(operator, run),
            output_schema(method, output_type),
            functions=given if isinstance(given, tuple) else (given,),
            type_info=output_type,
        )

    def _keyed_process(
        self,
        label: str,
        method: str,
        run: Any,
        given: Any,
        output_type: TypeInformation | None,
    ) -> DataStream:
        self._check_sync(method, given)
        return add_two_input(
            self.stream1,
            self.stream2,
            label,
            operators.keyed_co_process(run, _key_of(self.stream1), _key_of(self.stream2)),
            output_schema(method, output_type),
            functions=given if isinstance(given, tuple) else (given,),
            keyed=True,
            type_info=output_type,
        )


def _key_of(stream: DataStream) -> KeySpec | None:
    return stream._key if isinstance(stream, KeyedStream) else None


def _keyed(stream: DataStream, selector: Selector, key_type: TypeInformation | None) -> KeyedStream:
    plain = stream._origin if isinstance(stream, KeyedStream) else stream
    if isinstance(selector, (list, tuple)):
        if not selector:
            wrong("key_by", "at least one name", selector)
        first, *others = selector
        if not others:
            return plain.key_by(first, key_type)
        return plain.key_by(first, *others)
    return plain.key_by(selector, key_type)

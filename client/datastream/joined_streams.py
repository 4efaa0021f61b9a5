"""Window joins: two streams, grouped by key and window.

As in Flink, both streams become one of tagged records, and the window's function takes them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from lesto.client.datastream.checks import (
    check_function,
    check_instance,
    check_type,
    output_schema,
    unsupported,
)
from lesto.client.datastream.errors import JobBuildError
from lesto.client.datastream.location import user_location
from lesto.client.datastream.windowed_stream import WindowedStream, WindowSettings
from lesto.common.expressions import Column
from lesto.common.functions import KeySelector, as_callable
from lesto.common.keys import FieldKeySelector
from lesto.common.types import TypeInformation
from lesto.common.window_functions import CoGroupFunction, FlatJoinFunction, JoinFunction
from lesto.common.windowing import WindowAssigner

if TYPE_CHECKING:
    from lesto.client.datastream.data_stream import DataStream
    from lesto.client.datastream.environment import StreamExecutionEnvironment
    from lesto.client.datastream.keyed_stream import KeyedStream

Key = Callable[[Any], Any] | KeySelector | str | Column | tuple[str, ...]


class _Pair:
    """Two streams that are to be grouped by key and window."""

    _method: str

    def __init__(self, first: DataStream, second: DataStream) -> None:
        if first._env is not second._env:
            msg = f"{self._method}: the streams belong to different environments"
            raise JobBuildError(msg, location=user_location())
        self._first = first
        self._second = second

    def _selector(self, method: str, stream: DataStream, key: Any) -> Callable[[Any], Any]:
        if isinstance(key, (str, Column, tuple)):
            given = key if isinstance(key, tuple) else (key,)
            names = [stream._column_name(method, name) for name in given]
            stream._column_key(names)  # they exist
            return FieldKeySelector(tuple(names))
        check_function(method, KeySelector, key)
        return as_callable(key, KeySelector)


class JoinedStreams(_Pair):
    """``first.join(second)``: give it the first stream's key."""

    _method = "join"

    def where(self, key_selector: Key, key_type: TypeInformation | None = None) -> JoinedWhere:
        """The key of the first stream: a function, or the names of columns or fields."""
        check_type("where", key_type)
        return JoinedWhere(self, self._selector("where", self._first, key_selector))


class CoGroupedStreams(_Pair):
    """``first.co_group(second)``: give it the first stream's key."""

    _method = "co_group"

    def where(self, key_selector: Key, key_type: TypeInformation | None = None) -> CoGroupedWhere:
        """The key of the first stream: a function, or the names of columns or fields."""
        check_type("where", key_type)
        return CoGroupedWhere(self, self._selector("where", self._first, key_selector))


class _Where:
    def __init__(self, streams: _Pair, key: Callable[[Any], Any]) -> None:
        self._streams = streams
        self._key = key

    def _keys(self, key_selector: Any, key_type: Any) -> tuple[Callable[[Any], Any], ...]:
        check_type("equal_to", key_type)
        streams = self._streams
        return (self._key, streams._selector("equal_to", streams._second, key_selector))

    def window(self, assigner: Any) -> Any:
        """Not yet: the second stream's key is missing.

        Raises:
            JobBuildError: always.
        """
        msg = "window(...) of a join comes behind equal_to(...): the second stream has no key yet"
        raise JobBuildError(
            msg, remedy="a.join(b).where(key).equal_to(key).window(...)", location=user_location()
        )


class JoinedWhere(_Where):
    """The first stream's key is known: give the second's."""

    def equal_to(self, key_selector: Key, key_type: TypeInformation | None = None) -> JoinedKeys:
        """The key of the second stream."""
        return JoinedKeys(self._streams, self._keys(key_selector, key_type))


class CoGroupedWhere(_Where):
    """The first stream's key is known: give the second's."""

    def equal_to(self, key_selector: Key, key_type: TypeInformation | None = None) -> CoGroupedKeys:
        """The key of the second stream."""
        return CoGroupedKeys(self._streams, self._keys(key_selector, key_type))


class _Keys:
    def __init__(self, streams: _Pair, keys: tuple[Callable[[Any], Any], ...]) -> None:
        self._streams = streams
        self._keys = keys


class JoinedKeys(_Keys):
    """Both keys are known: give the windows."""

    def window(self, assigner: WindowAssigner[Any, Any]) -> JoinedWindows:
        """The windows in which records meet."""
        check_instance("window", "a WindowAssigner", assigner, WindowAssigner)
        return JoinedWindows(self._streams, self._keys, assigner)


class CoGroupedKeys(_Keys):
    """Both keys are known: give the windows."""

    def window(self, assigner: WindowAssigner[Any, Any]) -> CoGroupedWindows:
        """The windows in which records meet."""
        check_instance("window", "a WindowAssigner", assigner, WindowAssigner)
        return CoGroupedWindows(self._streams, self._keys, assigner)


class _PairWindows(WindowedStream):
    """Windows of tagged records."""

    def __init__(
        self,
        streams: _Pair,
        keys: tuple[Callable[[Any], Any], ...],
        assigner: WindowAssigner[Any, Any],
    ) -> None:
        WindowSettings.__init__(self, assigner)
        self._streams = streams
        self._keys = keys
        self._method = streams._method

    @cached_property
    def _keyed(self) -> KeyedStream:  # type: ignore[override]
        """Both streams as one of tagged records; made when it is used."""
        from lesto.taskmanager.operators.window_joins import TagFirst, TaggedKey, TagSecond

        streams = self._streams
        tagged = streams._first.map(TagFirst()).name(f"{streams._method}: first")
        others = streams._second.map(TagSecond()).name(f"{streams._method}: second")
        return tagged.union(others).key_by(TaggedKey(*self._keys))

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment."""
        return self._streams._first.get_execution_environment()

    def side_output_late_data(self, output_tag: Any) -> Self:
        """Not with two streams, as in Flink: late records are counted and dropped."""
        unsupported(
            f"side_output_late_data of a {self._method}",
            "allow lateness, or set late records aside before with a process function",
        )

    def _apply(self, run: Any, given: Any, output_type: TypeInformation | None) -> DataStream:
        schema = output_schema("apply", output_type)
        return self._window(self._method, schema, output_type, window_fn=run, functions=(given,))


class JoinedWindows(_PairWindows):
    """Windows of two streams whose records are joined pair by pair."""

    def apply(
        self,
        window_function: JoinFunction[Any, Any, Any]
        | FlatJoinFunction[Any, Any, Any]
        | Callable[[Any, Any], Any],
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """One result a pair (a JoinFunction or a callable), or any number (a FlatJoinFunction).

        Results have the last millisecond of their window as event time.
        """
        from lesto.taskmanager.operators.window_joins import FlatJoinWindow, JoinWindow

        if isinstance(window_function, FlatJoinFunction):
            return self._apply(FlatJoinWindow(window_function), window_function, output_type)
        check_function("apply", JoinFunction, window_function)
        return self._apply(JoinWindow(window_function), window_function, output_type)

    def columns(self, suffix: str = "_right") -> DataStream:
        """The pairs as columns, without entering Python for a record.

        The first stream's columns, then the second's without its keys of the same names. Both
        streams need columns, and keys by column name of equal types; windows must be tumbling or
        sliding in event time, with the default trigger.

        Args:
            suffix: for columns of the second stream whose names the first has.

        Raises:
            SchemaRequiredError: a stream carries opaque Python values, or a key is a function.
            WrongArgumentError: the keys have different types, or two columns get one name.
            UnsupportedWindowError: the windows are of another kind.
        """
        from lesto.client.datastream.column_joins import join_columns

        for what, given in (
            ("a trigger", self._trigger),
            ("an evictor", self._evictor),
            ("allowed lateness", self._allowed_lateness_ms),
        ):
            if given:
                unsupported(f"a join of columns with {what}", "use apply(...)")
        check_instance("columns", "a text", suffix, str)
        streams = self._streams
        return join_columns(streams._first, streams._second, self._keys, self._assigner, suffix)


class CoGroupedWindows(_PairWindows):
    """Windows of two streams whose records are given in two groups."""

    def apply(
        self,
        window_function: CoGroupFunction[Any, Any, Any] | Callable[[list[Any], list[Any]], Any],
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Any number of results for each key and window; either group may be empty.

        Results have the last millisecond of their window as event time.
        """
        from lesto.taskmanager.operators.window_joins import CoGroupWindow

        check_function("apply", CoGroupFunction, window_function)
        return self._apply(CoGroupWindow(window_function), window_function, output_type)

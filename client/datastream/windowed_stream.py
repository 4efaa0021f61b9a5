"""WindowedStream and AllWindowedStream: a stream cut into windows, before it is told what to
compute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from lesto.client.datastream import operators
from lesto.client.datastream.checks import (
    check_function,
    check_instance,
    located,
    output_schema,
    unsupported,
    wrong,
)
from lesto.client.datastream.data_stream import DataStream
from lesto.client.datastream.errors import JobBuildError
from lesto.client.datastream.location import user_location
from lesto.common.checking import is_a
from lesto.common.evaluator import resolve_column
from lesto.common.evictors import Evictor
from lesto.common.expressions import Expr
from lesto.common.functions import (
    AggregateFunction,
    AllWindowFunction,
    Function,
    OutputTag,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    ReduceFunction,
    WindowFunction,
)
from lesto.common.time import DurationLike, duration_ms
from lesto.common.triggers import NeverTrigger, Trigger
from lesto.common.types import TypeInformation
from lesto.common.windowing import (
    EventTimeSessionWindows,
    MergingWindowAssigner,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
    WindowAssigner,
)

if TYPE_CHECKING:
    from lesto.client.datastream.environment import StreamExecutionEnvironment
    from lesto.client.datastream.keyed_stream import KeyedStream

#: Window kinds that column aggregates compute.
COLUMNAR_ASSIGNERS = (TumblingEventTimeWindows, SlidingEventTimeWindows, EventTimeSessionWindows)


class WindowSettings:
    """What can be set on windows of any stream; each setting returns the windows, to go on with."""

    def __init__(self, window_assigner: WindowAssigner[Any, Any]) -> None:
        self._assigner = window_assigner
        self._trigger: Trigger[Any, Any] | None = None
        self._evictor: Evictor[Any, Any] | None = None
        self._allowed_lateness_ms = 0
        self._late_tag: OutputTag | None = None

    def trigger(self, trigger: Trigger[Any, Any]) -> Self:
        """When windows give results, in place of the assigner's default.

        Raises:
            JobBuildError: the windows merge and the trigger cannot.
        """
        check_instance("trigger", "a Trigger", trigger, Trigger)
        self._check_merges(trigger)
        self._trigger = trigger
        return self

    def _check_merges(self, trigger: Trigger[Any, Any]) -> None:
        if isinstance(self._assigner, MergingWindowAssigner) and not trigger.can_merge():
            msg = f"{type(trigger).__name__} cannot merge, as session windows need"
            raise JobBuildError(
                msg,
                remedy="give it can_merge() and on_merge(), or use windows that do not merge",
                location=user_location(),
            )

    def _check_fires(self, env: StreamExecutionEnvironment) -> None:
        """The default trigger, if it is used, fits the windows and fires at some time."""
        if self._trigger is not None:
            return
        default = self._assigner.get_default_trigger(env)
        if not is_a(default, Trigger):
            name = type(self._assigner).__name__
            wrong(f"{name}.get_default_trigger", "nothing to return but a Trigger", default)
        self._check_merges(default)
        if type(default) is NeverTrigger:
            msg = f"windows by {type(self._assigner).__name__} never give a result"
            raise JobBuildError(
                msg,
                remedy="give them a trigger, for example .trigger(CountTrigger.of(100)), or use"
                " GlobalWindows.create_with_end_of_stream_trigger()",
                location=user_location(),
            )

    def evictor(self, evictor: Evictor[Any, Any]) -> Self:
        """What leaves a window before or after its function sees it.

        The window then keeps all its records: reduce and aggregate functions run when it fires.
        """
        self._evictor = check_instance("evictor", "an Evictor", evictor, Evictor)
        return self

    def allowed_lateness(self, time_ms: DurationLike) -> Self:
        """Keep a window this long after its end for late records; each then gives a new result."""
        self._allowed_lateness_ms = located(
            lambda: duration_ms(time_ms, "lateness"), "allowed_lateness"
        )
        return self

    def side_output_late_data(self, output_tag: OutputTag) -> Self:
        """Send records that come too late for any window to a side output, instead of dropping
        them.
        """
        self._late_tag = check_instance(
            "side_output_late_data", "an OutputTag", output_tag, OutputTag
        )
        return self

    def _late_id(self) -> str | None:
        return None if self._late_tag is None else self._late_tag.tag_id


class _Windows(WindowSettings):
    """What both kinds of windowed streams compute."""

    _label = "Window"
    #: What ``apply`` and ``process`` take.
    _applied: type[Function]
    _processed: type[Function]

    def __init__(self, keyed: KeyedStream, window_assigner: WindowAssigner[Any, Any]) -> None:
        super().__init__(window_assigner)
        self._keyed = keyed

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment."""
        return self._keyed.get_execution_environment()

    def get_input_type(self) -> TypeInformation:
        """Type of the records."""
        return self._keyed.get_type()

    # ------------------------------------------------------------------------------------- results

    def reduce(
        self,
        reduce_function: Callable[[Any, Any], Any] | ReduceFunction,
        window_function: Any = None,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Reduce each window's records as they come; ``window_function`` sees the one result."""
        check_function("reduce", ReduceFunction, reduce_function)
        self._check_window_function("reduce", window_function)
        schema = output_schema("reduce", output_type)
        if output_type is None and window_function is None:
            schema, output_type = self._keyed.schema, self._keyed._type_info
        return self._window(
            "reduce", schema, output_type, reduce_fn=reduce_function, window_fn=window_function
        )

    def aggregate(
        self,
        aggregate_function: AggregateFunction[Any, Any, Any],
        window_function: Any = None,
        accumulator_type: TypeInformation | None = None,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Aggregate each window's records as they come; ``window_function`` sees the one result."""
        check_function("aggregate", AggregateFunction, aggregate_function, plain=False)
        self._check_window_function("aggregate", window_function)
        output_schema("aggregate", accumulator_type)
        return self._window(
            "aggregate",
            output_schema("aggregate", output_type),
            output_type,
            aggregate_fn=aggregate_function,
            window_fn=window_function,
        )

    def apply(self, window_function: Any, output_type: TypeInformation | None = None) -> DataStream:
        """Keep each window's records and give them to the function when it fires."""
        check_function("apply", self._applied, window_function, plain=False)
        schema = output_schema("apply", output_type)
        return self._window("apply", schema, output_type, window_fn=window_function)

    def process(
        self, process_window_function: Any, output_type: TypeInformation | None = None
    ) -> DataStream:
        """Keep each window's records and give them to the function when it fires, with time and
        state.
        """
        check_function("process", self._processed, process_window_function, plain=False)
        schema = output_schema("process", output_type)
        return self._window("process", schema, output_type, window_fn=process_window_function)

    def sum(self, position_to_sum: int | str = 0) -> DataStream:
        """The window's first record, with the field replaced by the sum."""
        return self._field("sum", position_to_sum)

    def min(self, position_to_min: int | str = 0) -> DataStream:
        """The window's first record, with the field replaced by the minimum."""
        return self._field("min", position_to_min)

    def max(self, position_to_max: int | str = 0) -> DataStream:
        """The window's first record, with the field replaced by the maximum."""
        return self._field("max", position_to_max)

    def min_by(self, position_to_min_by: int | str = 0) -> DataStream:
        """The window's record with the smallest value in the field; the first of equals."""
        return self._field("min_by", position_to_min_by)

    def max_by(self, position_to_max_by: int | str = 0) -> DataStream:
        """The window's record with the largest value in the field; the first of equals."""
        return self._field("max_by", position_to_max_by)

    # ------------------------------------------------------------------------------------- details

    def _field(self, kind: str, field: int | str) -> DataStream:
        if not is_a(field, int, str) or is_a(field, bool):
            wrong(kind, "a field position or name", field)
        keyed = self._keyed
        schema = keyed.schema
        if schema is not None:
            if isinstance(field, int):
                if not 0 <= field < len(schema):
                    wrong(kind, f"a position from 0 to {len(schema) - 1}", field)
                field = str(schema.names[field])
            resolve_column(field, schema, stream=keyed._stream_name(), location=user_location())
        from lesto.taskmanager.operators.field_reduce import FieldReduce

        return self._window(kind, schema, keyed._type_info, reduce_fn=FieldReduce(kind, field))

    def _check_window_function(self, method: str, function: Any) -> None:
        kinds = (self._applied, self._processed)
        if function is not None and not isinstance(function, kinds):
            names = " or ".join(kind.__name__ for kind in kinds)
            wrong(method, f"a {names} as second", function)

    def _window(
        self,
        method: str,
        schema: Any,
        type_info: TypeInformation | None,
        *,
        reduce_fn: Any = None,
        aggregate_fn: Any = None,
        window_fn: Any = None,
        functions: tuple[Any, ...] | None = None,
    ) -> DataStream:
        self._check_fires(self.get_execution_environment())
        factory = operators.window(
            self._keyed._key,
            self._assigner,
            self._trigger,
            self._allowed_lateness_ms,
            self._late_id(),
            reduce_fn,
            aggregate_fn,
            window_fn,
            self._evictor,
        )
        given = (reduce_fn, aggregate_fn, window_fn) if functions is None else functions
        given = (*given, self._trigger, self._evictor, self._assigner)
        label = f"{self._label}({type(self._assigner).__name__}, {method})"
        return self._keyed._add(
            label,
            factory,
            schema,
            functions=tuple(f for f in given if f is not None),
            keyed=True,
            type_info=type_info,
        )


class WindowedStream(_Windows):
    """Windows of a keyed stream."""

    _applied = WindowFunction
    _processed = ProcessWindowFunction

    def __init__(
        self, keyed_stream: KeyedStream, window_assigner: WindowAssigner[Any, Any]
    ) -> None:
        super().__init__(keyed_stream, window_assigner)

    def agg(self, *aggregates: Expr, **named: Expr) -> DataStream:
        """Aggregate columns in each window, without entering Python for a record.

        ``.agg(count(), col("delay").mean().alias("delay"), window_start())``; the key columns come
        first.

        Raises:
            ExpressionError: an unknown column, or something that is not an aggregate.
        """
        from lesto.client.datastream.column_aggregates import check_aggregates, window_schema

        schema = self._keyed._columns("agg")
        if not isinstance(self._assigner, COLUMNAR_ASSIGNERS):
            unsupported(
                f"agg with {type(self._assigner).__name__}",
                "use tumbling, sliding or fixed-gap session event-time windows, or aggregate(...)",
            )
        for what, given in (("a trigger", self._trigger), ("an evictor", self._evictor)):
            if given is not None:
                unsupported(f"agg with {what}", "use aggregate(...) or process(...)")
        chosen = check_aggregates("agg", aggregates, named)
        keys = self._keyed._key.columns
        result = window_schema(schema, keys, self._assigner, chosen)
        factory = operators.window_aggregate(
            keys, self._assigner, chosen, self._allowed_lateness_ms, self._late_id()
        )
        label = f"Window({type(self._assigner).__name__})"
        text = f"{self._assigner}: {', '.join(map(str, chosen))}"
        return self._keyed._add(label, factory, result, keyed=True, description=text)


class AllWindowedStream(_Windows):
    """Windows of a whole stream: one subtask computes them all."""

    _label = "AllWindow"
    _applied = AllWindowFunction
    _processed = ProcessAllWindowFunction

    def __init__(self, data_stream: DataStream, window_assigner: WindowAssigner[Any, Any]) -> None:
        from lesto.client.datastream.whole_stream import whole_stream

        super().__init__(whole_stream(data_stream), window_assigner)

    def _window(self, *args: Any, **kwargs: Any) -> DataStream:
        return super()._window(*args, **kwargs).force_non_parallel()


def count_assigner(method: str, size: int, slide: int) -> WindowAssigner[Any, Any]:
    """Windows by the number of records."""
    from lesto.taskmanager.operators.count_windows import (
        CountSlidingWindowAssigner,
        CountTumblingWindowAssigner,
    )

    for name, value, least in (("size", size, 1), ("slide", slide, 0)):
        if not is_a(value, int) or is_a(value, bool) or value < least:
            wrong(method, f"a {name} of at least {least}", value)
    if slide:
        return CountSlidingWindowAssigner.of(size, slide)
    return CountTumblingWindowAssigner.of(size)

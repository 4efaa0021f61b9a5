"""WindowedStream: a keyed stream cut into windows, before it is told what to compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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
from lesto.common.expressions import Expr
from lesto.common.functions import (
    AggregateFunction,
    OutputTag,
    ProcessWindowFunction,
    ReduceFunction,
    WindowFunction,
)
from lesto.common.time import DurationLike, duration_ms
from lesto.common.triggers import Trigger
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


class WindowedStream:
    """Windows of a keyed stream."""

    def __init__(
        self, keyed_stream: KeyedStream, window_assigner: WindowAssigner[Any, Any]
    ) -> None:
        self._keyed = keyed_stream
        self._assigner = window_assigner
        self._trigger: Trigger[Any, Any] | None = None
        self._allowed_lateness_ms = 0
        self._late_tag: OutputTag | None = None

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment."""
        return self._keyed.get_execution_environment()

    def get_input_type(self) -> TypeInformation:
        """Type of the records."""
        return self._keyed.get_type()

    # ------------------------------------------------------------------------------------ settings

    def trigger(self, trigger: Trigger[Any, Any]) -> WindowedStream:
        """When windows give results, in place of the assigner's default."""
        check_instance("trigger", "a Trigger", trigger, Trigger)
        if isinstance(self._assigner, MergingWindowAssigner) and not trigger.can_merge():
            msg = f"{type(trigger).__name__} cannot merge, as session windows need"
            raise JobBuildError(msg, location=user_location())
        self._trigger = trigger
        return self

    def allowed_lateness(self, time_ms: DurationLike) -> WindowedStream:
        """Keep a window this long after its end for late records; each then gives a new result."""
        self._allowed_lateness_ms = located(
            lambda: duration_ms(time_ms, "lateness"), "allowed_lateness"
        )
        return self

    def side_output_late_data(self, output_tag: OutputTag) -> WindowedStream:
        """Send records that come too late for any window to a side output, instead of dropping
        them.
        """
        self._late_tag = check_instance(
            "side_output_late_data", "an OutputTag", output_tag, OutputTag
        )
        return self

    def evictor(self, evictor: Any) -> WindowedStream:
        """Not supported yet."""
        unsupported("WindowedStream.evictor")

    # ------------------------------------------------------------------------------------- results

    def reduce(
        self,
        reduce_function: Callable[[Any, Any], Any] | ReduceFunction,
        window_function: WindowFunction[Any, Any, Any, Any]
        | ProcessWindowFunction[Any, Any, Any, Any]
        | None = None,
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
        window_function: WindowFunction[Any, Any, Any, Any]
        | ProcessWindowFunction[Any, Any, Any, Any]
        | None = None,
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

    def apply(
        self,
        window_function: WindowFunction[Any, Any, Any, Any],
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Keep each window's records and give them to the function at its end."""
        check_function("apply", WindowFunction, window_function, plain=False)
        schema = output_schema("apply", output_type)
        return self._window("apply", schema, output_type, window_fn=window_function)

    def process(
        self,
        process_window_function: ProcessWindowFunction[Any, Any, Any, Any],
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Keep each window's records and give them to the function at its end, with time and
        state.
        """
        check_function("process", ProcessWindowFunction, process_window_function, plain=False)
        schema = output_schema("process", output_type)
        return self._window("process", schema, output_type, window_fn=process_window_function)

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
        if self._trigger is not None:
            unsupported("agg with a trigger", "use aggregate(...) or process(...)")
        chosen = check_aggregates("agg", aggregates, named)
        keys = self._keyed._key.columns
        result = window_schema(schema, keys, self._assigner, chosen)
        factory = operators.window_aggregate(
            keys, self._assigner, chosen, self._allowed_lateness_ms, self._late_id()
        )
        label = f"Window({type(self._assigner).__name__})"
        text = f"{self._assigner}: {', '.join(map(str, chosen))}"
        return self._keyed._add(label, factory, result, keyed=True, description=text)

    # ------------------------------------------------------------------------------------- details

    def _late_id(self) -> str | None:
        return None if self._late_tag is None else self._late_tag.tag_id

    def _check_window_function(self, method: str, function: Any) -> None:
        if function is not None and not isinstance(
            function, (WindowFunction, ProcessWindowFunction)
        ):
            wrong(method, "a WindowFunction or ProcessWindowFunction as second", function)

    def _window(
        self,
        method: str,
        schema: Any,
        type_info: TypeInformation | None,
        *,
        reduce_fn: Any = None,
        aggregate_fn: Any = None,
        window_fn: Any = None,
    ) -> DataStream:
        factory = operators.window(
            self._keyed._key,
            self._assigner,
            self._trigger,
            self._allowed_lateness_ms,
            self._late_id(),
            reduce_fn,
            aggregate_fn,
            window_fn,
        )
        given = (reduce_fn, aggregate_fn, window_fn, self._trigger, self._assigner)
        label = f"Window({type(self._assigner).__name__}, {method})"
        return self._keyed._add(
            label,
            factory,
            schema,
            functions=tuple(f for f in given if f is not None),
            keyed=True,
            type_info=type_info,
        )

"""Interval joins: records of two keyed streams whose times lie within bounds of each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from lesto.client.datastream import operators
from lesto.client.datastream.checks import (
    check_function,
    check_instance,
    located,
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
from lesto.common.checking import is_a
from lesto.common.co_functions import ProcessJoinFunction
from lesto.common.functions import Function, OutputTag
from lesto.common.time import DurationLike, signed_duration_ms
from lesto.common.types import TypeInformation, from_arrow_schema

#: Names of equal columns: of the left stream as they are, of the right one with this behind them.
SUFFIXES = ("", "_right")


class IntervalJoin:
    """Two keyed streams to be joined; ``between`` says how far apart their times may be."""

    def __init__(self, stream_one: KeyedStream, stream_two: KeyedStream) -> None:
        if is_a(stream_two, DataStream) and not is_a(stream_two, KeyedStream):
            msg = "interval_join: the other stream is not keyed"
            raise WrongArgumentError(
                msg, remedy="call key_by(...) on it too", location=user_location()
            )
        check_instance("interval_join", "a KeyedStream", stream_two, KeyedStream)
        check_same_environment("interval_join", stream_one, stream_two)
        check_same_keys("interval_join", stream_one, stream_two)
        self._left = stream_one
        self._right = stream_two
        self._event_time = True

    def in_event_time(self) -> IntervalJoin:
        """Times are event time: the default."""
        self._event_time = True
        return self

    def in_processing_time(self) -> IntervalJoin:
        """Times are those at which records arrive at the join; results have no event time."""
        self._event_time = False
        return self

    def between(self, lower_bound: DurationLike, upper_bound: DurationLike) -> IntervalJoined:
        """Join where ``left.time + lower_bound <= right.time <= left.time + upper_bound``.

        Args:
            lower_bound: any duration, also a negative one (``"-5s"``, milliseconds).
            upper_bound: not below ``lower_bound``.
        """
        lower = located(lambda: signed_duration_ms(lower_bound, "lower bound"), "between")
        upper = located(lambda: signed_duration_ms(upper_bound, "upper bound"), "between")
        return IntervalJoined(self._left, self._right, lower, upper, event_time=self._event_time)


class IntervalJoined:
    """An interval join with its bounds, before it is told what to make of the pairs."""

    def __init__(
        self,
        left: KeyedStream,
        right: KeyedStream,
        lower_bound: int,
        upper_bound: int,
        lower_bound_inclusive: bool = True,
        upper_bound_inclusive: bool = True,
        *,
        event_time: bool = True,
    ) -> None:
        self._left = left
        self._right = right
        self._lower = lower_bound
        self._upper = upper_bound
        self._lower_inclusive = lower_bound_inclusive
        self._upper_inclusive = upper_bound_inclusive
        self._event_time = event_time
        self._late_tags: list[str | None] = [None, None]
        self._bounds("between")

    # ------------------------------------------------------------------------------------ settings

    def lower_bound_exclusive(self) -> IntervalJoined:
        """Leave out pairs that are exactly the lower bound apart."""
        self._lower_inclusive = False
        self._bounds("lower_bound_exclusive")
        return self

    def upper_bound_exclusive(self) -> IntervalJoined:
        """Leave out pairs that are exactly the upper bound apart."""
        self._upper_inclusive = False
        self._bounds("upper_bound_exclusive")
        return self

    def side_output_left_late_data(self, output_tag: OutputTag) -> IntervalJoined:
        """Send late records of the left stream to a side output, instead of dropping them."""
        return self._late(0, "side_output_left_late_data", output_tag)

    def side_output_right_late_data(self, output_tag: OutputTag) -> IntervalJoined:
        """Send late records of the right stream to a side output, instead of dropping them."""
        return self._late(1, "side_output_right_late_data", output_tag)

    # ------------------------------------------------------------------------------------- results

    def process(
        self, process_join_function: ProcessJoinFunction, output_type: TypeInformation | None = None
    ) -> DataStream:
        """Give each pair to a function; results have the larger of both times.

        Args:
            process_join_function: ``process_element(left, right, ctx)`` yields results.
            output_type: of the results; a row type with names gives columns.
        """
        check_function("process", ProcessJoinFunction, process_join_function, plain=False)
        return self._rows("process", process_join_function, output_type)

    def apply(
        self, func: Callable[[Any, Any], Any], output_type: TypeInformation | None = None
    ) -> DataStream:
        """One result for each pair: ``func(left, right)``.

        Args:
            func: a callable, or an object with ``join(left, right)``.
            output_type: of the results; a row type with names gives columns.
        """
        joins = callable(getattr(func, "join", None))
        if not joins and (is_a(func, Function) or not callable(func)):
            wrong("apply", "a callable, or an object with join(left, right)", func)
        return self._rows("apply", func, output_type)

    def join(
        self,
        func: Callable[[Any, Any], Any] | None = None,
        output_type: TypeInformation | None = None,
        *,
        suffixes: tuple[str, str] = SUFFIXES,
    ) -> DataStream:
        """With a function as ``apply``; without one the pairs themselves.

        Of two streams with columns, keyed by columns, the result has the columns of both: the key
        columns once where they have one name, others of one name with ``suffixes``. No record
        enters Python. Of other streams the result is ``(left, right)``.

        Args:
            func: a callable of two records.
            output_type: of the results of ``func``.
            suffixes: of columns that both streams have.
        """
        if func is not None:
            return self.apply(func, output_type)
        left, right = self._left, self._right
        if left.schema is None or right.schema is None or not self._has_columns():
            return self._rows("join", None, output_type)
        plan = _merged(left, right, suffixes)
        lower, upper = self._bounds("join")
        factory = operators.columnar_interval_join(
            left._key.columns,
            right._key.columns,
            lower,
            upper,
            plan,
            self._event_time,
            tuple(self._late_tags),
        )
        schema = plan.schema(left.schema, right.schema)
        return add_two_input(
            left,
            right,
            "Columnar Interval Join",
            factory,
            schema,
            keyed=True,
            type_info=from_arrow_schema(schema),
            description=f"{lower} ms <= right - left <= {upper} ms",
        )

    # ------------------------------------------------------------------------------------- details

    def _has_columns(self) -> bool:
        return bool(self._left._key.columns and self._right._key.columns)

    def _bounds(self, method: str) -> tuple[int, int]:
        """The bounds, both inclusive."""
        lower = self._lower if self._lower_inclusive else self._lower + 1
        upper = self._upper if self._upper_inclusive else self._upper - 1
        if lower > upper:
            msg = (
                f"{method}: no record lies between {self._lower} ms and {self._upper} ms:"
                " the lower bound is above the upper one"
            )
            raise WrongArgumentError(
                msg, remedy="give the smaller duration first", location=user_location()
            )
        return lower, upper

    def _late(self, side: int, method: str, tag: OutputTag) -> IntervalJoined:
        check_instance(method, "an OutputTag", tag, OutputTag)
        self._late_tags[side] = tag.tag_id
        return self

    def _rows(self, method: str, func: Any, output_type: TypeInformation | None) -> DataStream:
        lower, upper = self._bounds(method)
        refuse_async(f"interval_join(...).{method}", func)
        factory = operators.interval_join(
            func,
            self._left._key,
            self._right._key,
            lower,
            upper,
            self._event_time,
            tuple(self._late_tags),
        )
        return add_two_input(
            self._left,
            self._right,
            "Interval Join",
            factory,
            output_schema(method, output_type),
            functions=() if func is None else (func,),
            keyed=True,
            type_info=output_type,
            description=f"{lower} ms <= right - left <= {upper} ms",
        )


def _merged(left: KeyedStream, right: KeyedStream, suffixes: tuple[str, str]) -> Any:
    """Which columns the pairs have, and under which names."""
    from lesto.common.merged_columns import MergedColumns

    ok = is_a(suffixes, tuple) and [type(s) for s in suffixes] == [str, str]
    if not ok:
        wrong("join", "a pair of texts as suffixes", suffixes)
    schemas: tuple[pa.Schema, pa.Schema] = (left.schema, right.schema)
    keys = (left._key.columns, right._key.columns)
    plan = MergedColumns.of(*schemas, *keys, suffixes)
    names = plan.names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"join: two columns of the result would have the name '{twice[0]}'"
        raise WrongArgumentError(
            msg,
            remedy="give other suffixes, or rename columns with select before",
            location=user_location(),
        )
    return plan

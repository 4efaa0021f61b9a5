"""Factories of the operators that the API calls stand for.

Each function gives a thunk, so that the operator modules are imported when a graph is built and
not when
``lesto.datastream`` is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from lesto.common.async_functions import AsyncCall
from lesto.common.expressions import Expr
from lesto.common.function_forms import FunctionForm
from lesto.common.keys import KeySpec
from lesto.common.sink import Sink
from lesto.common.source import Source
from lesto.common.watermarks import WatermarkStrategy

Thunk = Callable[[], Any]


def _factory(module: str, name: str, *args: Any) -> Thunk:
    def make() -> Any:
        from importlib import import_module

        from lesto.taskmanager.operators.base import SimpleFactory

        operator = getattr(import_module(f"lesto.taskmanager.operators.{module}"), name)
        return SimpleFactory(operator, args)

    return make


def source(source: Source, strategy: WatermarkStrategy | None) -> Thunk:
    """Reads a source."""
    return _factory("source", "SourceOperator", source, strategy)


def sink(sink: Sink) -> Thunk:
    """Writes to a sink."""
    return _factory("sink", "SinkOperator", sink)


def timestamps(strategy: WatermarkStrategy) -> Thunk:
    """Assigns event time."""
    return _factory("timestamps", "TimestampsOperator", strategy)


def stateless(name: str, function: Any) -> Thunk:
    """MapOperator, FilterOperator, FlatMapOperator or ProcessOperator."""
    return _factory("stateless", name, function)


def async_wait(function: Any, call: AsyncCall) -> Thunk:
    """Awaits a request for each record."""
    return _factory("async_wait", "AsyncWaitOperator", function, call)


def async_keyed(function: Any, call: AsyncCall, key: KeySpec) -> Thunk:
    """Awaits a request for each record of a keyed stream, one of a key at a time."""
    return _factory("async_keyed", "AsyncKeyedOperator", function, call, key)


def batch_function(
    name: str, function: Any, form: FunctionForm, schema: pa.Schema | None, as_values: bool
) -> Thunk:
    """A function of whole batches."""
    return _factory("columnar.batch_functions", name, function, form, schema, as_values)


def dead_letters(inner: Thunk, tag: str) -> Thunk:
    """A row operator whose failing records go to a side output."""

    def make() -> Any:
        from lesto.taskmanager.operators.dead_letters import DeadLetterFactory

        return DeadLetterFactory(inner(), tag)

    return make


def last_of_keys(inner: Thunk, key: KeySpec) -> Thunk:
    """A keyed reduction that gives its last result for each key, at the end (BATCH)."""

    def make() -> Any:
        from lesto.taskmanager.operators.batch import LastOfKeysFactory

        return LastOfKeysFactory(inner(), key)

    return make


def keyed_process(function: Any, key: KeySpec) -> Thunk:
    """Runs a KeyedProcessFunction."""
    return _factory("keyed", "KeyedProcessOperator", function, key)


def two_input(name: str, function: Any) -> Thunk:
    """CoMapOperator, CoFlatMapOperator or CoProcessOperator."""
    return _factory("two_input", name, function)


def keyed_co_process(function: Any, key1: KeySpec | None, key2: KeySpec | None) -> Thunk:
    """Runs a function over two streams of which at least one is keyed."""
    return _factory("two_input_keyed", "KeyedCoProcessOperator", function, key1, key2)


def broadcast_process(function: Any, descriptors: Sequence[Any]) -> Thunk:
    """Runs a BroadcastProcessFunction."""
    return _factory("broadcast", "BroadcastProcessOperator", function, tuple(descriptors))


def keyed_broadcast_process(function: Any, key: KeySpec, descriptors: Sequence[Any]) -> Thunk:
    """Runs a KeyedBroadcastProcessFunction."""
    return _factory("broadcast", "KeyedBroadcastProcessOperator", function, key, tuple(descriptors))


def interval_join(*args: Any) -> Thunk:
    """Interval join of rows; arguments as of IntervalJoinOperator."""
    return _factory("interval_join", "IntervalJoinOperator", *args)


def columnar_interval_join(*args: Any) -> Thunk:
    """Interval join of columns; arguments as of ColumnarIntervalJoinOperator."""
    return _factory("columnar.interval_join", "ColumnarIntervalJoinOperator", *args)


def keyed_reduce(function: Any, key: KeySpec) -> Thunk:
    """A running reduction."""
    return _factory("keyed", "KeyedReduceOperator", function, key)


def keyed_field(kind: str, field: int | str, key: KeySpec) -> Thunk:
    """A running sum, min, max, min_by or max_by of a field."""
    return _factory("keyed", "KeyedFieldAggregateOperator", kind, field, key)


def window(*args: Any) -> Thunk:
    """Row windows; arguments as of WindowOperator."""
    return _factory("window", "WindowOperator", *args)


def partition_window(kind: str, function: Any) -> Thunk:
    """All records of a subtask as one window."""
    return _factory("partition_windows", "PartitionWindowOperator", kind, function)


def window_join(keys: Sequence[tuple[str, str]], assigner: Any, suffix: str) -> Thunk:
    """A window join on columns."""
    return _factory("columnar.window_join", "WindowJoinOperator", tuple(keys), assigner, suffix)


def select(exprs: Sequence[Expr]) -> Thunk:
    """A projection."""
    return _factory("columnar.select", "SelectOperator", tuple(exprs))


def columnar_filter(expr: Expr) -> Thunk:
    """A filter on columns."""
    return _factory("columnar.select", "FilterOperator", expr)


def with_columns(exprs: Sequence[Expr]) -> Thunk:
    """Adds or replaces columns."""
    return _factory("columnar.select", "WithColumnsOperator", tuple(exprs))


def running_aggregate(
    key_columns: Sequence[str], aggregates: Sequence[Expr], keep_input: bool
) -> Thunk:
    """Running aggregates on columns."""
    return _factory(
        "columnar.running",
        "RunningAggregateOperator",
        tuple(key_columns),
        tuple(aggregates),
        keep_input,
    )


def window_aggregate(
    key_columns: Sequence[str],
    assigner: Any,
    aggregates: Sequence[Expr],
    allowed_lateness_ms: int,
    late_tag: str | None,
) -> Thunk:
    """Window aggregates on columns."""
    return _factory(
        "columnar.window",
        "WindowAggregateOperator",
        tuple(key_columns),
        assigner,
        tuple(aggregates),
        allowed_lateness_ms,
        late_tag,
    )

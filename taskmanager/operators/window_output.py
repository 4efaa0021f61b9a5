"""From a window's contents to results: the window function, its context, its batches."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lesto.common.functions import (
    AllWindowFunction,
    KeyedStateStore,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
)
from lesto.common.windowing import CountWindow, GlobalWindow, TimeWindow
from lesto.taskmanager.operators.base import Output
from lesto.taskmanager.operators.errors import InvalidFunctionError, KeyedStateUnavailableError
from lesto.taskmanager.operators.results import RESULT_ROWS_MAX, emit_results
from lesto.taskmanager.operators.timer_service import InternalTimers
from lesto.taskmanager.operators.user_functions import function_error, function_name

if TYPE_CHECKING:
    from lesto.state.backend import KeyedStateBackend

#: What window functions inherit when they clear nothing.
NO_CLEAR: Final = (ProcessWindowFunction.clear, ProcessAllWindowFunction.clear)


def namespace_of(window: Any) -> Hashable:
    """A window as a state namespace: tuples of ints, quick to hash and stable to store."""
    kind = type(window)
    if kind is TimeWindow:
        return (window.start, window.end)
    if kind is CountWindow:
        return (window.id,)
    if kind is GlobalWindow:
        return ()
    return window  # type: ignore[no-any-return]


def window_of(namespace: Any) -> Any:
    """Inverse of :func:`namespace_of`."""
    if type(namespace) is tuple:
        if len(namespace) == 2:
            return TimeWindow(*namespace)
        return CountWindow(*namespace) if namespace else GlobalWindow.get()
    return namespace


class _NamespacedStore(KeyedStateStore):
    """State of the current key in a namespace."""

    def __init__(self, backend: KeyedStateBackend, namespace: Hashable) -> None:
        self._backend = backend
        self._namespace = namespace

    def get_state(self, state_descriptor: Any) -> Any:
        """Any kind of state."""
        return self._backend.get_state(state_descriptor, self._namespace)

    get_list_state = get_state
    get_map_state = get_state
    get_reducing_state = get_state
    get_aggregating_state = get_state


class WindowContext:
    """The ``context`` of a ProcessWindowFunction."""

    __slots__ = ("_backend", "_merging", "_timers", "_window")

    def __init__(self, backend: KeyedStateBackend, timers: InternalTimers, merging: bool) -> None:
        self._backend = backend
        self._timers = timers
        self._merging = merging
        self._window: Any = None

    def window(self) -> Any:
        """The window."""
        return self._window

    def current_processing_time(self) -> int:
        """Wall clock, ms."""
        return self._timers.now_ms()

    def current_watermark(self) -> int:
        """Event time, ms."""
        return self._timers.current_watermark

    def window_state(self) -> KeyedStateStore:
        """State of the key and this window. Windows that merge have none, as in Flink."""
        if self._merging:
            msg = "windows that merge (sessions) have no state of their own"
            raise KeyedStateUnavailableError(msg, remedy="use context.global_state()")
        return _NamespacedStore(self._backend, namespace_of(self._window))

    def global_state(self) -> KeyedStateStore:
        """State of the key, over all windows."""
        return _NamespacedStore(self._backend, None)


class WindowResults:
    """Calls the window function and collects its results until they are emitted.

    Args:
        function: ProcessWindowFunction, WindowFunction, a callable (key, window, elements), or None
            to emit the elements.
        operator: the operator's name, for errors.
        output: where results go; their event time is the window's last millisecond.
        context: of the process function.
    """

    def __init__(
        self, function: Any, operator: str, output: Output, context: WindowContext
    ) -> None:
        self.function = function
        self._operator = operator
        self._output = output
        self._context = context
        self._call = self._caller()
        self._clear: Callable[[Any], None] | None = None
        if hasattr(function, "process") and getattr(type(function), "clear", None) not in NO_CLEAR:
            self._clear = getattr(function, "clear", None)
        self._results: list[Any] = []
        self._counts: list[int] = []
        self._times: list[int] = []

    def _caller(self) -> Callable[[Any, Any, Any], Any] | None:
        function, context = self.function, self._context
        if function is None:
            return None
        if isinstance(function, ProcessAllWindowFunction):
            over_whole: Callable[..., Any] = function.process
            return lambda key, window, elements: over_whole(context, elements)
        if isinstance(function, AllWindowFunction):
            over_all = function.apply
            return lambda key, window, elements: over_all(window, elements)
        process = getattr(function, "process", None)
        if callable(process):
            return lambda key, window, elements: process(key, context, elements)
        apply = getattr(function, "apply", function)
        if callable(apply):
            return apply  # type: ignore[no-any-return]
        msg = f"{function!r} is no window function: it has neither process() nor apply()"
        raise InvalidFunctionError(msg)

    def fire(self, key: Any, window: Any, elements: list[Any]) -> None:
        """The window's result for a key; the backend's current key is set."""
        call = self._call
        if call is None:
            self.add(elements, window.max_timestamp())
            return
        self._context._window = window
        try:
            found = call(key, window, elements)
            if found is not None:
                self.add(found, window.max_timestamp())
        except Exception as error:
            name = function_name(self.function)
            raise function_error(self._operator, name, error, iterates=True) from error

    def add(self, found: Iterable[Any], timestamp: int) -> None:
        """Results of one event time."""
        results = self._results
        before = len(results)
        results.extend(found)
        self._counts.append(len(results) - before)
        self._times.append(timestamp)
        if len(results) >= RESULT_ROWS_MAX:
            self.flush()

    def clear(self, window: Any) -> None:
        """A window of the current key is purged for good."""
        if self._clear is not None:
            self._context._window = window
            try:
                self._clear(self._context)
            except Exception as error:
                name = f"{function_name(self.function)}.clear"
                raise function_error(self._operator, name, error) from error

    @property
    def clears(self) -> bool:
        """Whether the function wants to hear of purged windows."""
        return self._clear is not None

    def flush(self) -> None:
        """Emit what was collected."""
        results = self._results
        if not results:
            self._counts.clear()
            self._times.clear()
            return
        times = np.repeat(np.array(self._times, dtype=np.int64), self._counts)
        self._results, self._counts, self._times = [], [], []
        for start in range(0, len(results), RESULT_ROWS_MAX):
            end = start + RESULT_ROWS_MAX
            emit_results(self._output, results[start:end], times[start:end], None)

"""User functions: the classes a job may extend. A plain callable does wherever one method is asked
for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from lesto.common.checking import is_a
from lesto.common.time import TimeDomain
from lesto.common.types import TypeInformation

IN = TypeVar("IN")
IN1 = TypeVar("IN1")
IN2 = TypeVar("IN2")
OUT = TypeVar("OUT")
ACC = TypeVar("ACC")
KEY = TypeVar("KEY")
W = TypeVar("W")
W2 = TypeVar("W2")


class OutputTag:
    """Names a side output. Tags of equal id are equal.

    Yield ``(tag, value)`` from a process function to send a value there.
    """

    __slots__ = ("tag_id", "type_info")

    def __init__(self, tag_id: str, type_info: TypeInformation | list[Any] | None = None) -> None:
        if not is_a(tag_id, str) or not tag_id:
            msg = f"an output tag needs a non-empty text as its id, not {tag_id!r}"
            raise ValueError(msg)
        self.tag_id = tag_id
        self.type_info = type_info

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OutputTag) and other.tag_id == self.tag_id

    def __hash__(self) -> int:
        return hash(self.tag_id)

    def __repr__(self) -> str:
        return f"OutputTag({self.tag_id!r})"


class KeyedStateStore(ABC):
    """Gives state bound to the current key."""

    @abstractmethod
    def get_state(self, state_descriptor: Any) -> Any:
        """A ValueState."""

    @abstractmethod
    def get_list_state(self, state_descriptor: Any) -> Any:
        """A ListState."""

    @abstractmethod
    def get_map_state(self, state_descriptor: Any) -> Any:
        """A MapState."""

    @abstractmethod
    def get_reducing_state(self, state_descriptor: Any) -> Any:
        """A ReducingState."""

    @abstractmethod
    def get_aggregating_state(self, state_descriptor: Any) -> Any:
        """An AggregatingState."""


class RuntimeContext(KeyedStateStore):
    """What a function learns about where it runs; passed to ``open``."""

    @abstractmethod
    def get_task_name(self) -> str:
        """Name of the task."""

    @abstractmethod
    def get_number_of_parallel_subtasks(self) -> int:
        """Parallelism of the operator."""

    @abstractmethod
    def get_max_number_of_parallel_subtasks(self) -> int:
        """Number of key groups."""

    @abstractmethod
    def get_index_of_this_subtask(self) -> int:
        """From 0."""

    @abstractmethod
    def get_attempt_number(self) -> int:
        """0 for the first attempt, then one more at each restart."""

    @abstractmethod
    def get_task_name_with_subtasks(self) -> str:
        """Such as ``map (2/4)``."""

    @abstractmethod
    def get_job_parameter(self, key: str, default_value: str) -> str:
        """A global job parameter (``pipeline.global-job-parameters``)."""

    @abstractmethod
    def get_metrics_group(self) -> Any:
        """The operator's metric group."""


class Function(ABC):  # noqa: B024 - a root; what is abstract depends on the kind
    """Root of user functions. Instances are pickled with the job and live once in each subtask."""

    def open(self, runtime_context: RuntimeContext) -> None:  # noqa: B027 - optional hook
        """Called once before any record."""

    def close(self) -> None:  # noqa: B027 - optional hook
        """Called once at the end, after failures too."""


class MapFunction(Function):
    """One record to one."""

    @abstractmethod
    def map(self, value: Any) -> Any:
        """The result."""


class FlatMapFunction(Function):
    """One record to any number."""

    @abstractmethod
    def flat_map(self, value: Any) -> Iterable[Any] | None:
        """The results, as a generator or a list."""


class FilterFunction(Function):
    """Keeps some records."""

    @abstractmethod
    def filter(self, value: Any) -> bool:
        """Whether to keep it."""


class CoMapFunction(Function):
    """Map over two streams."""

    @abstractmethod
    def map1(self, value: Any) -> Any:
        """For the first stream."""

    @abstractmethod
    def map2(self, value: Any) -> Any:
        """For the second stream."""


class CoFlatMapFunction(Function):
    """Flat map over two streams."""

    @abstractmethod
    def flat_map1(self, value: Any) -> Iterable[Any] | None:
        """For the first stream."""

    @abstractmethod
    def flat_map2(self, value: Any) -> Iterable[Any] | None:
        """For the second stream."""


class ReduceFunction(Function):
    """Combines two values into one of the same type."""

    @abstractmethod
    def reduce(self, value1: Any, value2: Any) -> Any:
        """The combination."""


class AggregateFunction(Function, Generic[IN, ACC, OUT]):
    """Aggregates through an accumulator."""

    @abstractmethod
    def create_accumulator(self) -> ACC:
        """A fresh one."""

    @abstractmethod
    def add(self, value: IN, accumulator: ACC) -> ACC:
        """The accumulator with a value added; may be the same object."""

    @abstractmethod
    def get_result(self, accumulator: ACC) -> OUT:
        """The result."""

    @abstractmethod
    def merge(self, acc_a: ACC, acc_b: ACC) -> ACC:
        """Both as one; needed for session windows."""


class KeySelector(Function):
    """Gives the key of a record."""

    @abstractmethod
    def get_key(self, value: Any) -> Any:
        """The key: hashable, and equal in every process for equal records."""


class NullByteKeySelector(KeySelector):
    """One key for all records."""

    def get_key(self, value: Any) -> Any:
        """Always 0."""
        return 0


class Partitioner(Function):
    """Chooses the subtask of a key."""

    @abstractmethod
    def partition(self, key: Any, num_partitions: int) -> int:
        """An index below ``num_partitions``."""


class SourceFunction:
    """Flink's old source interface; use ``from_source``."""


class SinkFunction:
    """Flink's old sink interface; use ``sink_to``."""


class TimerService(ABC):
    """Time, and timers of the current key. All times are milliseconds since the epoch."""

    @abstractmethod
    def current_processing_time(self) -> int:
        """Wall clock."""

    @abstractmethod
    def current_watermark(self) -> int:
        """Event time."""

    @abstractmethod
    def register_processing_time_timer(self, timestamp: int) -> None:
        """Fire when the wall clock passes it."""

    @abstractmethod
    def register_event_time_timer(self, timestamp: int) -> None:
        """Fire when the watermark passes it."""

    @abstractmethod
    def delete_processing_time_timer(self, timestamp: int) -> None:
        """Forget it; nothing happens when there is none."""

    @abstractmethod
    def delete_event_time_timer(self, timestamp: int) -> None:
        """Forget it; nothing happens when there is none."""


class _TimedContext(ABC):
    @abstractmethod
    def timer_service(self) -> TimerService:
        """Time and timers."""

    @abstractmethod
    def timestamp(self) -> int | None:
        """Event time of the record, or of the timer; None when the stream has none."""


class _KeyedContext(_TimedContext):
    @abstractmethod
    def get_current_key(self) -> Any:
        """The key."""


class _OnTimerContext(_KeyedContext):
    @abstractmethod
    def time_domain(self) -> TimeDomain:
        """Which clock fired."""


class ProcessFunction(Function):
    """The general function over records."""

    class Context(_TimedContext):
        """Given with each record. Timers need a keyed stream."""

    @abstractmethod
    def process_element(self, value: Any, ctx: ProcessFunction.Context) -> Iterable[Any] | None:
        """Yield results; ``(OutputTag, value)`` goes to a side output."""


class KeyedProcessFunction(Function):
    """The general function over a keyed stream: state and timers."""

    class Context(_KeyedContext):
        """Given with each record."""

    class OnTimerContext(_OnTimerContext):
        """Given with each timer."""

    @abstractmethod
    def process_element(
        self, value: Any, ctx: KeyedProcessFunction.Context
    ) -> Iterable[Any] | None:
        """Yield results; ``(OutputTag, value)`` goes to a side output."""

    def on_timer(
        self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext
    ) -> Iterable[Any] | None:
        """A timer has fired; yield results as in ``process_element``."""


class CoProcessFunction(Function):
    """The general function over two streams."""

    class Context(_TimedContext):
        """Given with each record."""

    @abstractmethod
    def process_element1(self, value: Any, ctx: CoProcessFunction.Context) -> Iterable[Any] | None:
        """For the first stream."""

    @abstractmethod
    def process_element2(self, value: Any, ctx: CoProcessFunction.Context) -> Iterable[Any] | None:
        """For the second stream."""


class KeyedCoProcessFunction(Function):
    """The general function over two keyed streams."""

    class Context(_KeyedContext):
        """Given with each record."""

    class OnTimerContext(_OnTimerContext):
        """Given with each timer."""

    @abstractmethod
    def process_element1(
        self, value: Any, ctx: KeyedCoProcessFunction.Context
    ) -> Iterable[Any] | None:
        """For the first stream."""

    @abstractmethod
    def process_element2(
        self, value: Any, ctx: KeyedCoProcessFunction.Context
    ) -> Iterable[Any] | None:
        """For the second stream."""

    def on_timer(
        self, timestamp: int, ctx: KeyedCoProcessFunction.OnTimerContext
    ) -> Iterable[Any] | None:
        """A timer has fired."""


class _WindowContext(ABC, Generic[W]):
    @abstractmethod
    def window(self) -> W:
        """The window."""

    @abstractmethod
    def current_processing_time(self) -> int:
        """Wall clock, ms."""

    @abstractmethod
    def current_watermark(self) -> int:
        """Event time, ms."""

    @abstractmethod
    def window_state(self) -> KeyedStateStore:
        """State of the key and this window."""

    @abstractmethod
    def global_state(self) -> KeyedStateStore:
        """State of the key, over all windows."""


class WindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """Turns a window's contents into results."""

    @abstractmethod
    def apply(self, key: KEY, window: W, inputs: Iterable[IN]) -> Iterable[OUT]:
        """The results."""


class AllWindowFunction(Function, Generic[IN, OUT, W]):
    """A window function of a stream without keys."""

    @abstractmethod
    def apply(self, window: W, inputs: Iterable[IN]) -> Iterable[OUT]:
        """The results."""


class ProcessWindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """A window function that sees time and state."""

    class Context(_WindowContext[W2]):
        """Given with each window."""

    @abstractmethod
    def process(self, key: KEY, context: Context[W], elements: Iterable[IN]) -> Iterable[OUT]:
        """The results; ``(OutputTag, value)`` goes to a side output."""

    def clear(self, context: Context[W]) -> None:
        """The window is purged: clear what was kept in ``window_state``."""


class ProcessAllWindowFunction(Function, Generic[IN, OUT, W]):
    """A window function of a stream without keys that sees time and state."""

    class Context(_WindowContext[W2]):
        """Given with each window."""

    @abstractmethod
    def process(self, context: Context[W], elements: Iterable[IN]) -> Iterable[OUT]:
        """The results."""

    def clear(self, context: Context[W]) -> None:
        """The window is purged."""


class BaseBroadcastProcessFunction(Function):
    """Root of the functions over a stream and a broadcast stream."""

    class BaseContext(ABC):
        """Common to both sides."""

        @abstractmethod
        def timestamp(self) -> int | None:
            """Event time of the record, ms."""

        @abstractmethod
        def current_processing_time(self) -> int:
            """Wall clock, ms."""

        @abstractmethod
        def current_watermark(self) -> int:
            """Event time, ms."""

        @abstractmethod
        def get_broadcast_state(self, state_descriptor: Any) -> Any:
            """The broadcast state."""

    class Context(BaseContext):
        """Of the broadcast side: may write the state."""

    class ReadOnlyContext(BaseContext):
        """Of the other side: may read it."""


class BroadcastProcessFunction(BaseBroadcastProcessFunction, Generic[IN1, IN2, OUT]):
    """Over a stream and a broadcast stream."""

    @abstractmethod
    def process_element(
        self, value: IN1, ctx: BaseBroadcastProcessFunction.ReadOnlyContext
    ) -> Iterable[OUT] | None:
        """For the stream."""

    @abstractmethod
    def process_broadcast_element(
        self, value: IN2, ctx: BaseBroadcastProcessFunction.Context
    ) -> Iterable[OUT] | None:
        """For the broadcast stream."""


class KeyedBroadcastProcessFunction(BaseBroadcastProcessFunction, Generic[KEY, IN1, IN2, OUT]):
    """Over a keyed stream and a broadcast stream."""

    class Context(BaseBroadcastProcessFunction.Context):
        """Of the broadcast side: may write the broadcast state, and go over all keys' state."""

        @abstractmethod
        def apply_to_keyed_state(self, state_descriptor: Any, function: Any) -> None:
            """Call ``function(key, state)`` for each key of this subtask that has the state."""

    class ReadOnlyContext(BaseBroadcastProcessFunction.ReadOnlyContext):
        """Of the keyed side: may read the broadcast state, and has keyed state and timers."""

        @abstractmethod
        def timer_service(self) -> TimerService:
            """Time and timers."""

        @abstractmethod
        def get_current_key(self) -> Any:
            """The key."""

    class OnTimerContext(ReadOnlyContext):
        """Given with each timer."""

        @abstractmethod
        def time_domain(self) -> TimeDomain:
            """Which clock fired."""

    @abstractmethod
    def process_element(self, value: IN1, ctx: ReadOnlyContext) -> Iterable[OUT] | None:
        """For the keyed stream."""

    @abstractmethod
    def process_broadcast_element(self, value: IN2, ctx: Context) -> Iterable[OUT] | None:
        """For the broadcast stream."""

    def on_timer(self, timestamp: int, ctx: OnTimerContext) -> Iterable[OUT] | None:
        """A timer has fired."""


class PassThroughWindowFunction(WindowFunction[IN, IN, KEY, W]):
    """Gives the contents as they are."""

    def apply(self, key: KEY, window: W, inputs: Iterable[IN]) -> Iterable[IN]:
        """The inputs."""
        return inputs


class PassThroughAllWindowFunction(AllWindowFunction[IN, IN, W]):
    """Gives the contents as they are."""

    def apply(self, window: W, inputs: Iterable[IN]) -> Iterable[IN]:
        """The inputs."""
        return inputs


#: The one method by which each single-method function is called.
_METHOD: dict[type[Function], str] = {
    MapFunction: "map",
    FlatMapFunction: "flat_map",
    FilterFunction: "filter",
    ReduceFunction: "reduce",
    KeySelector: "get_key",
    Partitioner: "partition",
}


def as_callable(function: Any, kind: type[Function]) -> Callable[..., Any]:
    """The fastest callable for a function object of ``kind`` or a plain callable.

    Raises:
        TypeError: it is neither.

    >>> as_callable(len, MapFunction) is len
    True
    """
    method = getattr(function, _METHOD[kind], None)
    if isinstance(function, kind) or (isinstance(function, Function) and callable(method)):
        assert callable(method)
        return method  # type: ignore[no-any-return]
    if callable(function):
        return function  # type: ignore[no-any-return]
    msg = f"expected a {kind.__name__} or a callable, not {function!r}"
    raise TypeError(msg)

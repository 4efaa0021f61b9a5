"""What ``open(runtime_context)`` gives users' functions: the task, its metrics, and keyed state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lesto.common import options
from lesto.common.accumulators import (
    KINDS,
    Accumulator,
    DoubleCounter,
    Histogram,
    LongCounter,
)
from lesto.common.cached_files import DistributedCache
from lesto.common.errors import did_you_mean
from lesto.taskmanager.operators.errors import InvalidFunctionError, KeyedStateUnavailableError
from lesto.taskmanager.operators.user_metrics import UserMetricGroup

if TYPE_CHECKING:
    from lesto.state.backend import KeyedStateBackend
    from lesto.taskmanager.operators.base import OperatorContext

_PLAIN_KINDS = frozenset({"value", "list", "map"})


class OperatorRuntimeContext:
    """PyFlink's ``RuntimeContext``.

    Args:
        context: the operator's context.
        backend: keyed state, or None in an operator that is not keyed.
    """

    def __init__(self, context: OperatorContext, backend: KeyedStateBackend | None = None) -> None:
        self._context = context
        self._backend = backend
        self._metrics: UserMetricGroup | None = None
        self._states: dict[tuple[str, str], tuple[Any, Any]] = {}

    def get_job_id(self) -> str:
        """Hex id of the job."""
        return self._context.job_id

    def get_job_name(self) -> str:
        """Name of the job."""
        return self._context.job_name

    def get_task_name(self) -> str:
        """Name of the task: the names of its chained operators."""
        return self._context.task_name

    def get_task_name_with_subtasks(self) -> str:
        """Name of the task with the subtask's number and their count, such as ``Map (2/4)``."""
        c = self._context
        return f"{c.task_name} ({c.subtask + 1}/{c.parallelism})"

    def get_number_of_parallel_subtasks(self) -> int:
        """Parallelism of the operator."""
        return self._context.parallelism

    def get_max_number_of_parallel_subtasks(self) -> int:
        """Max parallelism: the number of key groups."""
        return self._context.max_parallelism

    def get_index_of_this_subtask(self) -> int:
        """Index of this subtask, from 0."""
        return self._context.subtask

    def get_attempt_number(self) -> int:
        """How often the task was started before, in this JobManager's epoch."""
        return int(self._context.attempt.rpartition("-")[2]) - 1  # the JobManager counts from 1

    def get_job_parameter(self, key: str, default_value: str | None = None) -> str | None:
        """The job's configuration value for a key, as text."""
        value = self._context.config.to_dict().get(key)
        return default_value if value is None else value

    def get_metrics_group(self) -> UserMetricGroup:
        """Where the function registers metrics of its own."""
        if self._metrics is None:
            self._metrics = UserMetricGroup(self._context.metrics)
        return self._metrics

    get_metric_group = get_metrics_group

    def get_operator_name(self) -> str:
        """Name of the operator that runs the function."""
        return self._context.operator_name

    def get_operator_unique_id(self) -> str:
        """Identity of the operator in checkpoints, hex."""
        return self._context.operator_uid

    def get_global_job_parameters(self) -> dict[str, str]:
        """All parameters that the job was given (``pipeline.global-job-parameters``)."""
        parameters = self._context.config.get(options.GLOBAL_JOB_PARAMETERS)
        return {} if parameters is None else dict(parameters)

    def get_distributed_cache(self) -> DistributedCache:
        """Files registered with the job: ``get_file(name)`` is a local path."""
        files = self._context.config.get(options.CACHED_FILES) or {}
        return DistributedCache(files, self._context.local_dir)

    # -------------------------------------------------------------------------- accumulators

    def add_accumulator(self, name: str, accumulator: Accumulator) -> None:
        """Register an accumulator; its value over all subtasks is in the job's result.

        Raises:
            InvalidFunctionError: the name is taken in this task, or it is no accumulator.
        """
        known = self._context.accumulators
        if getattr(accumulator, "kind", None) not in KINDS:
            msg = f"{accumulator!r} is none of Lesto's accumulators"
            raise InvalidFunctionError(
                msg, remedy="use one of lesto.common.accumulators, such as LongCounter()"
            )
        if name in known:
            msg = f"an accumulator {name!r} is already registered in this task"
            raise InvalidFunctionError(msg, remedy="give each accumulator a name of its own")
        known[name] = accumulator

    def get_accumulator(self, name: str) -> Any:
        """An accumulator of this task.

        Raises:
            InvalidFunctionError: none of that name is registered.
        """
        found = self._context.accumulators.get(name)
        if found is None:
            hint = did_you_mean(name, self._context.accumulators)
            msg = f"no accumulator {name!r} is registered in this task{hint}"
            raise InvalidFunctionError(msg, remedy="call add_accumulator in open()")
        return found

    def _counting(self, name: str, kind: type[Accumulator]) -> Any:
        known = self._context.accumulators
        if name not in known:
            known[name] = kind()
        found = known[name]
        if not isinstance(found, kind):
            msg = f"the accumulator {name!r} is a {type(found).__name__}, not a {kind.__name__}"
            raise InvalidFunctionError(msg, remedy="give each accumulator a name of its own")
        return found

    def get_int_counter(self, name: str) -> LongCounter:
        """A counter, made at the first call."""
        counter: LongCounter = self._counting(name, LongCounter)
        return counter

    get_long_counter = get_int_counter

    def get_double_counter(self, name: str) -> DoubleCounter:
        """A sum of floats, made at the first call."""
        counter: DoubleCounter = self._counting(name, DoubleCounter)
        return counter

    def get_histogram(self, name: str) -> Histogram:
        """Counts by value, made at the first call."""
        histogram: Histogram = self._counting(name, Histogram)
        return histogram

    # --------------------------------------------------------------------------- keyed state

    def get_state(self, state_descriptor: Any) -> Any:
        """A ValueState of the current key."""
        return self._state(state_descriptor)

    def get_list_state(self, state_descriptor: Any) -> Any:
        """A ListState of the current key."""
        return self._state(state_descriptor)

    def get_map_state(self, state_descriptor: Any) -> Any:
        """A MapState of the current key."""
        return self._state(state_descriptor)

    def get_reducing_state(self, state_descriptor: Any) -> Any:
        """A ReducingState of the current key."""
        return self._state(state_descriptor)

    def get_aggregating_state(self, state_descriptor: Any) -> Any:
        """An AggregatingState of the current key."""
        return self._state(state_descriptor)

    def _state(self, descriptor: Any) -> Any:
        if self._backend is None:
            msg = (
                f"state {getattr(descriptor, 'name', descriptor)!r} was asked for in operator "
                f"{self._context.operator_name!r}, which is not on a keyed stream"
            )
            raise KeyedStateUnavailableError(msg, remedy="call key_by(...) before this operator")
        # Functions may ask for their state anew with each record: only the first time costs. Not so
        # where the descriptor brings a function of its own.
        if descriptor.kind not in _PLAIN_KINDS:
            return self._backend.get_state(descriptor)
        found = self._states.get((descriptor.kind, descriptor.name))
        if found is not None:
            known, state = found
            if known is descriptor or (
                known.type_info == descriptor.type_info
                and known.ttl_config is descriptor.ttl_config
            ):
                return state
        state = self._backend.get_state(descriptor)  # refuses one that differs from the first
        if found is None:
            self._states[descriptor.kind, descriptor.name] = descriptor, state
        return state

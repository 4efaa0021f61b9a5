"""What users derive their functions from; names and methods are PyFlink's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
ACC = TypeVar("ACC")


class FunctionContext:
    """What ``open`` gives a function: its task, parameters and metrics.

    Args:
        runtime: the operator's runtime context.
    """

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime

    def get_metric_group(self) -> Any:
        """Where the function registers metrics of its own."""
        return self._runtime.get_metric_group()

    def get_job_parameter(self, key: str, default_value: str | None = None) -> str | None:
        """A parameter of the job (``pipeline.global-job-parameters``), or of its configuration."""
        found = self._runtime.get_global_job_parameters().get(key)
        if found is not None:
            return str(found)
        value: str | None = self._runtime.get_job_parameter(key, default_value)
        return value

    def get_task_name(self) -> str:
        """Name of the task."""
        return str(self._runtime.get_task_name())

    def get_task_name_with_subtasks(self) -> str:
        """Name of the task with the subtask's number and their count."""
        return str(self._runtime.get_task_name_with_subtasks())

    def get_number_of_parallel_subtasks(self) -> int:
        """Parallelism of the operator."""
        return int(self._runtime.get_number_of_parallel_subtasks())

    def get_max_number_of_parallel_subtasks(self) -> int:
        """Max parallelism."""
        return int(self._runtime.get_max_number_of_parallel_subtasks())

    def get_index_of_this_subtask(self) -> int:
        """Index of this subtask, from 0."""
        return int(self._runtime.get_index_of_this_subtask())

    def get_attempt_number(self) -> int:
        """How often the task was started before."""
        return int(self._runtime.get_attempt_number())


class UserDefinedFunction:
    """Base of all."""

    def open(self, function_context: FunctionContext) -> None:
        """Called once before the first call, where the function runs."""

    def close(self) -> None:
        """Called once after the last call."""

    def is_deterministic(self) -> bool:
        """Whether equal arguments give equal results."""
        return True


class ScalarFunction(UserDefinedFunction):
    """A value for each row: define ``eval(self, *args)``."""

    def eval(self, *args: Any) -> Any:
        """The value of one row, or of a batch in the vectorized forms."""
        raise NotImplementedError


class AsyncScalarFunction(UserDefinedFunction):
    """A value for each row that has to be waited for: define ``async def eval(self, *args)``."""

    async def eval(self, *args: Any) -> Any:
        """The value of one row."""
        raise NotImplementedError


class TableFunction(UserDefinedFunction):
    """Any number of rows for each row: ``eval`` yields or returns them."""

    def eval(self, *args: Any) -> Any:
        """The rows of one row."""
        raise NotImplementedError


class ImperativeAggregateFunction(UserDefinedFunction, Generic[T, ACC]):
    """What aggregates of values and of tables share. Accumulators are changed in place."""

    def create_accumulator(self) -> ACC:
        """The accumulator of no rows."""
        raise NotImplementedError

    def accumulate(self, accumulator: ACC, *args: Any) -> None:
        """Take a row into the accumulator."""
        raise NotImplementedError

    def retract(self, accumulator: ACC, *args: Any) -> None:
        """Take a row back out; needed where the input updates or deletes rows."""
        raise NotImplementedError

    def merge(self, accumulator: ACC, accumulators: Iterable[ACC]) -> None:
        """Take other accumulators into the first; needed by session windows."""
        raise NotImplementedError

    def get_result_type(self) -> Any:
        """Type of the result, where the decorator does not say it."""
        raise NotImplementedError

    def get_accumulator_type(self) -> Any:
        """Not needed: accumulators are any Python values."""
        raise NotImplementedError


class AggregateFunction(ImperativeAggregateFunction[T, ACC]):
    """A value for each group."""

    def get_value(self, accumulator: ACC) -> T:
        """The value of the accumulator."""
        raise NotImplementedError


class TableAggregateFunction(ImperativeAggregateFunction[T, ACC]):
    """Any number of rows for each group."""

    def emit_value(self, accumulator: ACC) -> Iterable[T]:
        """The rows of the accumulator."""
        raise NotImplementedError

"""Further settings of a job, in PyFlink's words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from lesto.client.datastream.checks import wrong
from lesto.client.datastream.no_meaning import no_meaning
from lesto.client.datastream.restart_strategies import RestartStrategyConfiguration, duration
from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.time import DurationLike

_KRYO: Final = "there is no Kryo and no Avro between operators: records are Arrow or pickled"
_CLEANER: Final = "functions are sent by cloudpickle, which takes only what they use"
_MS: Final = timedelta(milliseconds=1)


class ExecutionConfig:
    """Further settings of the job. Those of the JVM are kept, change nothing and warn once."""

    #: The parallelism of operators that set none is the default of ``parallelism.default``.
    PARALLELISM_DEFAULT = -1
    #: Keep the parallelism as it is.
    PARALLELISM_UNKNOWN = -2

    def __init__(self, config: Configuration) -> None:
        self._config = config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExecutionConfig) and other._config == self._config

    __hash__ = None  # type: ignore[assignment]

    # ------------------------------------------------------------------------------ parallelism

    def get_parallelism(self) -> int:
        """Parallelism of operators that set none."""
        return self._config.get(options.PARALLELISM)

    def set_parallelism(self, parallelism: int) -> ExecutionConfig:
        """Set the parallelism of operators that set none; -1: the configuration's default."""
        if parallelism == self.PARALLELISM_DEFAULT:
            self._config.remove(options.PARALLELISM)
        elif parallelism != self.PARALLELISM_UNKNOWN:
            self._config.set(options.PARALLELISM, parallelism)
        return self

    def get_max_parallelism(self) -> int:
        """Number of key groups; -1: derived from the parallelism."""
        value = self._config.get(options.MAX_PARALLELISM)
        return int(value)

    def set_max_parallelism(self, max_parallelism: int) -> ExecutionConfig:
        """Set the number of key groups."""
        self._config.set(options.MAX_PARALLELISM, max_parallelism)
        return self

    # ------------------------------------------------------------------------------------- time

    def get_auto_watermark_interval(self) -> int:
        """Ms between watermarks."""
        return self._config.get(options.AUTO_WATERMARK_INTERVAL) // _MS

    def set_auto_watermark_interval(self, interval: DurationLike) -> ExecutionConfig:
        """Set the time between watermarks."""
        self._config.set(options.AUTO_WATERMARK_INTERVAL, duration(interval, "interval"))
        return self

    def get_latency_tracking_interval(self) -> int:
        """Ms between latency markers; 0: none."""
        return 0

    def set_latency_tracking_interval(self, interval: int) -> ExecutionConfig:
        """Changes nothing."""
        no_meaning(
            "ExecutionConfig.set_latency_tracking_interval",
            "the metrics of sources and sinks tell the delay of records",
        )
        return self

    def get_task_cancellation_interval(self) -> int:
        """Ms between two interrupts of a task that is cancelled: -1, none is interrupted."""
        return -1

    def set_task_cancellation_interval(self, interval: int) -> ExecutionConfig:
        """Changes nothing."""
        no_meaning(
            "ExecutionConfig.set_task_cancellation_interval",
            "tasks are not interrupted: one that does not stop is ended with its process",
        )
        return self

    def get_task_cancellation_timeout(self) -> int:
        """Ms until the process of a task that does not stop is ended."""
        return self._config.get(options.TASK_CANCELLATION_TIMEOUT) // _MS

    def set_task_cancellation_timeout(self, timeout: DurationLike) -> ExecutionConfig:
        """Set the time until the process of a task that does not stop is ended."""
        self._config.set(options.TASK_CANCELLATION_TIMEOUT, duration(timeout, "timeout"))
        return self

    # ------------------------------------------------------------------------------- parameters

    def get_global_job_parameters(self) -> dict[str, str]:
        """Parameters that functions can read."""
        parameters: dict[str, str] | None = self._config.get(options.GLOBAL_JOB_PARAMETERS)
        return parameters or {}

    def set_global_job_parameters(
        self, global_job_parameters_dict: dict[str, Any]
    ) -> ExecutionConfig:
        """Set parameters that functions can read."""
        if not isinstance(global_job_parameters_dict, dict):
            wrong("set_global_job_parameters", "a dict", global_job_parameters_dict)
        texts = {str(k): str(v) for k, v in global_job_parameters_dict.items()}
        self._config.set(options.GLOBAL_JOB_PARAMETERS, texts)
        return self

    def set_restart_strategy(
        self, restart_strategy: RestartStrategyConfiguration
    ) -> ExecutionConfig:
        """Set when a failed job starts again."""
        if not isinstance(restart_strategy, RestartStrategyConfiguration):
            wrong("set_restart_strategy", "one of RestartStrategies", restart_strategy)
        for option, value in restart_strategy.settings.items():
            self._config.set(option, value)
        return self

    # ----------------------------------------------------------------------- how records travel

    def enable_object_reuse(self) -> ExecutionConfig:
        """Accepted: records are never copied between chained operators."""
        return self

    def disable_object_reuse(self) -> ExecutionConfig:
        """Changes nothing."""
        no_meaning(
            "ExecutionConfig.disable_object_reuse",
            "records are never copied between chained operators: do not change what was emitted",
        )
        return self

    def is_object_reuse_enabled(self) -> bool:
        """Always True."""
        return True

    def is_use_snapshot_compression(self) -> bool:
        """Always True."""
        return True

    def set_use_snapshot_compression(self, use_snapshot_compression: bool) -> ExecutionConfig:
        """Accepted when true."""
        if not use_snapshot_compression:
            no_meaning(
                "ExecutionConfig.set_use_snapshot_compression", "snapshots are always compressed"
            )
        return self

    # ------------------------------------------------------------------------ what the JVM needs

    def enable_closure_cleaner(self) -> ExecutionConfig:
        """Accepted: functions carry only what they use."""
        return self

    def disable_closure_cleaner(self) -> ExecutionConfig:
        """Changes nothing."""
        no_meaning("ExecutionConfig.disable_closure_cleaner", _CLEANER)
        return self

    def is_closure_cleaner_enabled(self) -> bool:
        """Always True."""
        return True

    def enable_force_kryo(self) -> ExecutionConfig:
        """Changes nothing."""
        no_meaning("ExecutionConfig.enable_force_kryo", _KRYO)
        return self

    def disable_force_kryo(self) -> ExecutionConfig:
        """Accepted."""
        return self

    def is_force_kryo_enabled(self) -> bool:
        """Always False."""
        return False

    def enable_force_avro(self) -> ExecutionConfig:
        """Changes nothing."""
        no_meaning("ExecutionConfig.enable_force_avro", _KRYO)
        return self

    def disable_force_avro(self) -> ExecutionConfig:
        """Accepted."""
        return self

    def is_force_avro_enabled(self) -> bool:
        """Always False."""
        return False

    def enable_generic_types(self) -> ExecutionConfig:
        """Accepted: any Python value may be a record."""
        return self

    def disable_generic_types(self) -> ExecutionConfig:
        """Changes nothing."""
        no_meaning("ExecutionConfig.disable_generic_types", "any Python value may be a record")
        return self

    def has_generic_types_disabled(self) -> bool:
        """Always False."""
        return False

    def enable_auto_generated_uids(self) -> ExecutionConfig:
        """Accepted."""
        return self

    def disable_auto_generated_uids(self) -> ExecutionConfig:
        """Changes nothing."""
        no_meaning(
            "ExecutionConfig.disable_auto_generated_uids",
            "operators without uid get one from their place in the job",
        )
        return self

    def has_auto_generated_uids_enabled(self) -> bool:
        """Always True."""
        return True

    def get_default_kryo_serializer_classes(self) -> dict[str, str]:
        """None."""
        return {}

    def get_registered_kryo_types(self) -> list[str]:
        """None."""
        return []

    def get_registered_pojo_types(self) -> list[str]:
        """None."""
        return []

"""Settings of a job in PyFlink's words. Each is a view on
:class:`lesto.common.config.Configuration`.
"""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Any

from lesto.client.datastream.checks import located, unsupported, wrong
from lesto.common import options
from lesto.common.checking import is_a
from lesto.common.config import Configuration
from lesto.common.locations import absolute
from lesto.common.options import (
    CheckpointingMode,
    CheckpointRetention,
    RestartStrategyType,
    StateBackendType,
)
from lesto.common.time import Duration, DurationLike, duration_ms

ExternalizedCheckpointRetention = CheckpointRetention


class RuntimeExecutionMode(enum.Enum):
    """Flink's modes; bounded jobs run in STREAMING mode here."""

    STREAMING = 0
    BATCH = 1
    AUTOMATIC = 2


class MemorySize:
    """A number of bytes, with PyFlink's factories."""

    def __init__(self, bytes_size: int) -> None:
        self._bytes = bytes_size

    @staticmethod
    def of_mebi_bytes(mebi_bytes: int) -> MemorySize:
        """MiB."""
        return MemorySize(mebi_bytes << 20)

    def get_bytes(self) -> int:
        """Bytes."""
        return self._bytes

    def get_mebi_bytes(self) -> int:
        """Whole MiB."""
        return self._bytes >> 20

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemorySize) and other._bytes == self._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __repr__(self) -> str:
        return f"{self._bytes} bytes"


class SlotSharingGroup:
    """Operators that may share slots. Resources are not managed: only the name counts."""

    def __init__(self, name: str) -> None:
        if not is_a(name, str) or not name:
            wrong("SlotSharingGroup", "a name", name)
        self._name = name

    def get_name(self) -> str:
        """The name."""
        return self._name

    @staticmethod
    def builder(name: str) -> SlotSharingGroupBuilder:
        """A builder."""
        return SlotSharingGroupBuilder(name)


class SlotSharingGroupBuilder:
    """Flink's builder."""

    def __init__(self, name: str) -> None:
        self._name = name

    def build(self) -> SlotSharingGroup:
        """The group."""
        return SlotSharingGroup(self._name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("set_"):
            unsupported(f"SlotSharingGroup.Builder.{name}", "slots have no declared resources")
        raise AttributeError(name)


def _ms(value: DurationLike, what: str) -> timedelta:
    return timedelta(milliseconds=located(lambda: duration_ms(value, what), what))


class CheckpointConfig:
    """How the job is checkpointed. Times are milliseconds, or any duration."""

    def __init__(self, config: Configuration) -> None:
        self._config = config

    def _set(self, option: Any, value: Any) -> CheckpointConfig:
        self._config.set(option, value)
        return self

    def _millis(self, option: Any) -> int:
        value: timedelta | None = self._config.get(option)
        return -1 if value is None else value // timedelta(milliseconds=1)

    def is_checkpointing_enabled(self) -> bool:
        """Whether checkpoints are taken periodically."""
        return self._millis(options.CHECKPOINTING_INTERVAL) > 0

    def get_checkpointing_mode(self) -> CheckpointingMode:
        """What a recovery guarantees."""
        return self._config.get(options.CHECKPOINTING_MODE)

    def set_checkpointing_mode(self, checkpointing_mode: CheckpointingMode) -> CheckpointConfig:
        """Set what a recovery guarantees."""
        if not isinstance(checkpointing_mode, CheckpointingMode):
            wrong("set_checkpointing_mode", "a CheckpointingMode", checkpointing_mode)
        return self._set(options.CHECKPOINTING_MODE, checkpointing_mode)

    get_checkpointing_consistency_mode = get_checkpointing_mode
    set_checkpointing_consistency_mode = set_checkpointing_mode

    def get_checkpoint_interval(self) -> int:
        """Ms between checkpoints; -1: none are taken."""
        return self._millis(options.CHECKPOINTING_INTERVAL)

    def set_checkpoint_interval(self, checkpoint_interval: DurationLike) -> CheckpointConfig:
        """Set the time between checkpoints."""
        return self._set(
            options.CHECKPOINTING_INTERVAL, _ms(checkpoint_interval, "checkpoint_interval")
        )

    def get_checkpoint_timeout(self) -> int:
        """Ms after which a checkpoint is given up."""
        return self._millis(options.CHECKPOINTING_TIMEOUT)

    def set_checkpoint_timeout(self, checkpoint_timeout: DurationLike) -> CheckpointConfig:
        """Set the time after which a checkpoint is given up."""
        return self._set(
            options.CHECKPOINTING_TIMEOUT, _ms(checkpoint_timeout, "checkpoint_timeout")
        )

    def get_min_pause_between_checkpoints(self) -> int:
        """Ms from the end of one checkpoint to the start of the next."""
        return self._millis(options.MIN_PAUSE_BETWEEN_CHECKPOINTS)

    def set_min_pause_between_checkpoints(
        self, min_pause_between_checkpoints: DurationLike
    ) -> CheckpointConfig:
        """Set the least time from the end of one checkpoint to the start of the next."""
        return self._set(
            options.MIN_PAUSE_BETWEEN_CHECKPOINTS,
            _ms(min_pause_between_checkpoints, "min_pause_between_checkpoints"),
        )

    def get_max_concurrent_checkpoints(self) -> int:
        """Checkpoints under way at one time."""
        return self._config.get(options.MAX_CONCURRENT_CHECKPOINTS)

    def set_max_concurrent_checkpoints(self, max_concurrent_checkpoints: int) -> CheckpointConfig:
        """Set how many checkpoints may be under way."""
        return self._set(options.MAX_CONCURRENT_CHECKPOINTS, max_concurrent_checkpoints)

    def get_tolerable_checkpoint_failure_number(self) -> int:
        """Failed checkpoints in a row that the job survives."""
        return self._config.get(options.TOLERABLE_FAILED_CHECKPOINTS)

    def set_tolerable_checkpoint_failure_number(
        self, tolerable_checkpoint_failure_number: int
    ) -> CheckpointConfig:
        """Set how many failed checkpoints in a row the job survives."""
        return self._set(options.TOLERABLE_FAILED_CHECKPOINTS, tolerable_checkpoint_failure_number)

    def is_fail_on_checkpointing_errors(self) -> bool:
        """Whether the first failed checkpoint fails the job."""
        return self.get_tolerable_checkpoint_failure_number() == 0

    def set_fail_on_checkpointing_errors(
        self, fail_on_checkpointing_errors: bool
    ) -> CheckpointConfig:
        """Set whether the first failed checkpoint fails the job."""
        return self.set_tolerable_checkpoint_failure_number(
            0 if fail_on_checkpointing_errors else 2**31 - 1
        )

    def set_externalized_checkpoint_retention(
        self, retention_mode: CheckpointRetention
    ) -> CheckpointConfig:
        """Set what becomes of checkpoints when the job is cancelled."""
        if not isinstance(retention_mode, CheckpointRetention):
            wrong(
                "set_externalized_checkpoint_retention",
                "an ExternalizedCheckpointRetention",
                retention_mode,
            )
        return self._set(options.CHECKPOINT_RETENTION, retention_mode)

    def get_externalized_checkpoint_retention(self) -> CheckpointRetention | None:
        """What becomes of checkpoints when the job is cancelled."""
        return self._config.get(options.CHECKPOINT_RETENTION)

    def is_externalized_checkpoints_enabled(self) -> bool:
        """Whether any checkpoint outlives the job."""
        retention = self.get_externalized_checkpoint_retention()
        return retention is not CheckpointRetention.NO_EXTERNALIZED_CHECKPOINTS

    def set_checkpoint_storage_dir(self, directory: str) -> CheckpointConfig:
        """Directory (any file-system URI) of the checkpoints."""
        path = located(lambda: absolute(directory), "set_checkpoint_storage_dir")
        return self._set(options.CHECKPOINT_DIR, path)

    def is_unaligned_checkpoints_enabled(self) -> bool:
        """Whether barriers overtake records."""
        return self._config.get(options.UNALIGNED_ENABLED)

    def enable_unaligned_checkpoints(self, enabled: bool = True) -> CheckpointConfig:
        """Let barriers overtake records."""
        return self._set(options.UNALIGNED_ENABLED, enabled)

    def disable_unaligned_checkpoints(self) -> CheckpointConfig:
        """Keep barriers behind the records."""
        return self.enable_unaligned_checkpoints(False)

    def set_aligned_checkpoint_timeout(self, alignment_timeout: DurationLike) -> CheckpointConfig:
        """With unaligned checkpoints: the age of a checkpoint at which barriers overtake."""
        return self._set(
            options.ALIGNED_CHECKPOINT_TIMEOUT, _ms(alignment_timeout, "alignment_timeout")
        )

    def get_aligned_checkpoint_timeout(self) -> Duration:
        """The age of a checkpoint at which barriers overtake; 0: from the start."""
        return Duration.of_millis(self._millis(options.ALIGNED_CHECKPOINT_TIMEOUT))

    set_alignment_timeout = set_aligned_checkpoint_timeout
    get_alignment_timeout = get_aligned_checkpoint_timeout

    def set_force_unaligned_checkpoints(
        self, force_unaligned_checkpoints: bool = True
    ) -> CheckpointConfig:
        """Let barriers overtake on forward, broadcast and custom-partitioned edges too.

        A checkpoint with data of such an edge restores only at the same parallelism.
        """
        return self._set(options.UNALIGNED_FORCED, force_unaligned_checkpoints)

    def is_force_unaligned_checkpoints(self) -> bool:
        """Whether barriers overtake on every kind of edge."""
        return self._config.get(options.UNALIGNED_FORCED)


class RestartStrategy:
    """When a failed job starts again; made by :class:`RestartStrategies`."""

    def __init__(self, settings: dict[Any, Any], description: str) -> None:
        self.settings = settings
        self._description = description

    def get_description(self) -> str:
        """For people."""
        return self._description


class RestartStrategies:
    """The strategies. Delays are ms, or any duration."""

    @staticmethod
    def no_restart() -> RestartStrategy:
        """The first failure ends the job."""
        return RestartStrategy({options.RESTART_STRATEGY: RestartStrategyType.NONE}, "none")

    @staticmethod
    def fall_back_restart() -> RestartStrategy:
        """What the cluster's configuration says."""
        return RestartStrategy({}, "the cluster's")

    @staticmethod
    def fixed_delay_restart(
        restart_attempts: int, delay_between_attempts: DurationLike
    ) -> RestartStrategy:
        """A number of restarts, each after the same delay."""
        delay = _ms(delay_between_attempts, "delay_between_attempts")
        settings = {
            options.RESTART_STRATEGY: RestartStrategyType.FIXED_DELAY,
            options.FIXED_DELAY_ATTEMPTS: restart_attempts,
            options.FIXED_DELAY_DELAY: delay,
        }
        return RestartStrategy(settings, f"{restart_attempts} restarts, {delay} apart")

    @staticmethod
    def failure_rate_restart(
        failure_rate: int, failure_interval: DurationLike, delay_interval: DurationLike
    ) -> RestartStrategy:
        """Restarts as long as there are not too many failures in an interval."""
        settings = {
            options.RESTART_STRATEGY: RestartStrategyType.FAILURE_RATE,
            options.FAILURE_RATE_MAX_FAILURES: failure_rate,
            options.FAILURE_RATE_INTERVAL: _ms(failure_interval, "failure_interval"),
            options.FAILURE_RATE_DELAY: _ms(delay_interval, "delay_interval"),
        }
        return RestartStrategy(settings, f"at most {failure_rate} failures in {failure_interval}")

    @staticmethod
    def exponential_delay_restart(
        initial_backoff: DurationLike = "1s",
        max_backoff: DurationLike = "1min",
        backoff_multiplier: float = 1.5,
        reset_backoff_threshold: DurationLike = "1h",
        jitter_factor: float = 0.1,
    ) -> RestartStrategy:
        """Restarts without end, each after a longer delay."""
        settings = {
            options.RESTART_STRATEGY: RestartStrategyType.EXPONENTIAL_DELAY,
            options.EXPONENTIAL_DELAY_INITIAL_BACKOFF: _ms(initial_backoff, "initial_backoff"),
            options.EXPONENTIAL_DELAY_MAX_BACKOFF: _ms(max_backoff, "max_backoff"),
            options.EXPONENTIAL_DELAY_MULTIPLIER: backoff_multiplier,
            options.EXPONENTIAL_DELAY_RESET_THRESHOLD: _ms(
                reset_backoff_threshold, "reset_backoff_threshold"
            ),
            options.EXPONENTIAL_DELAY_JITTER: jitter_factor,
        }
        return RestartStrategy(settings, f"exponential delay from {initial_backoff}")


class StateBackend:
    """Where keyed state lives."""

    kind: StateBackendType

    def settings(self) -> dict[Any, Any]:
        """As configuration."""
        return {options.STATE_BACKEND: self.kind}


class HashMapStateBackend(StateBackend):
    """In memory."""

    kind = StateBackendType.HASHMAP


class EmbeddedRocksDBStateBackend(StateBackend):
    """In RocksDB, on local disk; as large as the disk."""

    kind = StateBackendType.ROCKSDB

    def __init__(self, enable_incremental_checkpointing: bool | None = None) -> None:
        self._incremental = enable_incremental_checkpointing
        self._paths: list[str] = []

    def settings(self) -> dict[Any, Any]:
        """As configuration."""
        chosen = super().settings()
        if self._incremental is not None:
            chosen[options.INCREMENTAL_CHECKPOINTS] = self._incremental
        if self._paths:
            chosen[options.STATE_LOCAL_DIR] = self._paths[0]
        return chosen

    def is_incremental_checkpoints_enabled(self) -> bool:
        """Whether checkpoints upload only new files."""
        default = Configuration().get(options.INCREMENTAL_CHECKPOINTS)
        return default if self._incremental is None else self._incremental

    def set_db_storage_paths(self, *paths: str) -> None:
        """Local directory of the database; one."""
        if len(paths) > 1:
            unsupported("EmbeddedRocksDBStateBackend with several storage paths", "give one")
        self._paths = list(paths)

    def get_db_storage_paths(self) -> list[str]:
        """Local directories of the database."""
        return list(self._paths)

    def set_predefined_options(self, options: Any) -> None:
        """Not supported: RocksDB is tuned by Lesto."""
        unsupported("EmbeddedRocksDBStateBackend.set_predefined_options")


class ExecutionConfig:
    """Further settings of the job."""

    def __init__(self, config: Configuration) -> None:
        self._config = config

    def get_parallelism(self) -> int:
        """Parallelism of operators that set none."""
        return self._config.get(options.PARALLELISM)

    def set_parallelism(self, parallelism: int) -> ExecutionConfig:
        """Set the parallelism of operators that set none."""
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

    def get_auto_watermark_interval(self) -> int:
        """Ms between watermarks."""
        interval: timedelta = self._config.get(options.AUTO_WATERMARK_INTERVAL)
        return interval // timedelta(milliseconds=1)

    def set_auto_watermark_interval(self, interval: DurationLike) -> ExecutionConfig:
        """Set the time between watermarks."""
        self._config.set(options.AUTO_WATERMARK_INTERVAL, _ms(interval, "interval"))
        return self

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

    def set_restart_strategy(self, restart_strategy: RestartStrategy) -> ExecutionConfig:
        """Set when a failed job starts again."""
        if not isinstance(restart_strategy, RestartStrategy):
            wrong("set_restart_strategy", "one of RestartStrategies", restart_strategy)
        for option, value in restart_strategy.settings.items():
            self._config.set(option, value)
        return self

    def enable_object_reuse(self) -> ExecutionConfig:
        """Accepted: records are never copied between chained operators."""
        return self

    def is_object_reuse_enabled(self) -> bool:
        """Always True."""
        return True

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("set_", "get_", "enable_", "disable_", "is_", "has_")):
            unsupported(f"ExecutionConfig.{name}")
        raise AttributeError(name)

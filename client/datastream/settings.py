"""Settings of a job in PyFlink's words. Each is a view on
:class:`lesto.common.config.Configuration`.
"""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Any

from lesto.client.datastream.checks import located, wrong
from lesto.client.datastream.execution_config import ExecutionConfig
from lesto.client.datastream.resources import MemorySize, SlotSharingGroup
from lesto.client.datastream.restart_strategies import (
    RestartStrategies,
    RestartStrategyConfiguration,
)
from lesto.client.datastream.restart_strategies import duration as _ms
from lesto.client.datastream.state_backends import (
    CheckpointStorage,
    CustomCheckpointStorage,
    CustomStateBackend,
    EmbeddedRocksDBStateBackend,
    FileSystemCheckpointStorage,
    HashMapStateBackend,
    JobManagerCheckpointStorage,
    PredefinedOptions,
    StateBackend,
)
from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.locations import absolute
from lesto.common.options import CheckpointingMode, CheckpointRetention
from lesto.common.time import Duration, DurationLike

__all__ = [
    "CheckpointConfig",
    "CheckpointStorage",
    "CheckpointingMode",
    "CustomCheckpointStorage",
    "CustomStateBackend",
    "EmbeddedRocksDBStateBackend",
    "ExecutionConfig",
    "ExternalizedCheckpointRetention",
    "FileSystemCheckpointStorage",
    "HashMapStateBackend",
    "JobManagerCheckpointStorage",
    "MemorySize",
    "PredefinedOptions",
    "RestartStrategies",
    "RestartStrategy",
    "RestartStrategyConfiguration",
    "RuntimeExecutionMode",
    "SlotSharingGroup",
    "StateBackend",
]

RestartStrategy = RestartStrategyConfiguration

ExternalizedCheckpointRetention = CheckpointRetention


class RuntimeExecutionMode(enum.Enum):
    """Flink's modes; bounded jobs run in STREAMING mode here."""

    STREAMING = 0
    BATCH = 1
    AUTOMATIC = 2


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

    def set_checkpoint_storage(self, storage: CheckpointStorage) -> CheckpointConfig:
        """Where the checkpoints go."""
        if not isinstance(storage, CheckpointStorage):
            wrong("set_checkpoint_storage", "a CheckpointStorage", storage)
        for option, value in storage.settings().items():
            self._set(option, value)
        return self

    def get_checkpoint_storage(self) -> CheckpointStorage | None:
        """Where the checkpoints go; None: not set."""
        path = self._config.get(options.CHECKPOINT_DIR)
        return None if path is None else FileSystemCheckpointStorage(path)

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

"""Flink's options of the file sink: names of files, when they end, where they go."""

from __future__ import annotations

from typing import Final

from lesto.connectors.errors import ConnectorConfigError

#: Size of a part file, unless the sink is given another.
PART_BYTES_MAX: Final = 256 << 20


class OutputFileConfig:
    """Flink's naming options of part files."""

    def __init__(self, part_prefix: str, part_suffix: str = "") -> None:
        self.part_prefix = part_prefix
        self.part_suffix = part_suffix

    def get_part_prefix(self) -> str:
        """First part of the file names."""
        return self.part_prefix

    def get_part_suffix(self) -> str:
        """Ending of the file names."""
        return self.part_suffix

    @staticmethod
    def builder() -> OutputFileConfig.OutputFileConfigBuilder:
        """A builder."""
        return OutputFileConfig.OutputFileConfigBuilder()

    class OutputFileConfigBuilder:
        """Builds an ``OutputFileConfig``."""

        def __init__(self) -> None:
            self._prefix = "part"
            self._suffix = ""

        def with_part_prefix(self, prefix: str) -> OutputFileConfig.OutputFileConfigBuilder:
            """First part of the file names."""
            self._prefix = prefix
            return self

        def with_part_suffix(self, suffix: str) -> OutputFileConfig.OutputFileConfigBuilder:
            """Ending of the file names."""
            self._suffix = suffix
            return self

        def build(self) -> OutputFileConfig:
            """The options."""
            return OutputFileConfig(self._prefix, self._suffix)


class RollingPolicy:
    """When a part file is closed: at each checkpoint, to be visible exactly once, or earlier."""

    def __init__(self, part_bytes: int) -> None:
        self.part_bytes = part_bytes

    @staticmethod
    def default_rolling_policy(
        part_size: int = 1024 * 1024 * 128,
        rollover_interval: int = 60 * 1000,
        inactivity_interval: int = 60 * 1000,
    ) -> RollingPolicy:
        """At ``part_size`` bytes too. The intervals are for compatibility: checkpoints close files
        sooner or later, and nothing is visible before.
        """
        return DefaultRollingPolicy(part_size)

    @staticmethod
    def on_checkpoint_rolling_policy() -> RollingPolicy:
        """At checkpoints, unless a file becomes very large."""
        return OnCheckpointRollingPolicy(PART_BYTES_MAX)


class DefaultRollingPolicy(RollingPolicy):
    """At a size too."""


class OnCheckpointRollingPolicy(RollingPolicy):
    """At checkpoints, unless a file becomes very large."""


class BucketAssigner:
    """Which sub-directory a record goes to: in Lesto, none."""

    @staticmethod
    def base_path_bucket_assigner() -> BucketAssigner:
        """All files in the sink's directory."""
        return BucketAssigner()

    @staticmethod
    def date_time_bucket_assigner(
        format_str: str = "yyyy-MM-dd--HH", timezone_id: str | None = None
    ) -> BucketAssigner:
        """Flink's directories by hour.

        Raises:
            ConnectorConfigError: they are not there yet.
        """
        msg = "a file sink does not write to directories by time yet"
        raise ConnectorConfigError(
            msg, remedy="leave it out, and give the records a column of their day or hour"
        )

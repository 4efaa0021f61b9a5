"""Where keyed state and checkpoints live, in PyFlink's words."""

from __future__ import annotations

import enum
from typing import Any, Final

from lesto.client.datastream.checks import located, unsupported
from lesto.client.datastream.no_meaning import no_meaning
from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.locations import absolute
from lesto.common.options import StateBackendType

_TUNED: Final = "Lesto chooses RocksDB's options itself"
_INLINE: Final = "keyed state is in files, other state in the metadata, whatever its size"


class StateBackend:
    """Where keyed state lives."""

    kind: StateBackendType

    def settings(self) -> dict[Any, Any]:
        """As configuration."""
        return {options.STATE_BACKEND: self.kind}


class HashMapStateBackend(StateBackend):
    """In memory."""

    kind = StateBackendType.HASHMAP


class PredefinedOptions(enum.Enum):
    """Flink's sets of options of RocksDB."""

    DEFAULT = 0
    SPINNING_DISK_OPTIMIZED = 1
    SPINNING_DISK_OPTIMIZED_HIGH_MEM = 2
    FLASH_SSD_OPTIMIZED = 3


class EmbeddedRocksDBStateBackend(StateBackend):
    """In RocksDB, on local disk; as large as the disk."""

    kind = StateBackendType.ROCKSDB

    def __init__(self, enable_incremental_checkpointing: bool | None = None) -> None:
        self._incremental = enable_incremental_checkpointing
        self._paths: list[str] = []
        self._predefined = PredefinedOptions.DEFAULT
        self._factory: str | None = None
        self._transfer_threads = 4

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

    def set_predefined_options(self, options: PredefinedOptions) -> None:
        """Kept; changes nothing."""
        no_meaning("EmbeddedRocksDBStateBackend.set_predefined_options", _TUNED)
        self._predefined = options

    def get_predefined_options(self) -> PredefinedOptions:
        """What was set."""
        return self._predefined

    def set_options(self, options_factory_class_name: str) -> None:
        """Kept; changes nothing."""
        no_meaning("EmbeddedRocksDBStateBackend.set_options", _TUNED)
        self._factory = options_factory_class_name

    def get_options(self) -> str | None:
        """What was set."""
        return self._factory

    def set_number_of_transfer_threads(self, number_of_transfering_threads: int) -> None:
        """Kept; changes nothing."""
        no_meaning(
            "EmbeddedRocksDBStateBackend.set_number_of_transfer_threads",
            "a slot's I/O threads move files of checkpoints",
        )
        self._transfer_threads = number_of_transfering_threads

    def get_number_of_transfer_threads(self) -> int:
        """What was set."""
        return self._transfer_threads


class CustomStateBackend(StateBackend):
    """Flink's backends of others are Java classes.

    Raises:
        NotSupportedError: always.
    """

    def __init__(self, *_: Any) -> None:
        unsupported("CustomStateBackend", "use HashMapStateBackend or EmbeddedRocksDBStateBackend")


class CheckpointStorage:
    """Where checkpoints go: always files, below ``execution.checkpointing.dir``."""

    def settings(self) -> dict[Any, Any]:
        """As configuration."""
        path = self.get_checkpoint_path()
        return {} if path is None else {options.CHECKPOINT_DIR: path}

    def get_checkpoint_path(self) -> str | None:
        """Directory of checkpoints; None: the configuration's."""
        return None

    def get_savepoint_path(self) -> str | None:
        """Directory of savepoints: the configuration's."""
        return None


class JobManagerCheckpointStorage(CheckpointStorage):
    """Flink's checkpoints in the memory of the JobManager; files here, too."""

    DEFAULT_MAX_STATE_SIZE = 5 << 20

    def __init__(
        self, checkpoint_path: str | None = None, max_state_size: int | None = None
    ) -> None:
        self._path = _checked(checkpoint_path)
        self._max_state_size = max_state_size or self.DEFAULT_MAX_STATE_SIZE

    def get_checkpoint_path(self) -> str | None:
        """Directory of checkpoints; None: the configuration's."""
        return self._path

    def get_max_state_size(self) -> int:
        """Bytes; what was set, checkpoints are not bound by it."""
        return self._max_state_size


class FileSystemCheckpointStorage(CheckpointStorage):
    """Checkpoints in files."""

    MAX_FILE_STATE_THRESHOLD = 1 << 20

    def __init__(
        self,
        checkpoint_path: str,
        file_state_size_threshold: int | None = None,
        write_buffer_size: int = -1,
    ) -> None:
        self._path = _checked(checkpoint_path)
        self._threshold = -1 if file_state_size_threshold is None else file_state_size_threshold
        self._buffer = write_buffer_size
        if self._threshold >= 0 or write_buffer_size >= 0:
            no_meaning("file_state_size_threshold or write_buffer_size", _INLINE)

    def get_checkpoint_path(self) -> str | None:
        """Directory of checkpoints."""
        return self._path

    def get_min_file_size_threshold(self) -> int:
        """Bytes; what was set, it changes nothing."""
        return self._threshold

    def get_write_buffer_size(self) -> int:
        """Bytes; what was set, it changes nothing."""
        return self._buffer


class CustomCheckpointStorage(CheckpointStorage):
    """Flink's storages of others are Java classes.

    Raises:
        NotSupportedError: always.
    """

    def __init__(self, *_: Any) -> None:
        unsupported("CustomCheckpointStorage", "use FileSystemCheckpointStorage(uri)")


def _checked(path: str | None) -> str | None:
    return None if path is None else located(lambda: absolute(path), "checkpoint storage")

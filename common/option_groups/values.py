"""Values that options choose from."""

from __future__ import annotations

import enum

KIB = 1 << 10
MIB = 1 << 20


class CheckpointingMode(enum.Enum):
    """What a checkpoint promises after a recovery."""

    EXACTLY_ONCE = "EXACTLY_ONCE"
    AT_LEAST_ONCE = "AT_LEAST_ONCE"


class ExecutionMode(enum.Enum):
    """How a job runs: on and on, or once over bounded input."""

    STREAMING = "STREAMING"
    BATCH = "BATCH"
    AUTOMATIC = "AUTOMATIC"


class CheckpointRetention(enum.Enum):
    """What becomes of a job's checkpoints when it ends."""

    RETAIN_ON_CANCELLATION = "RETAIN_ON_CANCELLATION"
    DELETE_ON_CANCELLATION = "DELETE_ON_CANCELLATION"
    NO_EXTERNALIZED_CHECKPOINTS = "NO_EXTERNALIZED_CHECKPOINTS"


class RestoreClaimMode(enum.Enum):
    """Whose the snapshot is that a job starts from."""

    NO_CLAIM = "NO_CLAIM"
    CLAIM = "CLAIM"
    LEGACY = "LEGACY"


class StateBackendType(enum.Enum):
    """Where keyed state lives while the job runs."""

    HASHMAP = "hashmap"
    ROCKSDB = "rocksdb"


class HighAvailabilityType(enum.Enum):
    """Where JobManagers agree on their leader."""

    NONE = "NONE"
    FILESYSTEM = "filesystem"
    ETCD = "etcd"
    KUBERNETES = "kubernetes"


class RestartStrategyType(enum.Enum):
    """When a failed job is started again."""

    NONE = "none"
    FIXED_DELAY = "fixed-delay"
    FAILURE_RATE = "failure-rate"
    EXPONENTIAL_DELAY = "exponential-delay"


class SchedulerType(enum.Enum):
    """How a job gets its slots."""

    DEFAULT = "default"
    ADAPTIVE = "adaptive"


class SchedulerMode(enum.Enum):
    """Who decides a job's parallelism."""

    REACTIVE = "reactive"


class FailoverStrategy(enum.Enum):
    """What a failure restarts."""

    REGION = "region"
    FULL = "full"

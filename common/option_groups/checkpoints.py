"""Checkpoints, and where they lie."""

from __future__ import annotations

from datetime import timedelta

from lesto.common.option_groups.values import (
    MIB,
    CheckpointingMode,
    CheckpointRetention,
    RestoreClaimMode,
    StateBackendType,
)
from lesto.common.option_types import ConfigOption, MemorySize

# ------------------------------------------------------------------------------------- checkpoints

CHECKPOINTING_INTERVAL = ConfigOption(
    "execution.checkpointing.interval",
    timedelta,
    timedelta(seconds=10),
    "Time between the starts of two checkpoints; 0 turns periodic checkpoints off.",
    minimum=timedelta(0),
)
CHECKPOINTING_MODE = ConfigOption(
    "execution.checkpointing.mode",
    CheckpointingMode,
    CheckpointingMode.EXACTLY_ONCE,
    "Whether barriers are aligned (exactly-once) or not (at-least-once).",
)
CHECKPOINTING_TIMEOUT = ConfigOption(
    "execution.checkpointing.timeout",
    timedelta,
    timedelta(minutes=10),
    "A checkpoint that takes longer is given up.",
    minimum=timedelta(milliseconds=10),
)
MIN_PAUSE_BETWEEN_CHECKPOINTS = ConfigOption(
    "execution.checkpointing.min-pause",
    timedelta,
    timedelta(0),
    "Shortest time between the end of a checkpoint and the start of the next.",
    minimum=timedelta(0),
)
MAX_CONCURRENT_CHECKPOINTS = ConfigOption(
    "execution.checkpointing.max-concurrent-checkpoints",
    int,
    1,
    "Checkpoints that may be in progress at once; a min-pause leaves room for one. Savepoints come "
    "on top.",
    minimum=1,
)
TOLERABLE_FAILED_CHECKPOINTS = ConfigOption(
    "execution.checkpointing.tolerable-failed-checkpoints",
    int,
    3,
    "Failed checkpoints in a row before the job fails over.",
    minimum=0,
)
CHECKPOINT_RETENTION = ConfigOption(
    "execution.checkpointing.externalized-checkpoint-retention",
    CheckpointRetention,
    CheckpointRetention.RETAIN_ON_CANCELLATION,
    "Whether checkpoints stay when the job is cancelled. When it fails they stay too, but for "
    "NO_EXTERNALIZED_CHECKPOINTS. When it finishes, they go.",
)
NUM_RETAINED_CHECKPOINTS = ConfigOption(
    "execution.checkpointing.num-retained",
    int,
    3,
    "Complete checkpoints that are kept.",
    aliases=("state.checkpoints.num-retained",),
    minimum=1,
)
CHECKPOINT_DIR: ConfigOption[str | None] = ConfigOption(
    "execution.checkpointing.dir",
    str,
    None,
    "Directory or URI for checkpoints; every process must reach it. An embedded cluster without "
    "it uses a temporary directory that goes with the cluster.",
    aliases=("state.checkpoints.dir",),
)
SAVEPOINT_DIR: ConfigOption[str | None] = ConfigOption(
    "execution.checkpointing.savepoint-dir",
    str,
    None,
    "Directory or URI for savepoints that name none.",
    aliases=("state.savepoints.dir",),
)
INCREMENTAL_CHECKPOINTS = ConfigOption(
    "execution.checkpointing.incremental",
    bool,
    True,
    "Upload only what changed since the previous checkpoint, where the backend can.",
    aliases=("state.backend.incremental",),
)
UNALIGNED_ENABLED = ConfigOption(
    "execution.checkpointing.unaligned.enabled",
    bool,
    False,
    "Let barriers overtake data that waits: how long a checkpoint takes then does not depend on "
    "backpressure, and what was overtaken is in the checkpoint.",
    aliases=("execution.checkpointing.unaligned",),
)
ALIGNED_CHECKPOINT_TIMEOUT = ConfigOption(
    "execution.checkpointing.aligned-checkpoint-timeout",
    timedelta,
    timedelta(0),
    "With unaligned checkpoints: barriers overtake only once the checkpoint is this old; 0: from "
    "the start.",
    minimum=timedelta(0),
)
UNALIGNED_FORCED = ConfigOption(
    "execution.checkpointing.unaligned.forced",
    bool,
    False,
    "Let barriers overtake on forward, broadcast and custom-partitioned edges too. A checkpoint "
    "with data of such an edge restores only at the same parallelism.",
)
UNALIGNED_MAX_BYTES = ConfigOption(
    "execution.checkpointing.unaligned.max-in-flight-size",
    MemorySize,
    MemorySize(128 * MIB),
    "Most in-flight data that one task puts into a checkpoint; with more it waits for alignment.",
    minimum=MemorySize(0),
)
CHECKPOINTS_AFTER_TASKS_FINISH = ConfigOption(
    "execution.checkpointing.checkpoints-after-tasks-finish",
    bool,
    True,
    "Go on with checkpoints when some bounded sources have ended.",
    aliases=("execution.checkpointing.checkpoints-after-tasks-finish.enabled",),
)
SAVEPOINT_PATH: ConfigOption[str | None] = ConfigOption(
    "execution.state-recovery.path",
    str,
    None,
    "Savepoint or checkpoint that the job starts from.",
    aliases=("execution.savepoint.path",),
)
SAVEPOINT_IGNORE_UNCLAIMED_STATE = ConfigOption(
    "execution.state-recovery.ignore-unclaimed-state",
    bool,
    False,
    "Start although the savepoint has state that no operator of the job claims.",
    aliases=("execution.savepoint.ignore-unclaimed-state",),
)

CLAIM_MODE = ConfigOption(
    "execution.state-recovery.claim-mode",
    RestoreClaimMode,
    RestoreClaimMode.NO_CLAIM,
    "Whose the snapshot is that the job starts from. NO_CLAIM: it stays its owner's, and the first "
    "checkpoint is full, so that nothing refers to it. CLAIM: the job's, which deletes it like one "
    "of its own. LEGACY is not supported.",
    aliases=("execution.savepoint-restore-mode",),
)

# ------------------------------------------------------------------------------------------- state

STATE_BACKEND = ConfigOption(
    "state.backend.type",
    StateBackendType,
    StateBackendType.ROCKSDB,
    "Where keyed state lives: in memory (hashmap), or in RocksDB below an in-memory cache.",
    aliases=("state.backend",),
)
ROCKSDB_CACHE_SIZE = ConfigOption(
    "state.backend.rocksdb.cache-size",
    MemorySize,
    MemorySize(256 * MIB),
    "Memory of a slot for state held as objects or tables above RocksDB.",
    minimum=MemorySize(MIB),
)
TABLE_CACHE = ConfigOption(
    "state.backend.lesto.table-cache",
    MemorySize,
    MemorySize(512 * MIB),
    "Memory of a slot for the rows that SQL operators keep (joins, Top-N, deduplication) and their "
    "indices, with either backend. What exceeds it lies in files below state.backend.local-dir.",
    minimum=MemorySize(MIB),
)
STATE_LOCAL_DIR: ConfigOption[str | None] = ConfigOption(
    "state.backend.local-dir",
    str,
    None,
    "Local directory for working state; by default a temporary one that goes with the process.",
    aliases=("state.backend.rocksdb.localdir",),
)
LOCAL_BACKUP = ConfigOption(
    "execution.checkpointing.local-backup.enabled",
    bool,
    False,
    "Keep the files of the newest checkpoint on each machine's disk too: links for RocksDB, copies "
    "for hashmap.",
)
RECOVER_FROM_LOCAL = ConfigOption(
    "execution.state-recovery.from-local",
    bool,
    False,
    "Restore from the machine's own copies where they are whole, else from checkpoint storage.",
    aliases=("state.backend.local-recovery",),
)

# ---------------------------------------------------------------------------------- remote storage

STORAGE_TIMEOUT = ConfigOption(
    "state.storage.operation-timeout",
    timedelta,
    timedelta(seconds=30),
    "Longest time of one try of a request to remote checkpoint storage.",
    minimum=timedelta(milliseconds=10),
)
STORAGE_RETRY_ATTEMPTS = ConfigOption(
    "state.storage.retry.max-attempts",
    int,
    6,
    "Tries of a request to remote checkpoint storage: 503, throttling, timeouts, lost answers.",
    minimum=1,
    maximum=100,
)
STORAGE_RETRY_INITIAL_BACKOFF = ConfigOption(
    "state.storage.retry.initial-backoff",
    timedelta,
    timedelta(milliseconds=200),
    "Pause before the second try; it doubles with each further one, less up to half at random.",
    minimum=timedelta(0),
)
STORAGE_RETRY_MAX_BACKOFF = ConfigOption(
    "state.storage.retry.max-backoff",
    timedelta,
    timedelta(seconds=10),
    "Longest pause between two tries.",
    minimum=timedelta(0),
)
S3_ENDPOINT: ConfigOption[str | None] = ConfigOption(
    "s3.endpoint",
    str,
    None,
    "URL of an S3 service other than Amazon's.",
)
S3_REGION: ConfigOption[str | None] = ConfigOption(
    "s3.endpoint.region",
    str,
    None,
    "Region of the S3 service; else AWS_REGION, else us-east-1.",
    aliases=("s3.region",),
)
S3_ACCESS_KEY: ConfigOption[str | None] = ConfigOption(
    "s3.access-key",
    str,
    None,
    "Access key; without it AWS_ACCESS_KEY_ID, then the machine's role.",
    aliases=("s3.access.key",),
    secret=True,
)
S3_SECRET_KEY: ConfigOption[str | None] = ConfigOption(
    "s3.secret-key",
    str,
    None,
    "Secret that belongs to the access key.",
    aliases=("s3.secret.key",),
    secret=True,
)
S3_SESSION_TOKEN: ConfigOption[str | None] = ConfigOption(
    "s3.session-token", str, None, "Token of temporary credentials.", secret=True
)
S3_PATH_STYLE = ConfigOption(
    "s3.path.style.access",
    bool,
    False,
    "Put the bucket into the path of a URL, not into its host name; most other S3 services ask "
    "for it.",
    aliases=("s3.path-style-access",),
)

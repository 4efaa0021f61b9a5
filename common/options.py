"""Every configuration option, by Flink's key where Flink has the option, with Lesto's default.

``docs/configuration.md`` is generated from this file; the blocks below are its sections.
"""

from __future__ import annotations

import enum
from datetime import timedelta
from functools import cache
from typing import Any

from lesto.common.option_types import ConfigOption, MemorySize

KIB = 1 << 10
MIB = 1 << 20


class CheckpointingMode(enum.Enum):
    """What a checkpoint promises after a recovery."""

    EXACTLY_ONCE = "EXACTLY_ONCE"
    AT_LEAST_ONCE = "AT_LEAST_ONCE"


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


# ------------------------------------------------------------------------------------- pipeline

PARALLELISM = ConfigOption(
    "parallelism.default", int, 1, "Parallelism of operators that set none.", minimum=1
)
MAX_PARALLELISM = ConfigOption(
    "pipeline.max-parallelism",
    int,
    -1,
    "Number of key groups, the limit of rescaling; fixed with the state. -1 derives it from the "
    "parallelism: 1.5 times, rounded up to a power of two, between 128 and 32768.",
    minimum=-1,
    maximum=32768,
)
PIPELINE_NAME: ConfigOption[str | None] = ConfigOption(
    "pipeline.name", str, None, "Name of the job where execute() gives none."
)
OPERATOR_CHAINING = ConfigOption(
    "pipeline.operator-chaining.enabled",
    bool,
    True,
    "Fuse forward-connected operators of equal parallelism into one task.",
    aliases=("pipeline.operator-chaining",),
)
AUTO_WATERMARK_INTERVAL = ConfigOption(
    "pipeline.auto-watermark-interval",
    timedelta,
    timedelta(milliseconds=200),
    "How often periodic watermarks are emitted; 0: never.",
    minimum=timedelta(0),
)
GLOBAL_JOB_PARAMETERS: ConfigOption[dict[str, str] | None] = ConfigOption(
    "pipeline.global-job-parameters",
    dict,
    None,
    "Parameters that every function of the job can read.",
)
BUFFER_TIMEOUT = ConfigOption(
    "execution.buffer-timeout.interval",
    timedelta,
    timedelta(milliseconds=5),
    "Longest time a record waits for its batch to fill; 0 flushes after every record.",
    aliases=("execution.buffer-timeout",),
    minimum=timedelta(0),
)
ATTACHED = ConfigOption(
    "execution.attached", bool, True, "Whether `lesto run` waits for the job to end."
)

# ---------------------------------------------------------------------------------- checkpoints

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

# ---------------------------------------------------------------------------------------- state

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

# ---------------------------------------------------------------------------- remote storage

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

# ----------------------------------------------------------------------------- restart strategy

RESTART_STRATEGY = ConfigOption(
    "restart-strategy.type",
    RestartStrategyType,
    RestartStrategyType.EXPONENTIAL_DELAY,
    "When a failed job is started again.",
    aliases=("restart-strategy",),
)
RESTART_ON_USER_ERRORS = ConfigOption(
    "restart-strategy.restart-on-user-errors",
    bool,
    True,
    "Whether an exception of the user's code is tried again like any failure. A job that"
    " `lesto run` or `python job.py` starts on a cluster of its own ends at the first one, unless"
    " restart-strategy.type is set.",
)
SCHEDULER = ConfigOption(
    "jobmanager.scheduler",
    SchedulerType,
    SchedulerType.DEFAULT,
    "Whether a job waits for all slots of its parallelism (default), or takes the parallelism that"
    " the slots allow, up to its own (adaptive).",
)
SCHEDULER_MODE: ConfigOption[SchedulerMode | None] = ConfigOption(
    "scheduler-mode",
    SchedulerMode,
    None,
    "reactive: jobs use all slots there are, whatever parallelism they declare, up to their max"
    " parallelism. Implies the adaptive scheduler.",
)
ADAPTIVE_WAIT = ConfigOption(
    "jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout",
    timedelta,
    timedelta(seconds=2),
    "How long an adaptive job waits for slots it lacks, before it goes on with fewer.",
    minimum=timedelta(milliseconds=1),
)
ADAPTIVE_STABILIZATION = ConfigOption(
    "jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout",
    timedelta,
    timedelta(seconds=5),
    "How long the slots must be unchanged before an adaptive job is scaled up.",
    minimum=timedelta(0),
)
ADAPTIVE_COOLDOWN = ConfigOption(
    "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling",
    timedelta,
    timedelta(seconds=10),
    "Least time from one change of an adaptive job's parallelism to its next growth.",
    minimum=timedelta(0),
)
MAX_FAILURES_PER_RECORD = ConfigOption(
    "restart-strategy.max-failures-per-record",
    int,
    3,
    "A job fails for good when a function has failed this often, one time after another, on the"
    " same record at an unmoved place of its source. 0: it is tried for ever. An OSError, such as"
    " a refused connection, does not count.",
    minimum=0,
)
FAILOVER_STRATEGY = ConfigOption(
    "jobmanager.execution.failover-strategy",
    FailoverStrategy,
    FailoverStrategy.REGION,
    "What a failure restarts: the tasks that exchange data with the failed one (region), or all"
    " tasks of the job (full).",
)
FIXED_DELAY_ATTEMPTS = ConfigOption(
    "restart-strategy.fixed-delay.attempts", int, 1, "Restarts before the job fails.", minimum=0
)
FIXED_DELAY_DELAY = ConfigOption(
    "restart-strategy.fixed-delay.delay",
    timedelta,
    timedelta(seconds=1),
    "Time between a failure and the restart.",
    minimum=timedelta(0),
)
FAILURE_RATE_DELAY = ConfigOption(
    "restart-strategy.failure-rate.delay",
    timedelta,
    timedelta(seconds=1),
    "Time between a failure and the restart.",
    minimum=timedelta(0),
)
FAILURE_RATE_INTERVAL = ConfigOption(
    "restart-strategy.failure-rate.failure-rate-interval",
    timedelta,
    timedelta(minutes=1),
    "Interval over which failures are counted.",
    minimum=timedelta(milliseconds=1),
)
FAILURE_RATE_MAX_FAILURES = ConfigOption(
    "restart-strategy.failure-rate.max-failures-per-interval",
    int,
    1,
    "Failures within the interval that are tolerated.",
    minimum=0,
)
EXPONENTIAL_DELAY_INITIAL_BACKOFF = ConfigOption(
    "restart-strategy.exponential-delay.initial-backoff",
    timedelta,
    timedelta(seconds=1),
    "First delay.",
    minimum=timedelta(milliseconds=1),
)
EXPONENTIAL_DELAY_MAX_BACKOFF = ConfigOption(
    "restart-strategy.exponential-delay.max-backoff",
    timedelta,
    timedelta(minutes=1),
    "Longest delay.",
    minimum=timedelta(milliseconds=1),
)
EXPONENTIAL_DELAY_MULTIPLIER = ConfigOption(
    "restart-strategy.exponential-delay.backoff-multiplier",
    float,
    1.5,
    "Factor from one delay to the next.",
    minimum=1.0,
)
EXPONENTIAL_DELAY_RESET_THRESHOLD = ConfigOption(
    "restart-strategy.exponential-delay.reset-backoff-threshold",
    timedelta,
    timedelta(hours=1),
    "A run this long without a failure sets the delay back to the first.",
    minimum=timedelta(milliseconds=1),
)
EXPONENTIAL_DELAY_JITTER = ConfigOption(
    "restart-strategy.exponential-delay.jitter-factor",
    float,
    0.1,
    "Random part of a delay, as a share of it.",
    minimum=0.0,
    maximum=1.0,
)
EXPONENTIAL_DELAY_ATTEMPTS: ConfigOption[int | None] = ConfigOption(
    "restart-strategy.exponential-delay.attempts-before-reset-backoff",
    int,
    None,
    "Restarts before the job fails; unset: no limit.",
    minimum=0,
)

# ------------------------------------------------------------------------- processes and network

JOBMANAGER_ADDRESS = ConfigOption(
    "jobmanager.rpc.address", str, "127.0.0.1", "Host at which the JobManager is reached."
)
JOBMANAGER_PORT = ConfigOption(
    "jobmanager.rpc.port",
    int,
    6123,
    "Port of the JobManager; 0 takes a free one.",
    minimum=0,
    maximum=65535,
)
JOBMANAGER_BIND_HOST = ConfigOption(
    "jobmanager.bind-host", str, "127.0.0.1", "Address that the JobManager listens on."
)
TASKMANAGER_HOST = ConfigOption(
    "taskmanager.host", str, "127.0.0.1", "Host at which other TaskManagers reach this one."
)
TASKMANAGER_BIND_HOST = ConfigOption(
    "taskmanager.bind-host", str, "127.0.0.1", "Address that the TaskManager's slots listen on."
)
TASK_SLOTS = ConfigOption(
    "taskmanager.numberOfTaskSlots",
    int,
    1,
    "Slots of a TaskManager; each is a process of its own.",
    minimum=1,
    maximum=1024,
)
CHANNEL_CREDIT = ConfigOption(
    "taskmanager.network.channel-credit",
    MemorySize,
    MemorySize(MIB),
    "Bytes that may be under way in one channel between two tasks.",
    minimum=MemorySize(4 * KIB),
)
BUFFER_DEBLOAT_ENABLED = ConfigOption(
    "taskmanager.network.memory.buffer-debloat.enabled",
    bool,
    True,
    "Whether a channel to a slow task holds only what the task is through with in the target time.",
)
BUFFER_DEBLOAT_TARGET = ConfigOption(
    "taskmanager.network.memory.buffer-debloat.target",
    timedelta,
    timedelta(seconds=1),
    "Time in which a task should be through with what waits in one of its channels.",
    minimum=timedelta(milliseconds=1),
)
BATCH_ROWS = ConfigOption(
    "taskmanager.batch.rows",
    int,
    32768,
    "Most rows that a source puts in one batch.",
    minimum=1,
    maximum=1 << 20,
)
BATCH_BYTES = ConfigOption(
    "taskmanager.batch.bytes",
    MemorySize,
    MemorySize(MIB),
    "Bytes at which a batch is full.",
    minimum=MemorySize(KIB),
)
HEARTBEAT_INTERVAL = ConfigOption(
    "heartbeat.interval",
    timedelta,
    timedelta(seconds=1),
    "Time between two heartbeats.",
    minimum=timedelta(milliseconds=10),
)
HEARTBEAT_TIMEOUT = ConfigOption(
    "heartbeat.timeout",
    timedelta,
    timedelta(seconds=3),
    "A peer that is silent for longer counts as lost.",
    minimum=timedelta(milliseconds=20),
)
SLOT_REQUEST_TIMEOUT = ConfigOption(
    "slot.request.timeout",
    timedelta,
    timedelta(minutes=5),
    "A job that waits longer for slots fails.",
    minimum=timedelta(milliseconds=10),
)
TASK_CANCELLATION_TIMEOUT = ConfigOption(
    "task.cancellation.timeout",
    timedelta,
    timedelta(seconds=30),
    "A task that takes longer to stop has its slot process killed; 0: it never is.",
    minimum=timedelta(0),
)
TASKMANAGER_REGISTRATION_TIMEOUT = ConfigOption(
    "taskmanager.registration.timeout",
    timedelta,
    timedelta(minutes=5),
    "A TaskManager that cannot register for longer ends.",
    minimum=timedelta(milliseconds=10),
)
SLOT_START_TIMEOUT = ConfigOption(
    "taskmanager.slot.start-timeout",
    timedelta,
    timedelta(seconds=60),
    "A slot process that is not ready by then is started anew.",
    minimum=timedelta(seconds=1),
)
CLIENT_TIMEOUT = ConfigOption(
    "client.timeout",
    timedelta,
    timedelta(seconds=60),
    "Longest wait of the client for an answer of the JobManager.",
    minimum=timedelta(milliseconds=10),
)
TMP_DIRS: ConfigOption[str | None] = ConfigOption(
    "io.tmp.dirs", str, None, "Parent of temporary directories; by default the system's."
)

# --------------------------------------------------------------------- high availability and jobs

HA_TYPE: ConfigOption[HighAvailabilityType | None] = ConfigOption(
    "high-availability.type",
    HighAvailabilityType,
    None,
    "Where JobManagers agree on their leader. By default filesystem when there is durable storage "
    "(high-availability.storageDir or execution.checkpointing.dir), else NONE: jobs end with their "
    "JobManager.",
    aliases=("high-availability", "high-availability.mode"),
)
HA_STORAGE_DIR: ConfigOption[str | None] = ConfigOption(
    "high-availability.storageDir",
    str,
    None,
    "Directory or URI where submitted jobs, their logs and the leader's lease are kept, reached by "
    "all machines; by default the folder _ha in execution.checkpointing.dir.",
    aliases=("jobstore.dir",),
)
HA_CLUSTER_ID = ConfigOption(
    "high-availability.cluster-id",
    str,
    "default",
    "Tells clusters apart that share a storage or a service.",
)
HA_LEASE_DURATION = ConfigOption(
    "high-availability.lease-duration",
    timedelta,
    timedelta(seconds=2),
    "A leader that cannot renew its lease for so long acts no more; one whose lease others have "
    "seen unchanged for a quarter longer is replaced.",
    aliases=("high-availability.kubernetes.leader-election.lease-duration",),
    minimum=timedelta(milliseconds=100),
)
HA_RENEW_INTERVAL = ConfigOption(
    "high-availability.renew-interval",
    timedelta,
    timedelta(milliseconds=400),
    "Time between two renewals of the lease, and between two looks at that of another.",
    aliases=("high-availability.kubernetes.leader-election.retry-period",),
    minimum=timedelta(milliseconds=20),
)
HA_ETCD_ENDPOINTS: ConfigOption[str | None] = ConfigOption(
    "high-availability.etcd.endpoints",
    str,
    None,
    "etcd's client URLs, separated by commas: http://10.0.0.5:2379.",
)
HA_ETCD_USER: ConfigOption[str | None] = ConfigOption(
    "high-availability.etcd.user", str, None, "User at etcd, when it wants one."
)
HA_ETCD_PASSWORD: ConfigOption[str | None] = ConfigOption(
    "high-availability.etcd.password", str, None, "Password of that user.", secret=True
)
HA_KUBERNETES_API: ConfigOption[str | None] = ConfigOption(
    "high-availability.kubernetes.api-server",
    str,
    None,
    "URL of the Kubernetes API; by default that of the pod this process runs in.",
)
HA_KUBERNETES_NAMESPACE: ConfigOption[str | None] = ConfigOption(
    "kubernetes.namespace", str, None, "Namespace of the lease; by default the pod's."
)
CLIENT_FAILOVER_TIMEOUT = ConfigOption(
    "client.failover-timeout",
    timedelta,
    timedelta(seconds=60),
    "Longest time that a client looks for the next leader of a highly available cluster.",
    minimum=timedelta(0),
)
JOBSTORE_MAX_CAPACITY = ConfigOption(
    "jobstore.max-capacity", int, 100, "Ended jobs that the JobManager remembers.", minimum=0
)
JOBSTORE_EXPIRATION_TIME = ConfigOption(
    "jobstore.expiration-time",
    timedelta,
    timedelta(hours=1),
    "Time after which an ended job is forgotten.",
    minimum=timedelta(0),
)

# ----------------------------------------------------------------------------------------- faces

REST_ADDRESS = ConfigOption(
    "rest.address", str, "127.0.0.1", "Host at which clients reach the REST server."
)
REST_PORT = ConfigOption(
    "rest.port",
    int,
    8081,
    "Port of the REST server; 0 takes a free one.",
    minimum=0,
    maximum=65535,
)
REST_BIND_ADDRESS = ConfigOption(
    "rest.bind-address",
    str,
    "127.0.0.1",
    "Address that the REST server listens on. Anything but loopback needs security.token.",
)
SECURITY_TOKEN: ConfigOption[str | None] = ConfigOption(
    "security.token",
    str,
    None,
    "Secret that clients and processes of the cluster show to each other.",
    secret=True,
)
SECURITY_INSECURE = ConfigOption(
    "security.insecure",
    bool,
    False,
    "Listen beyond loopback without a token. Whoever reaches the port can then run code.",
)
METRICS_PORT = ConfigOption(
    "metrics.port",
    int,
    0,
    "Port of a process's Prometheus endpoint; 0 takes a free one, -1 opens none.",
    aliases=("metrics.reporter.prom.port",),
    minimum=-1,
    maximum=65535,
)
METRICS_BIND_HOST = ConfigOption(
    "metrics.bind-host", str, "127.0.0.1", "Address that Prometheus endpoints listen on."
)
LOG_LEVEL = ConfigOption(
    "log.level",
    str,
    "INFO",
    "Least severe level that is logged.",
    choices=("DEBUG", "INFO", "WARNING", "ERROR"),
)
LOG_FORMAT = ConfigOption(
    "log.format",
    str,
    "auto",
    "Shape of a log line; auto: for people on a terminal, JSON elsewhere.",
    choices=("auto", "console", "json"),
)

# ------------------------------------------------------------- Flink's keys that mean nothing here

IGNORED_PREFIXES = (
    "akka.",
    "blob.",
    "classloader.",
    "env.java.",
    "env.log.",
    "jobmanager.memory.",
    "pekko.",
    "pipeline.classpaths",
    "pipeline.jars",
    "pipeline.force-avro",
    "pipeline.force-kryo",
    "pipeline.generic-types",
    "pipeline.object-reuse",
    "pipeline.serialization-config",
    "pipeline.registered-",
    "python.",
    "state.backend.rocksdb.memory.",
    "state.backend.latency-track.",
    "taskmanager.memory.",
    "taskmanager.network.memory.",
    "taskmanager.network.netty.",
    "web.submit.",
    "web.upload.",
)


#: Flink's keys that ask for something Lesto does not do: an error, by name.
UNSUPPORTED = {
    "execution.checkpointing.unaligned.interruptible-timers.enabled": "timers are not interrupted",
    "execution.checkpointing.unaligned.max-subtasks-per-channel-state-file": "a task writes its "
    "in-flight data into a file of its own",
    "execution.checkpointing.unaligned.recover-output-on-downstream.enabled": "in-flight data is "
    "always recovered by its receivers",
    "execution.checkpointing.during-recovery.enabled": "a checkpoint starts once all tasks run",
    "execution.checkpointing.recover-without-channel-state.checkpoint-id": "in-flight data is "
    "never ignored",
    "execution.checkpointing.interval-during-backlog": "sources do not report a backlog",
    "execution.checkpointing.storage": "checkpoints are always in execution.checkpointing.dir",
    "execution.checkpointing.create-subdir": "each job has its own directory",
    "execution.checkpointing.data-inline-threshold": "keyed state is in files, other state inline",
    "execution.checkpointing.write-buffer-size": "files are written as a whole",
    "execution.checkpointing.file-merging.": "files are not merged",
    "execution.checkpointing.snapshot-compression": "snapshots are always compressed",
    "execution.checkpointing.cleaner.parallel-mode": "checkpoints are deleted one after another",
    "execution.checkpointing.region.": "a checkpoint is of the whole job",
    "pipeline.sources.pause-until-first-checkpoint": "sources start at once",
    "state.changelog.": "there is no changelog backend",
}


@cache
def known_options() -> dict[str, ConfigOption[Any]]:
    """Return every option by key, in the order of this file."""
    return {item.key: item for item in globals().values() if isinstance(item, ConfigOption)}


@cache
def known_aliases() -> dict[str, ConfigOption[Any]]:
    """Return the option that each older key sets."""
    return {alias: option for option in known_options().values() for alias in option.aliases}

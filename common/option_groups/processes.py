"""Processes, network, high availability."""

from __future__ import annotations

from datetime import timedelta

from lesto.common.option_groups.values import KIB, MIB, HighAvailabilityType
from lesto.common.option_types import ConfigOption, MemorySize

# --------------------------------------------------------------------------- processes and network

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
TASKMANAGER_HOST: ConfigOption[str | None] = ConfigOption(
    "taskmanager.host",
    str,
    None,
    "Host at which other TaskManagers reach this one; by default what it listens on, behind a "
    "wildcard the address from which it reaches the JobManager.",
)
TASKMANAGER_BIND_HOST: ConfigOption[str | None] = ConfigOption(
    "taskmanager.bind-host",
    str,
    None,
    "Address that the TaskManager's slots listen on; by default taskmanager.host, and 127.0.0.1 "
    "without that. Anything but loopback needs security.token.",
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
    "Time in which a task should be through with what waits in its channels.",
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

# ---------------------------------------------------------------------- high availability and jobs

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

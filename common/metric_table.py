"""Every metric of Lesto's own: its name, labels, meaning, and what Flink calls it.

The one source: a registry takes kind and help text from here, docs/metrics.md and the dashboards
are made of it, and a test compares it with what a running cluster serves. Metrics of users'
functions are not here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class MetricKind(enum.Enum):
    """What a metric is, in Prometheus' words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    SUMMARY = "summary"


class Scope(enum.Enum):
    """Whose a metric is: the labels that all its series have."""

    PROCESS = ()
    TASKMANAGER = ("taskmanager",)
    SLOT = ("slot",)
    JOB = ("job_id", "job_name")
    TASK = ("job_id", "task", "subtask")
    OPERATOR = ("job_id", "task", "operator", "subtask")


@dataclass(frozen=True, slots=True)
class MetricDescription:
    """One metric.

    Attributes:
        name: without the prefix ``lesto_``, and without ``_total``.
        kind: what it is.
        scope: whose it is.
        help: what it counts, in one line.
        flink: what Flink calls it, in Markdown; empty: Flink has no such metric.
        labels: beside those of the scope.
        section: heading in docs/metrics.md.
        sometimes: served only under a condition, which this says: in short, for people.
    """

    name: str
    kind: MetricKind
    scope: Scope
    help: str
    flink: str
    labels: tuple[str, ...]
    section: str
    sometimes: str

    @property
    def all_labels(self) -> tuple[str, ...]:
        """Labels of all its series, in the order in which they are documented."""
        return (*self.scope.value, *self.labels)

    @property
    def exposed(self) -> str:
        """The name that Prometheus sees, a summary's without its quantiles' suffixes.

        >>> DESCRIPTIONS["records_in"].exposed
        'lesto_records_in_total'
        """
        suffix = "_total" if self.kind is MetricKind.COUNTER else ""
        return f"lesto_{self.name}{suffix}"


class _Table:
    """Gathers descriptions, section by section."""

    def __init__(self) -> None:
        self.found: dict[str, MetricDescription] = {}
        self._section = ""
        self._scope = Scope.PROCESS

    def section(self, title: str, scope: Scope) -> None:
        self._section, self._scope = title, scope

    def _add(self, kind: MetricKind, name: str, help: str, flink: str, *more: str) -> None:
        sometimes = next((text for text in more if text.startswith("if ")), "")
        labels = tuple(text for text in more if text != sometimes)
        assert name not in self.found, name
        self.found[name] = MetricDescription(
            name, kind, self._scope, help, flink, labels, self._section, sometimes
        )

    def counter(self, name: str, help: str, flink: str = "", *more: str) -> None:
        self._add(MetricKind.COUNTER, name, help, flink, *more)

    def gauge(self, name: str, help: str, flink: str = "", *more: str) -> None:
        self._add(MetricKind.GAUGE, name, help, flink, *more)

    def summary(self, name: str, help: str, flink: str = "", *more: str) -> None:
        self._add(MetricKind.SUMMARY, name, help, flink, *more)


def _cluster(t: _Table) -> None:
    t.section("JobManager", Scope.PROCESS)
    t.gauge("jobmanager_leading", "1 while this JobManager leads the cluster.")
    t.gauge("jobmanager_num_running_jobs", "Jobs not ended.", "`numRunningJobs`")
    t.counter("jobmanager_jobs_ended", "Jobs that ended here, by their last state.", "", "state")
    t.gauge(
        "jobmanager_num_registered_taskmanagers",
        "TaskManagers that are connected.",
        "`numRegisteredTaskManagers`",
    )
    t.counter("jobmanager_taskmanagers_lost", "Connections of TaskManagers that ended unasked.")
    t.gauge("jobmanager_task_slots", "Slots that are ready.", "`taskSlotsTotal`")
    t.gauge("jobmanager_task_slots_available", "Slots that are free.", "`taskSlotsAvailable`")


def _processes(t: _Table) -> None:
    t.section("TaskManager", Scope.TASKMANAGER)
    t.gauge("taskmanager_registered", "1 while the JobManager knows this TaskManager.")
    t.gauge("taskmanager_slots_ready", "Slot processes that are up.")
    t.counter("taskmanager_slots_lost", "Slot processes that ended unasked, and were replaced.")
    t.gauge(
        "taskmanager_disk_free_bytes",
        "Free on the disk of working state (io.tmp.dirs, state.backend.local-dir).",
    )
    t.gauge("taskmanager_disk_size_bytes", "Size of that disk.")
    t.section("Every process", Scope.PROCESS)
    t.gauge("process_threads", "Threads, those of libraries too.", "`Status.JVM.Threads.Count`")
    t.counter(
        "process_gc_pause_seconds",
        "Time in which the cycle collector held up the process.",
        "`Status.JVM.GarbageCollector.<collector>.Time`",
        "generation",
    )
    t.section("Slot process", Scope.SLOT)
    t.summary(
        "slot_mailbox_latency_seconds",
        "How late the mailbox thread does what is due; sampled once a second.",
        "`mailboxLatencyMs`",
    )
    t.gauge("slot_mailbox_size", "Mails that wait for the mailbox thread.", "`mailboxQueueSize`")
    t.gauge("slot_tasks", "Tasks deployed in the slot.")
    t.gauge("slot_table_memory_bytes", "Memory that rows kept by key hold (tables of SQL).")
    t.gauge(
        "slot_table_memory_max_bytes",
        "Beyond so much they move into files (state.backend.lesto.table-cache).",
        "`Status.Flink.Memory.Managed.Total`",
    )


def _jobs(t: _Table) -> None:
    t.section("Job", Scope.JOB)
    t.gauge("job_running", "1 while the job runs, 0 while it starts, restarts or ends.")
    t.counter(
        "job_state_seconds",
        "Time that the job has been in a state.",
        "`runningTime`, `restartingTime`, `cancellingTime`, `failingTime`, `createdTime` (ms)",
        "state",
    )
    t.gauge("job_uptime_seconds", "Since the job runs without interruption.", "`uptime` (ms)")
    t.gauge("job_downtime_seconds", "Since a failure interrupted it; 0: it runs.", "`downtime`")
    t.counter("job_restarts", "Restarts after failures.", "`numRestarts`")
    t.counter("job_rescales", "Changes of parallelism in place.", "`numRescales`")
    t.gauge("job_stale_events", "Messages of an older epoch or attempt, refused.")
    t.section("Checkpoints of a job", Scope.JOB)
    t.gauge(
        "job_checkpoint_interval_seconds",
        "From one checkpoint to the next, as configured; 0: there are none.",
    )
    t.counter("job_checkpoints_triggered", "Checkpoints begun.", "`totalNumberOfCheckpoints`")
    t.counter(
        "job_checkpoints_completed", "Checkpoints completed.", "`numberOfCompletedCheckpoints`"
    )
    t.counter("job_checkpoints_failed", "Checkpoints that failed.", "`numberOfFailedCheckpoints`")
    t.gauge(
        "job_in_progress_checkpoints", "Checkpoints under way.", "`numberOfInProgressCheckpoints`"
    )
    t.summary("job_checkpoint_duration_seconds", "From trigger to completion.")
    some = "if a checkpoint is complete"
    for name, text, flink in (
        ("completed_checkpoint_id", "Number of the latest checkpoint.", "CompletedCheckpointId"),
        (
            "checkpoint_completed_timestamp_seconds",
            "When it was complete, since 1970.",
            "CheckpointCompletedTimestamp",
        ),
        (
            "checkpoint_duration_seconds",
            "From its trigger to its completion.",
            "CheckpointDuration",
        ),
        (
            "checkpoint_size_bytes",
            "All state that it holds, old files included.",
            "CheckpointFullSize",
        ),
        ("checkpoint_uploaded_bytes", "What was written for it.", "CheckpointSize"),
        ("checkpoint_metadata_bytes", "Its metadata file.", "CheckpointMetadataSize"),
        (
            "checkpoint_in_flight_bytes",
            "In-flight data that it holds (unaligned barriers).",
            "CheckpointPersistedData",
        ),
        ("checkpoint_start_delay_seconds", "Until its barrier reached the last subtask.", ""),
        ("checkpoint_alignment_seconds", "Longest alignment of a subtask.", ""),
        ("checkpoint_sync_seconds", "Longest synchronous part of a subtask.", ""),
        ("checkpoint_async_seconds", "Longest upload of a subtask.", ""),
    ):
        t.gauge(f"job_last_{name}", text, f"`last{flink}`" if flink else "", some)
    t.gauge(
        "job_last_restore_timestamp_seconds",
        "When the job last went on from a checkpoint, since 1970.",
        "`lastCheckpointRestoreTimestamp`",
        "if it has gone on from one",
    )
    t.counter("job_checkpoint_discard_failures", "Old checkpoints that could not be deleted.")


def _tasks(t: _Table) -> None:
    t.section("Time of a task", Scope.TASK)
    t.counter(
        "busy_seconds",
        "Time in which the task worked.",
        "`accumulateBusyTimeMs`; its rate is `busyTimeMsPerSecond`",
    )
    t.counter(
        "idle_seconds",
        "Time in which it had no input.",
        "`accumulateIdleTimeMs`, `idleTimeMsPerSecond`",
    )
    t.counter(
        "backpressured_seconds",
        "Time in which it waited for those behind it.",
        "`accumulateBackPressuredTimeMs`, `backPressuredTimeMsPerSecond`, `isBackPressured`",
    )
    t.section("Channels of a task", Scope.TASK)
    inputs, outputs = "if the task has inputs", "if the task has outputs"
    t.gauge("input_queue_bytes", "Bytes that wait in its inputs.", "`inputQueueSize`", inputs)
    t.gauge(
        "input_window_bytes",
        "Bytes that may wait there: credit, less what debloating keeps back.",
        "`debloatedBufferSize`; queue by window is `inPoolUsage`",
        inputs,
    )
    t.gauge(
        "input_drain_seconds",
        "How long the task would take for what waits, at its recent throughput.",
        "`estimatedTimeToConsumeBuffersMs`",
        "if the task has inputs, with debloating",
    )
    t.gauge(
        "input_watermark_seconds",
        "Event time of an input.",
        "`currentInputWatermark`, `currentInputNWatermark` (ms)",
        "input",
        "if watermarks come",
    )
    t.gauge(
        "output_queue_bytes",
        "Bytes emitted that have not left.",
        "`outputQueueSize`, `outPoolUsage`",
        outputs,
    )


def _task_checkpoints(t: _Table) -> None:
    t.section("Checkpoints and recovery of a task", Scope.TASK)
    t.counter("checkpoints", "Snapshots acknowledged.")
    last = "if the task has taken a snapshot"
    t.gauge("checkpoint_size_bytes", "Bytes uploaded for the last snapshot.", "", last)
    t.gauge("checkpoint_duration_seconds", "Sync and upload time of it.", "", last)
    t.gauge("checkpoint_sync_seconds", "Its synchronous part.", "", last)
    t.gauge(
        "checkpoint_start_delay_seconds",
        "From its trigger to its first barrier here.",
        "`checkpointStartDelayNanos`",
        last,
    )
    t.gauge(
        "checkpoint_alignment_seconds",
        "From its first barrier to its last.",
        "`checkpointAlignmentTime`",
        last,
    )
    t.gauge(
        "initialization_seconds",
        "From deployment until the task ran, state restored.",
        "`initializationTime`",
    )
    t.gauge(
        "restored_bytes",
        "State that this attempt has read: files of checkpoints, in-flight data.",
        "`RestoredStateSizeBytes`",
    )
    t.gauge(
        "restore_seconds",
        "Of that, reading keyed state: download and loading are one.",
        "`DownloadStateDurationMs` + `RestoreStateDurationMs`",
    )


def _operators(t: _Table) -> None:
    t.section("Records of an operator", Scope.OPERATOR)
    t.counter(
        "records_in",
        "Records that arrived.",
        "`numRecordsIn`; of a sink also `numRecordsSend`",
    )
    t.counter("records_out", "Records emitted on the main output.", "`numRecordsOut`")
    t.counter("batches_in", "Batches that arrived.", "`numBuffersIn`")
    t.counter("batches_out", "Batches emitted.", "`numBuffersOut`")
    t.counter("bytes_in", "Bytes of the batches that arrived from other tasks.", "`numBytesIn`")
    t.counter("bytes_out", "Bytes given to channels.", "`numBytesOut`")
    t.section("Event time of an operator", Scope.OPERATOR)
    t.gauge(
        "watermark_seconds",
        "Event time that the operator has passed on.",
        "`currentOutputWatermark` (ms)",
        "if watermarks come",
    )
    t.gauge(
        "watermark_lag_seconds",
        "How far that is behind the clock.",
        "`watermarkLag` (ms)",
        "if watermarks come, until event time ends",
    )
    t.counter(
        "num_late_records_dropped",
        "Records behind event time that belonged nowhere any more.",
        "`numLateRecordsDropped`",
        "if the operator drops late records",
    )
    t.counter(
        "timers_fired", "Timers that fired.", "`numFiredTimers`", "if the operator has timers"
    )
    t.gauge("timers_pending", "Timers that wait.", "", "if the operator has timers")


def _sources(t: _Table) -> None:
    t.section("Sources", Scope.OPERATOR)
    source = "if it is a source"
    timed = "if it is a source of records with event time"
    t.gauge(
        "source_pending_records",
        "Records in the external system that the source has not emitted: Kafka's lag.",
        "`pendingRecords`",
        "if the connector knows (Kafka)",
    )
    t.gauge(
        "source_fetch_event_time_lag_seconds",
        "How old the newest record was, by its event time, when it was fetched.",
        "`currentFetchEventTimeLag` (ms)",
        timed,
    )
    t.gauge(
        "source_emit_event_time_lag_seconds",
        "How old it was when it was emitted.",
        "`currentEmitEventTimeLag` (ms)",
        timed,
    )
    t.gauge("source_idle_seconds", "Since the last record.", "`sourceIdleTime` (ms)", source)
    t.gauge("source_splits", "Splits that the reader has.", "", source)
    t.gauge(
        "source_splits_idle",
        "Splits that do not hold back event time now.",
        "split's `idleTimeMsPerSecond`, as a count",
        "if the source makes watermarks",
    )
    t.gauge(
        "source_splits_paused",
        "Splits that wait for their alignment group.",
        "split's `pausedTimeMsPerSecond`, as a count",
        "if the source is aligned with others",
    )
    t.gauge(
        "watermark_alignment_drift_seconds",
        "How far the reader is ahead of its alignment group.",
        "`watermarkAlignmentDrift` (ms)",
        "if the source is aligned with others",
    )
    t.counter("num_records_in_errors", "Malformed records.", "`numRecordsInErrors`", source)


def _sinks(t: _Table) -> None:
    t.section("Sinks", Scope.OPERATOR)
    two = "if the sink commits"
    t.counter("sink_committables", "What was prepared.", "`totalCommittables`", two)
    t.counter("sink_committables_committed", "What was published.", "`successfulCommittables`", two)
    t.counter("sink_committables_retried", "What was tried again.", "`retriedCommittables`", two)
    t.counter("sink_committables_failed", "What could not be.", "`failedCommittables`", two)
    t.gauge(
        "sink_committables_pending",
        "What waits for its checkpoint, or is being published.",
        "`pendingCommittables`",
        two,
    )
    t.summary(
        "sink_commit_seconds", "One commit, attempts and pauses included.", "`currentSendTime`", two
    )
    t.section("Look-ups", Scope.OPERATOR)
    lookup = "if it is a lookup join"
    t.counter("lookup_cache_hits", "Keys that the cache knew.", "`hitCount`", lookup)
    t.counter("lookup_cache_misses", "Keys that it did not.", "`missCount`", lookup)
    t.counter("lookup_loads", "Requests answered.", "`loadCount`", lookup)
    t.counter("lookup_load_failures", "Requests that failed.", "`numLoadFailures`", lookup)
    t.gauge(
        "lookup_last_load_seconds",
        "Time of the latest request.",
        "`latestLoadTime`",
        "if it is a lookup join that has asked",
    )
    t.gauge("lookup_cached_keys", "Keys in the cache.", "`numCachedRecords`", lookup)
    t.section("Requests beside the stream", Scope.OPERATOR)
    t.gauge("async_requests", "Requests under way.", "", "if it is an asynchronous function")


def _state(t: _Table) -> None:
    t.section("Keyed state", Scope.OPERATOR)
    keyed = "if the operator keeps keyed state"
    rocks = "if its state is in RocksDB and something was written"
    t.gauge(
        "state_entries",
        "Keys in memory, once a state, and rows of tables; RocksDB may have more.",
        "",
        keyed,
    )
    t.gauge(
        "state_rocksdb_keys",
        "Keys in RocksDB, about.",
        "`rocksdb.estimate-num-keys`",
        rocks,
    )
    t.gauge("state_rocksdb_sst_bytes", "Its live files.", "`rocksdb.live-sst-files-size`", rocks)
    t.gauge(
        "state_rocksdb_total_sst_bytes",
        "All its files, obsolete ones too.",
        "`rocksdb.total-sst-files-size`",
        rocks,
    )
    t.gauge(
        "state_rocksdb_memtable_bytes", "Its memtables.", "`rocksdb.cur-size-all-mem-tables`", rocks
    )
    t.gauge(
        "state_rocksdb_table_readers_bytes",
        "Index and filter blocks outside of its cache.",
        "`rocksdb.estimate-table-readers-mem`",
        rocks,
    )
    t.gauge("state_rocksdb_block_cache_bytes", "Its cache.", "`rocksdb.block-cache-usage`", rocks)
    t.gauge(
        "state_rocksdb_pending_compaction_bytes",
        "What compaction has to rewrite.",
        "`rocksdb.estimate-pending-compaction-bytes`",
        rocks,
    )
    t.gauge(
        "state_rocksdb_running_compactions",
        "Compactions under way.",
        "`rocksdb.num-running-compactions`",
        rocks,
    )
    t.gauge(
        "state_rocksdb_write_stopped",
        "1 while RocksDB takes no writes.",
        "`rocksdb.is-write-stopped`",
        rocks,
    )


def _state_upkeep(t: _Table) -> None:
    t.section("Upkeep of state", Scope.OPERATOR)
    t.counter(
        "state_entries_expired",
        "Entries whose time-to-live was over, removed in the background.",
        "",
        "if state has a time-to-live",
    )
    local = "if local recovery is on and the operator keeps keyed state"
    t.counter("local_recovery_files", "Files restored from the machine's own disk.", "", local)
    t.counter(
        "local_recovery_damaged_files",
        "Copies there that were damaged, so that the remote file was taken.",
        "",
        local,
    )
    t.counter(
        "local_backup_failures", "Copies of checkpoint files that could not be made.", "", local
    )
    t.section("Oddities in the data", Scope.OPERATOR)
    t.counter(
        "num_dead_letters", "Records set aside as dead letters.", "", "if the stream has them"
    )
    t.counter(
        "retractions_ignored",
        "Rows taken back that the operator does not have: expired, or never there.",
        "",
        "if the SQL operator keeps rows",
    )
    t.counter(
        "num_null_row_time_records_dropped",
        "Rows with NULL in the time column, which belong to no window.",
        "`numNullRowTimeRecordsDropped`",
        "if it is a window function without an aggregate above it",
    )


def _make() -> dict[str, MetricDescription]:
    table = _Table()
    for part in (
        _cluster,
        _processes,
        _jobs,
        _tasks,
        _task_checkpoints,
        _operators,
        _sources,
        _sinks,
        _state,
        _state_upkeep,
    ):
        part(table)
    return table.found


#: By name without the prefix, in the order of the documentation.
DESCRIPTIONS: Final = _make()

#: What the Prometheus client library tells of each process, where the system lets it.
LIBRARY_METRICS: Final = {
    "process_cpu_seconds_total": ("CPU time.", "`Status.JVM.CPU.Time`; its rate is `CPU.Load`"),
    "process_resident_memory_bytes": ("Memory in use.", "`Status.JVM.Memory.*` (Heap, NonHeap)"),
    "process_virtual_memory_bytes": ("Address space.", ""),
    "process_open_fds": ("Open files.", "`Status.FileDescriptor.Open`"),
    "process_max_fds": ("Files that it may open.", "`Status.FileDescriptor.Max`"),
    "process_start_time_seconds": ("When it began, since 1970.", ""),
    "python_gc_collections_total": (
        "Runs of the cycle collector, by `generation`.",
        "`Status.JVM.GarbageCollector.<collector>.Count`",
    ),
    "python_gc_objects_collected_total": ("Objects that it freed, by `generation`.", ""),
    "python_gc_objects_uncollectable_total": ("Objects that it could not free.", ""),
}

#: What Flink has and Lesto has not, and why.
ABSENT: Final = {
    "`numPendingTaskManagers`": "Lesto does not start TaskManagers itself: Kubernetes or people do",
    "`startWorkFailurePerSecond`": "the same",
    "`numSlowExecutionVertices`": "no speculative execution",
    "`initializingTime`, `deployingTime`": "a job is RUNNING while its tasks deploy; how long a "
    "task took is `lesto_initialization_seconds`",
    "`lastCheckpointExternalPath`": "a path is no number: REST's /jobs/:id/checkpoints has it",
    "`lastCheckpointProcessedData`": "what is processed during alignment is not counted apart",
    "`Status.Network.*`, `Status.Shuffle.Netty.*`": "no pool of network buffers: each channel has "
    "its own window, `lesto_input_window_bytes`",
    "`Status.JVM.Memory.Direct`, `Mapped`, `Metaspace`": "no Java; what Arrow and RocksDB hold is "
    "in the resident memory",
    "`softBackPressuredTimeMsPerSecond`, `hardBackPressuredTimeMsPerSecond`": "a task never blocks "
    "on a channel (hard), it is parked (soft): there is one kind",
    "`maxSoftBackPressuredTimeMs`, `maxHardBackPressuredTimeMs`": "the same",
    "`changelogBusyTimeMsPerSecond`": "no changelog state backend: incremental checkpoints build "
    "on files",
    "`mailboxMailsPerSecond`": "records are not mail: its number says nothing about load",
    "`GateRestoreDurationMs`": "restored in-flight data is read as input, not before it",
    "`pendingBytes`": "no connector knows it",
    "`unassignedSplits`": "enumerators hold them in forms of their own",
    "`numBytesSend`": "what a connector makes of records is not measured; `lesto_bytes_in_total` "
    "of the sink's task is what came",
    "`numRecordsSendErrors`": "a record that cannot be written fails the task, or is a dead letter",
    "`alreadyCommittedCommittables`": "commits are idempotent: a committer does not say",
    "state access latency": "state is in memory; RocksDB is read and written a batch at a time",
    "latency histograms (`metrics.latency.interval`)": "no markers are sent; lag is in "
    "`lesto_source_emit_event_time_lag_seconds` and `lesto_watermark_lag_seconds`",
    "`currentInputNWatermark` of chained operators": "inside a chain the input's is the output's "
    "of the operator before",
}

"""Checkpoints, channels, state, sinks of one job, by task and operator."""

from boards.model import JOB, JOB_VARIABLE, TASK, TASK_VARIABLE, WINDOW, Dashboard, Row, graph


def rate(name):
    """How quickly a counter grows, by operator."""
    return f"sum by (operator) (rate({name}{{{TASK}}}{WINDOW}))"


def ratio(above, below):
    """How quickly one counter grows beside another."""
    return f"{rate(above)} / ({rate(below)} > 0)"


def rocksdb(name):
    """A number of RocksDB by operator."""
    return f"sum by (operator) (lesto_state_rocksdb_{name}{{{TASK}}})"


OPERATORS = Dashboard(
    "lesto-operators",
    "Lesto / Operators, state and checkpoints",
    (
        Row(
            "Checkpoints",
            (
                graph(
                    "From trigger to completion",
                    (f"lesto_job_last_checkpoint_duration_seconds{{{JOB}}}", "last"),
                    (
                        f'lesto_job_checkpoint_duration_seconds{{{JOB}, quantile="0.95"}}',
                        "95 % of the latest",
                    ),
                    (f"lesto_job_checkpoint_interval_seconds{{{JOB}}}", "interval"),
                    unit="s",
                ),
                graph(
                    "Where its time goes (slowest subtask)",
                    (f"lesto_job_last_checkpoint_start_delay_seconds{{{JOB}}}", "start delay"),
                    (f"lesto_job_last_checkpoint_alignment_seconds{{{JOB}}}", "alignment"),
                    (f"lesto_job_last_checkpoint_sync_seconds{{{JOB}}}", "sync"),
                    (f"lesto_job_last_checkpoint_async_seconds{{{JOB}}}", "async (upload)"),
                    unit="s",
                ),
                graph(
                    "Size",
                    (f"lesto_job_last_checkpoint_size_bytes{{{JOB}}}", "all state"),
                    (f"lesto_job_last_checkpoint_uploaded_bytes{{{JOB}}}", "written"),
                    (f"lesto_job_last_checkpoint_in_flight_bytes{{{JOB}}}", "in flight"),
                    (f"lesto_job_last_checkpoint_metadata_bytes{{{JOB}}}", "metadata"),
                    unit="bytes",
                ),
                graph(
                    "Number",
                    (f"increase(lesto_job_checkpoints_triggered_total{{{JOB}}}{WINDOW})", "begun"),
                    (
                        f"increase(lesto_job_checkpoints_completed_total{{{JOB}}}{WINDOW})",
                        "completed",
                    ),
                    (f"increase(lesto_job_checkpoints_failed_total{{{JOB}}}{WINDOW})", "failed"),
                    (f"lesto_job_in_progress_checkpoints{{{JOB}}}", "under way"),
                    (
                        f"increase(lesto_job_checkpoint_discard_failures_total{{{JOB}}}{WINDOW})",
                        "could not be deleted",
                    ),
                ),
                graph(
                    "By task: sync and upload",
                    (
                        f"max by (task) (lesto_checkpoint_duration_seconds{{{TASK}}})",
                        "{{task}}",
                    ),
                    (
                        f"max by (task) (lesto_checkpoint_sync_seconds{{{TASK}}})",
                        "{{task}} sync",
                    ),
                    unit="s",
                ),
                graph(
                    "By task: waiting for barriers",
                    (
                        f"max by (task) (lesto_checkpoint_start_delay_seconds{{{TASK}}})",
                        "{{task}} start delay",
                    ),
                    (
                        f"max by (task) (lesto_checkpoint_alignment_seconds{{{TASK}}})",
                        "{{task}} alignment",
                    ),
                    unit="s",
                ),
                graph(
                    "By task: uploaded",
                    (f"sum by (task) (lesto_checkpoint_size_bytes{{{TASK}}})", "{{task}}"),
                    unit="bytes",
                ),
                graph(
                    "Snapshots acknowledged",
                    (
                        f"sum by (task) (rate(lesto_checkpoints_total{{{TASK}}}{WINDOW}))",
                        "{{task}}",
                    ),
                    unit="ops",
                ),
                graph(
                    "Since the last restore",
                    (f"time() - lesto_job_last_restore_timestamp_seconds{{{JOB}}}", "s"),
                    unit="s",
                ),
            ),
        ),
        Row(
            "Recovery",
            (
                graph(
                    "Until a task ran",
                    (f"max by (task) (lesto_initialization_seconds{{{TASK}}})", "{{task}}"),
                    (f"max by (task) (lesto_restore_seconds{{{TASK}}})", "{{task}} reading state"),
                    unit="s",
                ),
                graph(
                    "State that it has read",
                    (f"sum by (task) (lesto_restored_bytes{{{TASK}}})", "{{task}}"),
                    unit="bytes",
                ),
                graph(
                    "Files from the machine's own disk",
                    (
                        f"sum by (task) (lesto_local_recovery_files_total{{{TASK}}})",
                        "{{task}}",
                    ),
                    (
                        f"sum by (task) (lesto_local_recovery_damaged_files_total{{{TASK}}})",
                        "{{task}} damaged",
                    ),
                    (
                        f"sum by (task) (lesto_local_backup_failures_total{{{TASK}}})",
                        "{{task}} not made",
                    ),
                ),
            ),
        ),
        Row(
            "Channels",
            (
                graph(
                    "Inputs: queued, of what may wait",
                    (
                        f"max by (task) (lesto_input_queue_bytes{{{TASK}}}"
                        f" / (lesto_input_window_bytes{{{TASK}}} > 0))",
                        "{{task}}",
                    ),
                    unit="percentunit",
                ),
                graph(
                    "Time for what waits",
                    (f"max by (task) (lesto_input_drain_seconds{{{TASK}}})", "{{task}}"),
                    unit="s",
                ),
                graph(
                    "Emitted and not yet sent",
                    (f"sum by (task) (lesto_output_queue_bytes{{{TASK}}})", "{{task}}"),
                    unit="bytes",
                ),
                graph(
                    "Bytes",
                    (
                        f"sum by (task) (rate(lesto_bytes_in_total{{{TASK}}}{WINDOW}))",
                        "{{task}} in",
                    ),
                    (
                        f"sum by (task) (rate(lesto_bytes_out_total{{{TASK}}}{WINDOW}))",
                        "{{task}} out",
                    ),
                    unit="Bps",
                ),
                graph(
                    "Records a batch",
                    (
                        ratio("lesto_records_in_total", "lesto_batches_in_total"),
                        "{{operator}} in",
                    ),
                    (
                        ratio("lesto_records_out_total", "lesto_batches_out_total"),
                        "{{operator}} out",
                    ),
                    help="Few records a batch: the price of a call dominates.",
                ),
                graph(
                    "Event time of inputs, behind the clock",
                    (
                        f"max by (task, input) (time() - lesto_input_watermark_seconds{{{TASK}}})",
                        "{{task}} input {{input}}",
                    ),
                    unit="s",
                ),
            ),
        ),
        Row(
            "Keyed state",
            (
                graph(
                    "Entries in memory",
                    (f"sum by (operator) (lesto_state_entries{{{TASK}}})", "{{operator}}"),
                    (rocksdb("keys"), "{{operator}} in RocksDB, about"),
                ),
                graph(
                    "RocksDB on disk",
                    (rocksdb("sst_bytes"), "{{operator}} live"),
                    (rocksdb("total_sst_bytes"), "{{operator}} all"),
                    unit="bytes",
                ),
                graph(
                    "RocksDB in memory",
                    (rocksdb("memtable_bytes"), "{{operator}} memtables"),
                    (rocksdb("table_readers_bytes"), "{{operator}} indices"),
                    (rocksdb("block_cache_bytes"), "{{operator}} cache"),
                    unit="bytes",
                ),
                graph(
                    "Compaction",
                    (rocksdb("pending_compaction_bytes"), "{{operator}} to be rewritten"),
                    unit="bytes",
                ),
                graph(
                    "Compactions under way, writes stopped",
                    (rocksdb("running_compactions"), "{{operator}} compactions"),
                    (rocksdb("write_stopped"), "{{operator}} stopped"),
                ),
                graph(
                    "Expired entries removed",
                    (
                        rate("lesto_state_entries_expired_total"),
                        "{{operator}}",
                    ),
                    unit="ops",
                ),
                graph(
                    "Timers",
                    (
                        rate("lesto_timers_fired_total"),
                        "{{operator}} fired a second",
                    ),
                ),
                graph(
                    "Timers that wait",
                    (f"sum by (operator) (lesto_timers_pending{{{TASK}}})", "{{operator}}"),
                ),
                graph(
                    "Requests of asynchronous functions",
                    (f"sum by (operator) (lesto_async_requests{{{TASK}}})", "{{operator}}"),
                ),
            ),
        ),
        Row(
            "Sinks and look-ups",
            (
                graph(
                    "Committables",
                    (
                        rate("lesto_sink_committables_total"),
                        "{{operator}} prepared",
                    ),
                    (
                        rate("lesto_sink_committables_committed_total"),
                        "{{operator}} committed",
                    ),
                    (
                        rate("lesto_sink_committables_retried_total"),
                        "{{operator}} retried",
                    ),
                    (
                        rate("lesto_sink_committables_failed_total"),
                        "{{operator}} failed",
                    ),
                    unit="ops",
                ),
                graph(
                    "Committables that wait",
                    (
                        f"sum by (operator) (lesto_sink_committables_pending{{{TASK}}})",
                        "{{operator}}",
                    ),
                ),
                graph(
                    "Time of a commit",
                    (
                        f'max by (operator) (lesto_sink_commit_seconds{{{TASK}, quantile="0.95"}})',
                        "{{operator}}",
                    ),
                    unit="s",
                ),
                graph(
                    "Look-ups answered by the cache",
                    (
                        f"sum by (operator) (rate(lesto_lookup_cache_hits_total{{{TASK}}}{WINDOW}))"
                        " / (sum by (operator) "
                        f"(rate(lesto_lookup_cache_hits_total{{{TASK}}}{WINDOW})"
                        f" + rate(lesto_lookup_cache_misses_total{{{TASK}}}{WINDOW})) > 0)",
                        "{{operator}}",
                    ),
                    unit="percentunit",
                    most=1,
                ),
                graph(
                    "Look-up requests",
                    (
                        rate("lesto_lookup_loads_total"),
                        "{{operator}}",
                    ),
                    (
                        rate("lesto_lookup_load_failures_total"),
                        "{{operator}} failed",
                    ),
                    unit="ops",
                ),
                graph(
                    "Time of the latest look-up, keys kept",
                    (
                        f"max by (operator) (lesto_lookup_last_load_seconds{{{TASK}}})",
                        "{{operator}} s",
                    ),
                    (
                        f"sum by (operator) (lesto_lookup_cached_keys{{{TASK}}})",
                        "{{operator}} keys",
                    ),
                ),
            ),
        ),
    ),
    (JOB_VARIABLE, TASK_VARIABLE),
)

"""The cluster: its processes, slots, and which jobs run."""

from boards.model import BAD_ABOVE_ZERO, BAD_AT_ZERO, WINDOW, Dashboard, Row, graph, stat

CLUSTER = Dashboard(
    "lesto-cluster",
    "Lesto / Cluster",
    (
        Row(
            "Now",
            (
                stat("Leaders", "sum(lesto_jobmanager_leading)", steps=BAD_AT_ZERO),
                stat("TaskManagers", "max(lesto_jobmanager_num_registered_taskmanagers)"),
                stat("Free slots", "max(lesto_jobmanager_task_slots_available)"),
                stat("Slots", "max(lesto_jobmanager_task_slots)"),
                stat("Jobs not ended", "max(lesto_jobmanager_num_running_jobs)"),
                stat(
                    "Jobs failed in 24 h",
                    'sum(increase(lesto_jobmanager_jobs_ended_total{state="FAILED"}[24h]))',
                    steps=BAD_ABOVE_ZERO,
                ),
            ),
        ),
        Row(
            "Jobs",
            (
                graph(
                    "Running",
                    ("lesto_job_running", "{{job_name}} {{job_id}}"),
                    most=1,
                    help="1: the job runs. 0: it starts, restarts or ends.",
                ),
                graph(
                    "Records emitted by sources",
                    (
                        f"sum by (job_id) (rate(lesto_records_out_total{WINDOW})"
                        " and on (job_id, task, operator, subtask) lesto_source_splits)",
                        "{{job_id}}",
                    ),
                    unit="cps",
                ),
                graph(
                    "Age of the latest checkpoint",
                    (
                        "time() - lesto_job_last_checkpoint_completed_timestamp_seconds",
                        "{{job_name}}",
                    ),
                    unit="s",
                ),
                graph(
                    "Restarts",
                    (f"increase(lesto_job_restarts_total{WINDOW})", "{{job_name}}"),
                    help="After failures.",
                ),
                graph(
                    "Lost TaskManagers and slots",
                    (f"increase(lesto_jobmanager_taskmanagers_lost_total{WINDOW})", "TaskManagers"),
                    (
                        f"sum(increase(lesto_taskmanager_slots_lost_total{WINDOW}))",
                        "slots",
                    ),
                ),
                graph(
                    "Slots",
                    ("lesto_jobmanager_task_slots", "all"),
                    ("lesto_jobmanager_task_slots_available", "free"),
                    ("sum(lesto_taskmanager_slots_ready)", "up, as TaskManagers say"),
                ),
            ),
        ),
        Row(
            "Processes",
            (
                graph(
                    "CPU",
                    (
                        f'rate(process_cpu_seconds_total{{job=~"lesto.*"}}{WINDOW})',
                        "{{process}} {{instance}}",
                    ),
                    unit="percentunit",
                    help="1 is one core.",
                ),
                graph(
                    "Memory",
                    (
                        'process_resident_memory_bytes{job=~"lesto.*"}',
                        "{{process}} {{instance}}",
                    ),
                    unit="bytes",
                ),
                graph(
                    "Open files, of the limit",
                    (
                        'process_open_fds{job=~"lesto.*"} / process_max_fds{job=~"lesto.*"}',
                        "{{process}} {{instance}}",
                    ),
                    unit="percentunit",
                    most=1,
                ),
                graph(
                    "Held up by garbage collection",
                    (
                        "sum by (instance, process) "
                        f"(rate(lesto_process_gc_pause_seconds_total{WINDOW}))",
                        "{{process}} {{instance}}",
                    ),
                    unit="percentunit",
                ),
                graph(
                    "Garbage collections",
                    (
                        "sum by (instance, process) "
                        f'(rate(python_gc_collections_total{{job=~"lesto.*"}}{WINDOW}))',
                        "{{process}} {{instance}}",
                    ),
                    unit="ops",
                ),
                graph("Threads", ("lesto_process_threads", "{{process}} {{instance}}")),
            ),
        ),
        Row(
            "TaskManagers and slots",
            (
                graph(
                    "How late a slot's thread is",
                    (
                        'lesto_slot_mailbox_latency_seconds{quantile="0.95"}',
                        "{{taskmanager}} {{slot}}",
                    ),
                    unit="s",
                    help="95 % of its samples. Barriers, timers and cancellation wait so long.",
                ),
                graph("Mails that wait", ("lesto_slot_mailbox_size", "{{slot}}")),
                graph("Tasks in a slot", ("lesto_slot_tasks", "{{slot}}")),
                graph(
                    "Free of the state disk",
                    (
                        "lesto_taskmanager_disk_free_bytes / lesto_taskmanager_disk_size_bytes",
                        "{{taskmanager}}",
                    ),
                    unit="percentunit",
                    most=1,
                ),
                graph(
                    "Memory of rows kept by key",
                    ("lesto_slot_table_memory_bytes", "{{slot}}"),
                    ("max(lesto_slot_table_memory_max_bytes)", "limit"),
                    unit="bytes",
                ),
                graph(
                    "Registered with the JobManager",
                    ("lesto_taskmanager_registered", "{{taskmanager}}"),
                    most=1,
                ),
            ),
        ),
    ),
)

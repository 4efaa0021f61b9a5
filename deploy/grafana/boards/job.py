"""One job: whether it is healthy, how late it is, what limits it."""

from boards.model import BAD_AT_ZERO, JOB, JOB_VARIABLE, WINDOW, Dashboard, Row, graph, stat

ONE_JOB = Dashboard(
    "lesto-job",
    "Lesto / Job",
    (
        Row(
            "Now",
            (
                stat("Running", f"lesto_job_running{{{JOB}}}", steps=BAD_AT_ZERO),
                stat("Without interruption for", f"lesto_job_uptime_seconds{{{JOB}}}", "s"),
                stat("Restarts", f"lesto_job_restarts_total{{{JOB}}}"),
                stat(
                    "Age of the latest checkpoint",
                    f"time() - lesto_job_last_checkpoint_completed_timestamp_seconds{{{JOB}}}",
                    "s",
                ),
                stat("It took", f"lesto_job_last_checkpoint_duration_seconds{{{JOB}}}", "s"),
                stat("Its state", f"lesto_job_last_checkpoint_size_bytes{{{JOB}}}", "bytes"),
            ),
        ),
        Row(
            "Is it healthy",
            (
                graph(
                    "Time by state",
                    (
                        f"rate(lesto_job_state_seconds_total{{{JOB}}}{WINDOW})",
                        "{{state}}",
                    ),
                    unit="percentunit",
                    stacked=True,
                    most=1,
                ),
                graph("Interrupted for", (f"lesto_job_downtime_seconds{{{JOB}}}", "s"), unit="s"),
                graph(
                    "Restarts, rescales",
                    (f"increase(lesto_job_restarts_total{{{JOB}}}{WINDOW})", "restarts"),
                    (f"increase(lesto_job_rescales_total{{{JOB}}}{WINDOW})", "rescales"),
                ),
            ),
        ),
        Row(
            "How late is it",
            (
                graph(
                    "Event time behind the clock",
                    (
                        f"max by (task, operator) (lesto_watermark_lag_seconds{{{JOB}}})",
                        "{{operator}}",
                    ),
                    unit="s",
                ),
                graph(
                    "Age of records, by event time",
                    (
                        f"max by (operator) (lesto_source_fetch_event_time_lag_seconds{{{JOB}}})",
                        "{{operator}} fetched",
                    ),
                    (
                        f"max by (operator) (lesto_source_emit_event_time_lag_seconds{{{JOB}}})",
                        "{{operator}} emitted",
                    ),
                    unit="s",
                ),
                graph(
                    "Waiting in Kafka",
                    (
                        f"sum by (operator) (lesto_source_pending_records{{{JOB}}})",
                        "{{operator}}",
                    ),
                    help="Records that the source has not emitted.",
                ),
                graph(
                    "Since a source's last record",
                    (f"max by (operator) (lesto_source_idle_seconds{{{JOB}}})", "{{operator}}"),
                    unit="s",
                ),
                graph(
                    "Splits",
                    (f"sum by (operator) (lesto_source_splits{{{JOB}}})", "{{operator}}"),
                    (
                        f"sum by (operator) (lesto_source_splits_idle{{{JOB}}})",
                        "{{operator}} idle",
                    ),
                    (
                        f"sum by (operator) (lesto_source_splits_paused{{{JOB}}})",
                        "{{operator}} paused",
                    ),
                ),
                graph(
                    "Ahead of the alignment group",
                    (
                        f"max by (operator) (lesto_watermark_alignment_drift_seconds{{{JOB}}})",
                        "{{operator}}",
                    ),
                    unit="s",
                ),
            ),
        ),
        Row(
            "What limits it",
            (
                graph(
                    "Busy",
                    (
                        f"max by (task) (rate(lesto_busy_seconds_total{{{JOB}}}{WINDOW}))",
                        "{{task}}",
                    ),
                    unit="percentunit",
                    most=1,
                    help="The busiest subtask of each task.",
                ),
                graph(
                    "Backpressured",
                    (
                        f"max by (task) (rate(lesto_backpressured_seconds_total{{{JOB}}}{WINDOW}))",
                        "{{task}}",
                    ),
                    unit="percentunit",
                    most=1,
                    help="Waits for those behind it: look for the first busy task downstream.",
                ),
                graph(
                    "Idle",
                    (
                        f"min by (task) (rate(lesto_idle_seconds_total{{{JOB}}}{WINDOW}))",
                        "{{task}}",
                    ),
                    unit="percentunit",
                    most=1,
                ),
                graph(
                    "Records that arrive",
                    (
                        f"sum by (task, operator) (rate(lesto_records_in_total{{{JOB}}}{WINDOW}))",
                        "{{operator}}",
                    ),
                    unit="cps",
                ),
                graph(
                    "Records that leave",
                    (
                        f"sum by (task, operator) (rate(lesto_records_out_total{{{JOB}}}{WINDOW}))",
                        "{{operator}}",
                    ),
                    unit="cps",
                ),
                graph(
                    "Skew: the busiest subtask against the mean",
                    (
                        f"max by (task) (rate(lesto_records_in_total{{{JOB}}}{WINDOW}))"
                        f" / (avg by (task) (rate(lesto_records_in_total{{{JOB}}}{WINDOW})) > 0)",
                        "{{task}}",
                    ),
                ),
            ),
        ),
        Row(
            "Data that is not as it should be",
            (
                graph(
                    "Late records dropped",
                    (
                        "sum by (operator) "
                        f"(rate(lesto_num_late_records_dropped_total{{{JOB}}}{WINDOW}))",
                        "{{operator}}",
                    ),
                    unit="cps",
                ),
                graph(
                    "Malformed records, dead letters",
                    (
                        "sum by (operator) "
                        f"(rate(lesto_num_records_in_errors_total{{{JOB}}}{WINDOW}))",
                        "{{operator}} malformed",
                    ),
                    (
                        f"sum by (operator) (rate(lesto_num_dead_letters_total{{{JOB}}}{WINDOW}))",
                        "{{operator}} dead letters",
                    ),
                    unit="cps",
                ),
                graph(
                    "Retractions and NULL times ignored",
                    (
                        "sum by (operator) "
                        f"(rate(lesto_retractions_ignored_total{{{JOB}}}{WINDOW}))",
                        "{{operator}} retractions",
                    ),
                    (
                        "sum by (operator) (rate("
                        f"lesto_num_null_row_time_records_dropped_total{{{JOB}}}{WINDOW}))",
                        "{{operator}} NULL times",
                    ),
                    unit="cps",
                ),
            ),
        ),
    ),
    (JOB_VARIABLE,),
)

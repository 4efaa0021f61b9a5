"""The pipeline."""

from __future__ import annotations

from datetime import timedelta

from lesto.common.option_groups.values import ExecutionMode
from lesto.common.option_types import ConfigOption

# ---------------------------------------------------------------------------------------- pipeline

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
FIXED_JOB_ID: ConfigOption[str | None] = ConfigOption(
    "pipeline.fixed-job-id",
    str,
    None,
    "Id of the job, 32 hexadecimal digits, so that a submission that is tried again is the same "
    "job. By default each submission has a new one.",
    aliases=("$internal.pipeline.job-id",),
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
WATERMARK_IDLE_TIMEOUT = ConfigOption(
    "pipeline.watermark.idle-timeout",
    timedelta,
    timedelta(seconds=30),
    "A split without records for so long does not hold back event time, where the watermark "
    "strategy says nothing of idleness; a warning names it. 0: it waits for ever, as in Flink.",
    minimum=timedelta(0),
)
GLOBAL_JOB_PARAMETERS: ConfigOption[dict[str, str] | None] = ConfigOption(
    "pipeline.global-job-parameters",
    dict,
    None,
    "Parameters that every function of the job can read.",
)
RUNTIME_MODE = ConfigOption(
    "execution.runtime-mode",
    ExecutionMode,
    ExecutionMode.STREAMING,
    "BATCH: all sources are bounded; keyed reductions give their last result alone, event time "
    "moves at the end, no checkpoints are taken on the way. AUTOMATIC: BATCH if it can be.",
)
CACHED_FILES: ConfigOption[dict[str, str] | None] = ConfigOption(
    "pipeline.cached-files",
    dict,
    None,
    "Files that functions read by name (get_distributed_cache): paths or URIs that the machines "
    "of the TaskManagers see; register_cached_file adds to them.",
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

"""What a failure leads to."""

from __future__ import annotations

from datetime import timedelta

from lesto.common.option_groups.values import (
    FailoverStrategy,
    RestartStrategyType,
    SchedulerMode,
    SchedulerType,
)
from lesto.common.option_types import ConfigOption

# -------------------------------------------------------------------------------- restart strategy

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

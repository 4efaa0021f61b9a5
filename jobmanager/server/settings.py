"""From configuration to what the pure cores take: milliseconds and strategies."""

from __future__ import annotations

from datetime import timedelta

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.option_types import InvalidOptionError
from lesto.jobmanager.core.checkpoint_settings import CheckpointSettings, ClaimMode
from lesto.jobmanager.core.job_base import AdaptiveSettings
from lesto.jobmanager.core.job_master import JobSettings
from lesto.jobmanager.core.restart_strategy import (
    ExponentialDelay,
    FailureRate,
    FixedDelay,
    NoRestart,
    RestartStrategy,
)
from lesto.proto import job_pb2

_MS = timedelta(milliseconds=1)


def milliseconds(duration: timedelta) -> int:
    """Whole milliseconds of a duration."""
    return duration // _MS


def job_config(cluster: Configuration, graph: job_pb2.JobGraph) -> Configuration:
    """The cluster's configuration with the job's own values on top.

    Raises:
        UnknownOptionError: the job sets something that does not exist.
        InvalidOptionError: or to a value it cannot have.
    """
    config = Configuration(cluster)
    for key, value in graph.config.items():
        config.set(key, value, origin="set by the job")
    return config


def job_settings(config: Configuration, graph: job_pb2.JobGraph) -> JobSettings:
    """How a job is run."""
    interval_ms = milliseconds(config.get(options.CHECKPOINTING_INTERVAL))
    retention = config.get(options.CHECKPOINT_RETENTION)
    if config.get(options.UNALIGNED_ENABLED) and config.get(options.MAX_CONCURRENT_CHECKPOINTS) > 1:
        msg = (
            f"{options.UNALIGNED_ENABLED.key} allows one checkpoint at a time, and "
            f"{options.MAX_CONCURRENT_CHECKPOINTS.key} is more than 1"
        )
        raise InvalidOptionError(msg, remedy="leave one of them out; unaligned ones are quick")
    checkpoints = CheckpointSettings(
        interval_ms=interval_ms or None,
        timeout_ms=milliseconds(config.get(options.CHECKPOINTING_TIMEOUT)),
        min_pause_ms=milliseconds(config.get(options.MIN_PAUSE_BETWEEN_CHECKPOINTS)),
        tolerable_failures=config.get(options.TOLERABLE_FAILED_CHECKPOINTS),
        retained=config.get(options.NUM_RETAINED_CHECKPOINTS),
        max_concurrent=config.get(options.MAX_CONCURRENT_CHECKPOINTS),
        overlapping=not config.get(options.UNALIGNED_ENABLED),
        claim_mode=claim_mode(config),
        after_tasks_finish=config.get(options.CHECKPOINTS_AFTER_TASKS_FINISH),
    )
    return JobSettings(
        restart=restart_strategy(config, graph),
        checkpoints=checkpoints,
        regional=config.get(options.FAILOVER_STRATEGY) is options.FailoverStrategy.REGION,
        adaptive=adaptive_settings(config),
        max_failures_per_record=config.get(options.MAX_FAILURES_PER_RECORD),
        slot_timeout_ms=milliseconds(config.get(options.SLOT_REQUEST_TIMEOUT)),
        cancel_timeout_ms=milliseconds(config.get(options.TASK_CANCELLATION_TIMEOUT)),
        restart_on_user_errors=config.get(options.RESTART_ON_USER_ERRORS),
        retain_on_cancel=retention is options.CheckpointRetention.RETAIN_ON_CANCELLATION,
        retain_on_failure=retention is not options.CheckpointRetention.NO_EXTERNALIZED_CHECKPOINTS,
    )


def checkpoint_config(config: Configuration) -> dict[str, str]:
    """What the options of checkpoints come to, as texts by key; unset ones are left out."""
    shown = {item.key: item.value for item in config.resolved()}
    prefixes = ("execution.checkpointing.", options.STATE_BACKEND.key)
    return {key: text for key, text in shown.items() if text and key.startswith(prefixes)}


def shown_config(config: Configuration) -> dict[str, str]:
    """What is set otherwise than by default, as texts by key; secrets replaced."""
    defaults = {item.key: item.value for item in Configuration().resolved()}
    given = config.to_dict(redact=True)
    return {key: text for key, text in sorted(given.items()) if text != defaults.get(key)}


def claim_mode(config: Configuration) -> ClaimMode:
    """Whose the snapshot is that the job starts from.

    Raises:
        InvalidOptionError: LEGACY, in which nobody owns it.
    """
    wanted = config.get(options.CLAIM_MODE)
    if wanted is options.RestoreClaimMode.LEGACY:
        msg = f"'{options.CLAIM_MODE.key}' cannot be LEGACY: nobody would own the snapshot"
        raise InvalidOptionError(msg, remedy="Give NO_CLAIM (the default) or CLAIM.")
    return ClaimMode(wanted.value)


def adaptive_settings(config: Configuration) -> AdaptiveSettings | None:
    """Of ``scheduler-mode`` and ``jobmanager.scheduler``; None: the job's parallelism is fixed."""
    reactive = config.get(options.SCHEDULER_MODE) is options.SchedulerMode.REACTIVE
    if not reactive and config.get(options.SCHEDULER) is not options.SchedulerType.ADAPTIVE:
        return None
    return AdaptiveSettings(
        reactive=reactive,
        wait_ms=milliseconds(config.get(options.ADAPTIVE_WAIT)),
        stabilization_ms=milliseconds(config.get(options.ADAPTIVE_STABILIZATION)),
        cooldown_ms=milliseconds(config.get(options.ADAPTIVE_COOLDOWN)),
    )


def restart_strategy(config: Configuration, graph: job_pb2.JobGraph) -> RestartStrategy:
    """The strategy of ``restart-strategy.type``.

    As in Flink, a job that takes no checkpoints and asks for no strategy is not restarted: it would
    begin again from nothing and repeat its output.
    """
    asked = {options.RESTART_STRATEGY.key, *options.RESTART_STRATEGY.aliases} & set(graph.config)
    if not config.get(options.CHECKPOINTING_INTERVAL) and not asked:
        return NoRestart("checkpoints are off and restart-strategy.type is not set")
    match config.get(options.RESTART_STRATEGY):
        case options.RestartStrategyType.NONE:
            return NoRestart()
        case options.RestartStrategyType.FIXED_DELAY:
            return FixedDelay(
                attempts=config.get(options.FIXED_DELAY_ATTEMPTS),
                delay_ms=milliseconds(config.get(options.FIXED_DELAY_DELAY)),
            )
        case options.RestartStrategyType.FAILURE_RATE:
            return FailureRate(
                max_failures=config.get(options.FAILURE_RATE_MAX_FAILURES),
                interval_ms=milliseconds(config.get(options.FAILURE_RATE_INTERVAL)),
                delay_ms=milliseconds(config.get(options.FAILURE_RATE_DELAY)),
            )
        case _:
            return ExponentialDelay(
                initial_backoff_ms=milliseconds(
                    config.get(options.EXPONENTIAL_DELAY_INITIAL_BACKOFF)
                ),
                max_backoff_ms=milliseconds(config.get(options.EXPONENTIAL_DELAY_MAX_BACKOFF)),
                multiplier=config.get(options.EXPONENTIAL_DELAY_MULTIPLIER),
                jitter_factor=config.get(options.EXPONENTIAL_DELAY_JITTER),
                reset_after_ms=milliseconds(config.get(options.EXPONENTIAL_DELAY_RESET_THRESHOLD)),
                attempts_before_reset=config.get(options.EXPONENTIAL_DELAY_ATTEMPTS),
            )

"""Restart strategies in PyFlink's words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from lesto.client.datastream.checks import located
from lesto.common import options
from lesto.common.options import RestartStrategyType
from lesto.common.time import DurationLike, duration_ms


def duration(value: DurationLike, what: str) -> timedelta:
    """A duration that a user gave, checked."""
    return timedelta(milliseconds=located(lambda: duration_ms(value, what), what))


class RestartStrategyConfiguration:
    """When a failed job starts again; made by :class:`RestartStrategies`."""

    def __init__(self, settings: dict[Any, Any], description: str) -> None:
        self.settings = settings
        self._description = description

    def get_description(self) -> str:
        """For people."""
        return self._description

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RestartStrategyConfiguration) and other.settings == self.settings

    def __hash__(self) -> int:
        return hash(self._description)


class RestartStrategies:
    """The strategies. Delays are ms, or any duration."""

    class NoRestartStrategyConfiguration(RestartStrategyConfiguration):
        """The first failure ends the job."""

        def __init__(self) -> None:
            super().__init__({options.RESTART_STRATEGY: RestartStrategyType.NONE}, "none")

    class FallbackRestartStrategyConfiguration(RestartStrategyConfiguration):
        """What the cluster's configuration says."""

        def __init__(self) -> None:
            super().__init__({}, "the cluster's")

    class FixedDelayRestartStrategyConfiguration(RestartStrategyConfiguration):
        """A number of restarts, each after the same delay."""

        def __init__(
            self, restart_attempts: int, delay_between_attempts_interval: DurationLike
        ) -> None:
            self._attempts = restart_attempts
            self._delay = duration(delay_between_attempts_interval, "delay_between_attempts")
            settings = {
                options.RESTART_STRATEGY: RestartStrategyType.FIXED_DELAY,
                options.FIXED_DELAY_ATTEMPTS: restart_attempts,
                options.FIXED_DELAY_DELAY: self._delay,
            }
            super().__init__(settings, f"{restart_attempts} restarts, {self._delay} apart")

        def get_restart_attempts(self) -> int:
            """How many restarts."""
            return self._attempts

        def get_delay_between_attempts_interval(self) -> timedelta:
            """Time before each."""
            return self._delay

    class FailureRateRestartStrategyConfiguration(RestartStrategyConfiguration):
        """Restarts as long as there are not too many failures in an interval."""

        def __init__(
            self,
            max_failure_rate: int,
            failure_interval: DurationLike,
            delay_between_attempts_interval: DurationLike,
        ) -> None:
            self._rate = max_failure_rate
            self._interval = duration(failure_interval, "failure_interval")
            self._delay = duration(delay_between_attempts_interval, "delay_interval")
            settings = {
                options.RESTART_STRATEGY: RestartStrategyType.FAILURE_RATE,
                options.FAILURE_RATE_MAX_FAILURES: max_failure_rate,
                options.FAILURE_RATE_INTERVAL: self._interval,
                options.FAILURE_RATE_DELAY: self._delay,
            }
            super().__init__(settings, f"at most {max_failure_rate} failures in {self._interval}")

        def get_max_failure_rate(self) -> int:
            """Failures in an interval that the job survives."""
            return self._rate

        def get_failure_interval(self) -> timedelta:
            """The interval."""
            return self._interval

        def get_delay_between_attempts_interval(self) -> timedelta:
            """Time before each restart."""
            return self._delay

    @staticmethod
    def no_restart() -> RestartStrategyConfiguration:
        """The first failure ends the job."""
        return RestartStrategies.NoRestartStrategyConfiguration()

    @staticmethod
    def fall_back_restart() -> RestartStrategyConfiguration:
        """What the cluster's configuration says."""
        return RestartStrategies.FallbackRestartStrategyConfiguration()

    @staticmethod
    def fixed_delay_restart(
        restart_attempts: int, delay_between_attempts: DurationLike
    ) -> RestartStrategyConfiguration:
        """A number of restarts, each after the same delay."""
        return RestartStrategies.FixedDelayRestartStrategyConfiguration(
            restart_attempts, delay_between_attempts
        )

    @staticmethod
    def failure_rate_restart(
        failure_rate: int, failure_interval: DurationLike, delay_interval: DurationLike
    ) -> RestartStrategyConfiguration:
        """Restarts as long as there are not too many failures in an interval."""
        return RestartStrategies.FailureRateRestartStrategyConfiguration(
            failure_rate, failure_interval, delay_interval
        )

    @staticmethod
    def exponential_delay_restart(
        initial_backoff: DurationLike = "1s",
        max_backoff: DurationLike = "1min",
        backoff_multiplier: float = 1.5,
        reset_backoff_threshold: DurationLike = "1h",
        jitter_factor: float = 0.1,
    ) -> RestartStrategyConfiguration:
        """Restarts without end, each after a longer delay."""
        settings = {
            options.RESTART_STRATEGY: RestartStrategyType.EXPONENTIAL_DELAY,
            options.EXPONENTIAL_DELAY_INITIAL_BACKOFF: duration(initial_backoff, "initial_backoff"),
            options.EXPONENTIAL_DELAY_MAX_BACKOFF: duration(max_backoff, "max_backoff"),
            options.EXPONENTIAL_DELAY_MULTIPLIER: backoff_multiplier,
            options.EXPONENTIAL_DELAY_RESET_THRESHOLD: duration(
                reset_backoff_threshold, "reset_backoff_threshold"
            ),
            options.EXPONENTIAL_DELAY_JITTER: jitter_factor,
        }
        return RestartStrategyConfiguration(settings, f"exponential delay from {initial_backoff}")

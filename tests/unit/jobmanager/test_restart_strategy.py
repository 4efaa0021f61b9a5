import pytest
from jobgraphs import pipeline

from lesto.common.config import Configuration
from lesto.jobmanager.core.restart_strategy import (
    ExponentialDelay,
    FailureRate,
    FixedDelay,
    GiveUp,
    NoRestart,
    Restart,
)
from lesto.jobmanager.server.settings import job_config, job_settings


def test_none_gives_up_at_once():
    assert isinstance(NoRestart().on_failure(0, 0.0), GiveUp)


def test_fixed_delay_gives_up_when_its_attempts_are_used_up():
    strategy = FixedDelay(attempts=2, delay_ms=500)
    assert [strategy.on_failure(t, 0.0) for t in (0, 1)] == [Restart(500)] * 2
    assert isinstance(strategy.on_failure(2, 0.0), GiveUp)


def test_exponential_delay_grows_by_flinks_numbers_up_to_its_cap():
    strategy = ExponentialDelay()
    now, delays = 0, []
    for _ in range(13):
        decision = strategy.on_failure(now, 0.0)
        delays.append(decision.delay_ms)
        now += decision.delay_ms + 10
    assert delays[:5] == [1_000, 1_500, 2_250, 3_375, 5_062]
    assert delays[-2:] == [60_000, 60_000]


def test_exponential_delay_starts_again_after_a_long_time_without_failure():
    strategy = ExponentialDelay()
    strategy.on_failure(0, 0.0)
    strategy.on_failure(5_000, 0.0)
    running_since = 5_000 + 1_500
    assert strategy.on_failure(running_since + 3_600_000 - 1, 0.0) == Restart(2_250)
    running_since += 3_600_000 - 1 + 2_250
    assert strategy.on_failure(running_since + 3_600_000, 0.0) == Restart(1_000)


@pytest.mark.parametrize(("jitter", "delay_ms"), [(-1.0, 900), (0.0, 1_000), (1.0, 1_100)])
def test_jitter_is_a_tenth_either_way(jitter, delay_ms):
    assert ExponentialDelay().on_failure(0, jitter) == Restart(delay_ms)


def test_exponential_delay_with_limited_attempts_gives_up():
    strategy = ExponentialDelay(attempts_before_reset=1)
    assert isinstance(strategy.on_failure(0, 0.0), Restart)
    assert isinstance(strategy.on_failure(2_000, 0.0), GiveUp)


def test_failure_rate_gives_up_when_failures_come_too_fast():
    strategy = FailureRate(max_failures=2, interval_ms=1_000, delay_ms=10)
    assert strategy.on_failure(0, 0.0) == Restart(10)
    assert strategy.on_failure(900, 0.0) == Restart(10)
    assert strategy.on_failure(1_800, 0.0) == Restart(10)
    assert isinstance(strategy.on_failure(1_801, 0.0), GiveUp)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ExponentialDelay()),
        ({"restart-strategy.type": "none"}, NoRestart()),
        (
            {
                "restart-strategy.type": "fixed-delay",
                "restart-strategy.fixed-delay.attempts": "7",
                "restart-strategy.fixed-delay.delay": "3 s",
            },
            FixedDelay(7, 3_000),
        ),
        (
            {
                "restart-strategy.type": "failure-rate",
                "restart-strategy.failure-rate.max-failures-per-interval": "4",
                "restart-strategy.failure-rate.failure-rate-interval": "2 min",
                "restart-strategy.failure-rate.delay": "1 min",
            },
            FailureRate(4, 120_000, 60_000),
        ),
        (
            {
                "restart-strategy.exponential-delay.initial-backoff": "2 s",
                "restart-strategy.exponential-delay.attempts-before-reset-backoff": "5",
            },
            ExponentialDelay(2_000, attempts_before_reset=5),
        ),
        (
            {"execution.checkpointing.interval": "0"},
            NoRestart("checkpoints are off and restart-strategy.type is not set"),
        ),
        (
            {
                "execution.checkpointing.interval": "0",
                "restart-strategy.type": "exponential-delay",
            },
            ExponentialDelay(),
        ),
    ],
)
def test_strategies_come_from_flinks_keys(settings, expected):
    graph = pipeline(config=settings)
    config = job_config(Configuration(), graph)
    assert job_settings(config, graph).restart == expected

"""The options of a run: each seed draws which faults are on, how strong, and what runs."""

import random
from dataclasses import asdict, dataclass, field

from tests.simulation.kernel import US_PER_MS, US_PER_S


@dataclass
class Options:
    """Everything a seed decides before its run."""

    jobmanagers: int = 1
    taskmanagers: int = 4
    slots: int = 1
    splits: int = 2
    records: int = 60
    keys: int = 8
    batch_rows: int = 8
    record_period_us: int = 50 * US_PER_MS
    sources: int = 2
    operators: int = 2
    sinks: int = 2
    chained: bool = True
    interval_ms: int = 400
    timeout_ms: int = 3_000
    min_pause_ms: int = 0
    tolerable: int = 10
    retained: int = 2
    exactly_once: bool = True
    credit_bytes: int = 4_096
    padding: int = 0
    work_us: int = 0
    turn_us: int = 400
    latency_us: tuple = (50, 800)
    spike: float = 0.01
    retried: bool = True
    lease_ms: int = 2_000
    heal_at_us: int = 8 * US_PER_S
    faults: dict = field(default_factory=dict)
    extra: dict = field(default_factory=dict)

    @property
    def data_us(self):
        """How long the input lasts, about."""
        return self.records * (self.record_period_us + 2 * self.splits * self.work_us)

    def graph(self):
        """The job."""
        from tests.simulation.cluster import build_graph

        made = build_graph(
            sources=self.sources, operators=self.operators, sinks=self.sinks, chained=self.chained
        )
        made.config.update(self.job_config())
        return made

    def job_config(self):
        """Of the job."""
        mode = "EXACTLY_ONCE" if self.exactly_once else "AT_LEAST_ONCE"
        return {
            "execution.checkpointing.interval": f"{self.interval_ms} ms",
            "execution.checkpointing.timeout": f"{self.timeout_ms} ms",
            "execution.checkpointing.min-pause": f"{self.min_pause_ms} ms",
            "execution.checkpointing.tolerable-failed-checkpoints": str(self.tolerable),
            "execution.checkpointing.num-retained": str(self.retained),
            "execution.checkpointing.mode": mode,
            "restart-strategy.type": "exponential-delay",
            "restart-strategy.exponential-delay.initial-backoff": "50 ms",
            "restart-strategy.exponential-delay.max-backoff": "800 ms",
            "state.backend.type": "hashmap",
            **self.extra,
        }

    def cluster_config(self):
        """Of the processes."""
        return {
            "execution.checkpointing.dir": "sim://store/checkpoints",
            "high-availability.lease-duration": f"{self.lease_ms} ms",
            "high-availability.renew-interval": f"{self.lease_ms // 3} ms",
            "heartbeat.interval": "500 ms",
            "heartbeat.timeout": "1500 ms",
            "slot.request.timeout": "20 s",
            "task.cancellation.timeout": "2 s",
            "taskmanager.network.channel-credit": str(self.credit_bytes),
        }

    def describe(self):
        """One line a value."""
        return "\n".join(f"  {name} = {value}" for name, value in asdict(self).items())


def draw(seed):
    """The options of a seed."""
    rng = random.Random(seed)
    width = rng.choice([1, 2, 2, 3])
    options = Options(
        jobmanagers=rng.choice([1, 2, 2]),
        lease_ms=rng.choice([500, 1_000, 2_000]),
        slots=rng.choice([1, 1, 2]),
        splits=rng.randrange(1, 4),
        records=rng.randrange(40, 120),
        keys=rng.choice([1, 3, 8]),
        batch_rows=rng.choice([1, 4, 16]),
        record_period_us=rng.choice([1, rng.randrange(20, 80), rng.randrange(20, 80)]) * US_PER_MS,
        work_us=rng.choice([0, 0, 2_000, 20_000]),
        sources=rng.choice([1, 2, 2]),
        operators=width,
        sinks=width,
        chained=rng.random() < 0.5,
        interval_ms=rng.choice([60, 150, 400, 1_000]),
        timeout_ms=rng.choice([400, 1_500, 4_000]),
        min_pause_ms=rng.choice([0, 0, 100]),
        exactly_once=rng.random() < 0.93,
        retained=rng.choice([1, 2, 3]),
        credit_bytes=rng.choice([4_096, 4_096, 65_536]),
        padding=rng.choice([0, 0, 300, 1_500]),
        turn_us=rng.choice([400, 1_500, 6_000]),
        latency_us=rng.choice([(50, 800), (500, 8_000)]),
        spike=rng.choice([0, 0.01, 0.04]),
        retried=rng.random() < 0.7,
        heal_at_us=rng.randrange(3, 9) * US_PER_S,
    )
    if options.work_us:  # full backpressure: barriers take as long as what is in front of them
        options.timeout_ms = 8_000
    options.faults = faults(rng)
    if options.exactly_once and rng.random() < 0.45:
        options.extra["execution.checkpointing.unaligned.enabled"] = "true"
        timeout = rng.choice([0, 0, 20, 200])
        options.extra["execution.checkpointing.aligned-checkpoint-timeout"] = f"{timeout} ms"
    elif rng.random() < 0.3:
        concurrent = rng.choice([2, 3])
        options.extra["execution.checkpointing.max-concurrent-checkpoints"] = str(concurrent)
    return options


#: Kind of fault -> events a virtual second, at most.
KINDS = {
    "kill_slot": 1.0,
    "kill_taskmanager": 0.6,
    "kill_jobmanager": 0.5,
    "pause_slot": 0.5,
    "pause_taskmanager": 0.4,
    "pause_jobmanager": 0.4,
    "partition": 0.5,
    "one_way": 0.5,
    "flap": 0.3,
    "reset": 1.0,
    "store_down": 0.3,
    "store_full": 0.3,
    "clock_jump": 0.5,
    "rescale": 1.2,
    "savepoint": 0.5,
    "checkpoint": 0.5,
}
#: Kind of fault -> probability of it at each operation, at most.
RATES = {
    "crash_at_step": 0.02,
    "pause_at_step": 0.02,
    "store_before": 0.08,
    "store_after": 0.08,
    "store_slow": 0.1,
    "stale": 0.5,
    "sink": 0.1,
}


def faults(rng):
    """Which are on, and how strong: about a third of the kinds."""
    if rng.random() < 0.05:
        return {}
    chosen = {}
    for name, most in {**KINDS, **RATES}.items():
        if rng.random() < 0.3:
            chosen[name] = round(rng.uniform(0.2, 1) * most, 3)
    return chosen

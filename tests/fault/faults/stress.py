"""Flink's stress test: checkpoints as fast as can be, one kept, failures all the time."""

from tests.fault.harness import Setting, scenario
from tests.fault.registry import Form


def _trip(folder):
    return ("--trip", folder / "fail")


@scenario(
    "stress", "T18",
    short=Form(seconds=20, rate=4_000, strikes=1_000_000, interval="20ms"),
    long=Form(seconds=3600, rate=10_000, strikes=1_000_000, interval="20ms"),
    setting=Setting(
        arguments=_trip,
        job=(
            ("execution.checkpointing.num-retained", "1"),
            ("execution.checkpointing.tolerable-failed-checkpoints", "1000000"),
            ("restart-strategy.fixed-delay.delay", "10ms"),
        ),
    ),
)  # fmt: skip
def stress(a):
    """20 ms checkpoints, a failure after each 2 to 10 of them, one retained: always restorable."""
    for _ in a.strikes():
        done = a.observer.details.checkpoints.completed
        wanted = done + a.rng.randint(2, 10)
        if not a.observer.until(
            lambda n=wanted: a.observer.finished()
            or a.observer.details.checkpoints.completed >= n, 30,
        ):  # fmt: skip
            a.wrong.append(f"{wanted - done} checkpoints took more than 30 s")
        if a.observer.finished():
            return
        last = a.strike("scripted failure")
        (a.folder / "fail").touch()
        if not a.observer.until(lambda s=last: s.running is not None or a.observer.finished(), 30):
            a.wrong.append("not converged 30 s after a failure")
            return

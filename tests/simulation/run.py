"""One run of the simulation, and what it showed."""

import gc
import sys
import warnings
from dataclasses import dataclass

from tests.simulation import swarm
from tests.simulation.cluster import Cluster, simulated
from tests.simulation.kernel import US_PER_S, Kernel, SimulationStuck
from tests.simulation.nemesis import Nemesis
from tests.simulation.network import Network
from tests.simulation.storage import Store
from tests.simulation.world import World

STEPS_MAX = 400_000
#: After the faults have healed the job must have finished within this virtual time.
CONVERGENCE_US = 90 * US_PER_S


@dataclass
class Result:
    """What a run showed."""

    seed: int
    failures: list
    trace_hash: int
    steps: int
    virtual_us: int
    options: object
    tail: list
    restarts: int
    completions: int
    in_flight: int
    faults: dict

    @property
    def ok(self):
        """Whether every invariant held."""
        return not self.failures


def run(seed, *, verbose=False, options=None):
    """Run one seed."""
    k = Kernel(seed, verbose=verbose)
    Kernel.current_kernel = k
    enabled = gc.isenabled()
    gc.disable()
    gc.freeze()  # so that the collection behind the run looks at what is of the run alone
    try:
        return _run(k, seed, options or swarm.draw(seed))
    finally:
        _tear_down(k)
        gc.unfreeze()
        if enabled:
            gc.enable()


def _run(k, seed, chosen):
    chosen.graph()  # before the first draw: it is built once a process
    k.rng.seed(seed * 7919 + 13)
    k.attic_nemesis = None
    k.attic_network = Network(k, latency_us=chosen.latency_us, spike=chosen.spike)
    k.attic_store = Store(k)
    k.attic_store.retried = chosen.retried
    k.attic_world = world = World(k, chosen)
    k.attic_store.on_write.append(world.on_write)
    with simulated():
        cluster = k.attic_cluster = Cluster(k, chosen)
        nemesis = k.attic_nemesis = Nemesis(k, chosen)
        cluster.start()
        nemesis.start()
        limit_us = chosen.heal_at_us + chosen.data_us + CONVERGENCE_US

        def over():
            return cluster.final is not None or k.now_us > limit_us

        try:
            k.run(over, steps_max=STEPS_MAX)
        except SimulationStuck as stuck:
            k.fail(str(stuck))
        _judge(k, cluster, world)
        k.close()
        return Result(
            seed=seed,
            failures=list(k.failures),
            trace_hash=k.hash,
            steps=k.steps,
            virtual_us=k.now_us,
            options=chosen,
            tail=list(k.tail),
            restarts=cluster.details.summary.restarts if cluster.details else 0,
            completions=world.completions,
            in_flight=world.in_flight,
            faults={**nemesis.count, **{" ".join(k): n for k, n in cluster.managed.items()}},
        )


def _tear_down(k):
    """End greenlets and free coroutines that were left where they stood."""
    # A coroutine that is freed runs its ``finally`` without the loop it had: that says nothing.
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            k.close()
            for name in [n for n in vars(k) if n.startswith("attic_")]:
                delattr(k, name)
            k.processes.clear()
            gc.collect()
            Kernel.current_kernel = None
    finally:
        sys.unraisablehook = hook


def _judge(k, cluster, world):
    if k.failures:
        return
    if cluster.final == "FINISHED":
        world.judge()
        return
    state = cluster.final or "not ended"
    seen = f"{len(world.seen)} of {sum(map(len, world.records.values()))} records published"
    why = ""
    if cluster.details is not None:
        why = "; ".join(
            f"{f.task_name}: {f.failure.code} {f.failure.message[:200]}"
            for f in cluster.details.failures[:3]
        )
        why += " | " + "; ".join(t.cause[:120] for t in cluster.details.transitions[-4:])
    k.fail(f"no convergence: the job is {state} after {k.now_us / US_PER_S:.1f} s, {seen}; {why}")

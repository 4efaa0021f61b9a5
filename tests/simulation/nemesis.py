"""Who injects the faults: at times drawn from the seed, until the run is healed."""

import collections

from tests.simulation.kernel import US_PER_MS, US_PER_S


class Nemesis:
    """Faults of one run.

    Attributes:
        count: how many of each kind were injected.
    """

    def __init__(self, k, options):
        self.kernel = k
        self.options = options
        self.rng = k.rng
        self.count = collections.Counter()
        self.healed = False

    @property
    def cluster(self):
        return self.kernel.attic_cluster

    def start(self):
        """Schedule everything."""
        faults, k = self.options.faults, self.kernel
        k.attic_store.fail_before = faults.get("store_before", 0.0)
        k.attic_store.fail_after = faults.get("store_after", 0.0)
        k.attic_store.slow = faults.get("store_slow", 0.0)
        k.attic_store.stale = faults.get("stale", 0.0)
        k.attic_store.torn = 0.5
        k.attic_world.sink_fails = faults.get("sink", 0.0)
        for name, rate in faults.items():
            if hasattr(self, f"_{name}"):
                self._plan(name, rate)
        k.at(self.options.heal_at_us, self.heal)
        self._keep_up()

    def _plan(self, name, rate):
        gap = self.rng.expovariate(rate) * US_PER_S
        self.kernel.at(gap, self._inject, name, rate)

    def _inject(self, name, rate):
        if self.healed:
            return
        self.count[name] += 1
        self.kernel.trace("fault", name)
        getattr(self, f"_{name}")()
        self._plan(name, rate)

    def heal(self):
        """No more faults; what is broken is mended."""
        self.healed = True
        k = self.kernel
        k.trace("heal all")
        store = k.attic_store
        store.fail_before = store.fail_after = store.slow = store.stale = 0.0
        store.full = False
        store.unreachable.clear()
        k.attic_world.sink_fails = 0.0
        k.attic_network.spike = 0
        k.attic_network.heal()
        for process in k.processes:
            process.resume()

    def _keep_up(self):
        """What has died is started again after a while, as a service manager does."""
        cluster, k = self.cluster, self.kernel
        for kind, start in (
            (cluster.taskmanagers, cluster.start_taskmanager),
            (cluster.jobmanagers, cluster.start_jobmanager),
        ):
            for machine, process in list(kind.items()):
                if not process.alive and not process.attic.get("restarting"):
                    process.attic["restarting"] = True
                    k.at(self.rng.randrange(100, 1_500) * US_PER_MS, start, machine)
        k.at(200 * US_PER_MS, self._keep_up)

    def at_step(self, process, verb):
        """A process has reached a step with an effect outside: it may die or freeze right there."""
        faults, rng = self.options.faults, self.rng
        if self.healed or not process.alive or process.machine == "client":
            return
        if rng.random() < faults.get("crash_at_step", 0):
            self.count["crash_at_step"] += 1
            self.kernel.trace("fault", "crash_at_step", process.name, verb)
            process.kill()
        elif rng.random() < faults.get("pause_at_step", 0):
            self.count["pause_at_step"] += 1
            self.kernel.trace("fault", "pause_at_step", process.name, verb)
            self._pause(process, 4_000)

    # ----------------------------------------------------------------------------------- the kinds

    def _alive(self, processes):
        return [p for p in processes if p.alive]

    def _some_slot(self):
        return self._one(self._alive(self.cluster.slots))

    def _one(self, found):
        return found[self.rng.randrange(len(found))] if found else None

    def _kill_slot(self):
        if (process := self._some_slot()) is not None:
            process.kill()

    def _kill_taskmanager(self):
        process = self._one(self._alive(self.cluster.taskmanagers.values()))
        if process is not None:
            process.kill()

    def _kill_jobmanager(self):
        process = self._one(self._alive(self.cluster.jobmanagers.values()))
        if process is not None:
            process.kill()

    def _pause(self, process, most_ms):
        if process is not None:
            process.pause()
            self.kernel.at(self.rng.randrange(50, most_ms) * US_PER_MS, process.resume)

    def _pause_slot(self):
        self._pause(self._some_slot(), 6_000)

    def _pause_taskmanager(self):
        self._pause(self._one(self._alive(self.cluster.taskmanagers.values())), 6_000)

    def _pause_jobmanager(self):
        self._pause(self._one(self._alive(self.cluster.jobmanagers.values())), 12_000)

    def _links(self, both):
        machines = self.cluster.machines()
        a = self._one(machines)
        b = self._one([m for m in machines if m != a])
        return [(a, b), (b, a)] if both else [(a, b)]

    def _silence(self, links, ms):
        network = self.kernel.attic_network
        for link in links:
            network.block(*link)
        self.kernel.at(ms * US_PER_MS, network.heal, links)

    def _partition(self):
        self._silence(self._links(both=True), self.rng.randrange(100, 6_000))

    def _one_way(self):
        self._silence(self._links(both=False), self.rng.randrange(100, 6_000))

    def _flap(self):
        links = self._links(both=True)
        for index in range(4):
            self.kernel.at(index * 700 * US_PER_MS, self._silence, links, 350)

    def _reset(self):
        open_ones = [c for c in self.kernel.attic_network.connections if not c.over]
        connection = self._one(open_ones)
        if connection is not None:
            connection.reset()

    def _store_down(self):
        machine = self._one(self.cluster.machines())
        store = self.kernel.attic_store
        store.unreachable.add(machine)
        self.kernel.at(
            self.rng.randrange(100, 3_000) * US_PER_MS, store.unreachable.discard, machine
        )

    def _store_full(self):
        store = self.kernel.attic_store
        store.full = True

        def space():
            store.full = False

        self.kernel.at(self.rng.randrange(100, 2_000) * US_PER_MS, space)

    def _clock_jump(self):
        process = self._one([p for p in self.kernel.processes if p.alive])
        if process is not None:
            process.wall_offset_us += self.rng.randrange(-3_600, 3_600) * US_PER_S

    def _rescale(self):
        self.cluster.manage("rescale")

    def _savepoint(self):
        self.cluster.manage("savepoint")

    def _checkpoint(self):
        self.cluster.manage("checkpoint")

"""Deterministic simulation of a whole cluster in one process.

    python -m tests.simulation --seed 17 --trace                     one seed, every event
    python -m tests.simulation --seeds 20000 --jobs 2 --until-failure   the long run

A seed decides everything: the options of the run, every delay, every choice of the next thread,
every fault. The same seed gives the same trace, bit for bit, in every process.

Real, unchanged: JobManager (service, gateway, client service, dispatcher, job runner, job master,
coordinator, slot pool, leader election, job log, recovery, checkpoint store and cleaning), the
TaskManager's supervisor with its links and leader finder, and in each slot the mailbox, tasks,
chains, operators, hashmap state, snapshots, in-flight files, inputs, alignment, credit, both ends
of the exchange with its wire format, and the retries around storage.

Models, behind the same interfaces:

* ``kernel``: processes, threads (greenlets), time. ``shims``: ``time``, ``threading``, ``queue``,
  executors, chance. ``loop``: asyncio's own loop on virtual time.
* ``network`` and ``rpc``: gRPC; ``flight``: Arrow Flight. Streams keep order; they are delayed,
  silent in one direction or both, and broken. ``storage``: an object store that is slow, full,
  refuses, loses answers, shows old listings.
* ``cluster``: slot processes are started by the kernel instead of ``subprocess``, and run what
  ``slot_main`` runs without sockets and signals. Metrics are served to nobody, logs go nowhere.
* Not simulated: RocksDB, etcd and Kubernetes elections, REST, the torn local file (objects appear
  whole or not at all, but for the temporary ones that a full store leaves).

``world`` is outside the engine: what the sources hold, what was published, and the oracle over
both. ``nemesis`` injects the faults that ``swarm`` has drawn.
"""

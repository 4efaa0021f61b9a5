"""Simulated machines that run the real JobManager, TaskManager and slot code."""

import asyncio
import collections
import contextlib
import os
import pathlib
import types

from greenlet import GreenletExit

import lesto.common.clock
import lesto.jobmanager.server.service
import lesto.taskmanager.runtime.slot
import lesto.taskmanager.runtime.supervisor
from lesto.common import metrics, options
from lesto.common.config import Configuration
from lesto.common.errors import LestoError
from lesto.datastream import StreamExecutionEnvironment
from lesto.jobmanager.server import job_runner
from lesto.jobmanager.server.ha import process_identity
from lesto.jobmanager.server.job_runner import JobRunner
from lesto.jobmanager.server.service import JobManager
from lesto.proto import client_pb2, client_pb2_grpc
from lesto.state import files
from lesto.taskmanager.runtime import mailbox as mailbox_module
from lesto.taskmanager.runtime import slot_process, supervisor
from lesto.taskmanager.runtime.environment import SlotEnvironment
from lesto.taskmanager.runtime.exchange import receiver
from lesto.taskmanager.runtime.mailbox import Mailbox
from lesto.taskmanager.runtime.slot import Slot
from lesto.taskmanager.runtime.slot_process import SlotProcess
from lesto.taskmanager.runtime.supervisor import TaskManager
from lesto.taskmanager.runtime.supervisor_link import SupervisorLink
from tests.simulation import flight, rpc, shims
from tests.simulation.kernel import US_PER_MS, US_PER_S, here, kernel
from tests.simulation.loop import start_loop
from tests.simulation.storage import open_simulated
from tests.simulation.world import Counting, LedgerSink, SimSource, key_of, strategy

JOB_ID = "0123456789abcdef0123456789abcdef"
JOBMANAGER_PORT = 6123
CHECKPOINTS = "sim://store/checkpoints"
CLIENT_POLL_SECONDS = 0.4


# ----------------------------------------------------------------------- stand-ins of processes


class _Exit:
    """``os`` for code that may end its process."""

    def __getattr__(self, name):
        return getattr(os, name)

    @staticmethod
    def getpid():
        return here().pid

    @staticmethod
    def _exit(code):
        here().kill(code)
        raise GreenletExit


class _Child:
    """``asyncio.subprocess.Process`` of a simulated process."""

    def __init__(self, process, loop):
        self.process = process
        self.pid = process.pid
        self.stdin = None
        self._loop = loop
        self._over = loop.create_future()
        process.on_death.append(self._died)

    @property
    def returncode(self):
        return None if self.process.alive else self.process.exit_code

    def _died(self):
        # The parent learns a moment later, by its SIGCHLD.
        k = self.process.kernel
        k.at(
            k.rng.randrange(100, 5_000),
            lambda: self._loop.call_soon_threadsafe(self._tell),
        )

    def _tell(self):
        if not self._over.done():
            self._over.set_result(None)

    async def wait(self):
        await asyncio.shield(self._over)
        return self.process.exit_code

    def kill(self):
        if not self.process.alive:
            raise ProcessLookupError
        self.process.kill(-9)

    def terminate(self):
        if not self.process.alive:
            raise ProcessLookupError
        box = self.process.attic.get("mailbox")
        if box is None or self.process.paused:
            self.process.kill(-15)
        else:
            box.stop()


class SimSlotProcess(SlotProcess):
    """``SlotProcess`` whose process is simulated."""

    async def start(self):
        k, parent = kernel(), here()
        await asyncio.sleep(k.rng.randrange(20, 400) / 1000)
        number = parent.attic["slots"] = parent.attic.get("slots", 0) + 1
        process = k.process(parent.machine, f"{parent.name}/slot{self.index}.{number}")
        parent.on_death.append(lambda: process.kill(-9))  # PR_SET_PDEATHSIG
        self._process = _Child(process, asyncio.get_running_loop())
        self.info.pid = process.pid
        k.attic_cluster.slots.append(process)
        setup = {
            "slot_id": self.slot_id,
            "gateway": self._setup.gateway,
            "token": self._setup.token,
            "host": self._setup.host,
            "config": self._setup.config,
            "local_dir": str(self.local_dir),
        }
        process.spawn("main", lambda: _slot_main(process, parent, setup))

    async def remove_files(self):
        """Nothing of it is on a disk."""


class _Link(SupervisorLink):
    """``SupervisorLink``; the supervisor's death is seen by the kernel, not on a pipe."""

    def _watch_stdin(self):
        while True:
            kernel().park()


def _slot_main(process, parent, setup):
    """``slot_main._run`` without sockets, signals and warm kernels."""
    k = kernel()
    config = Configuration.from_dict(setup["config"])
    clock = shims.SimClock()
    mailbox = Mailbox(clock)
    process.attic["mailbox"] = mailbox
    exchange = kernel().attic_cluster.exchange_class(setup["host"])
    link = _Link(setup, config, mailbox, exchange.uri, "")
    environment = SlotEnvironment(
        slot_id=setup["slot_id"],
        mailbox=mailbox,
        io=shims.Executor(8, "slot-io"),
        exchange=exchange,
        send=link.send,
        clock=clock,
        local_dir=setup["local_dir"],
    )
    slot = Slot(environment, config, lambda: None)
    process.attic["slot"] = slot
    world = k.attic_world

    def handle(command):
        if command.WhichOneof("command") == "deploy":
            for deployment in command.deploy.tasks:
                world.on_deploy(deployment)
        slot.handle(command)

    link.start(handle, connected=lambda: None, inspect=lambda _: None)
    turn_us = k.attic_cluster.options.turn_us
    while not mailbox._stopping:
        mailbox.run_once()
        k.sleep(k.rng.randrange(turn_us // 4, turn_us))
    slot.cancel_all()
    process.kill(0)


class _CheckedRunner(JobRunner):
    """``JobRunner`` whose job master is validated after every event."""

    def _take(self, event):
        super()._take(event)
        try:
            self.master.validate()
            self._services.taskmanagers.pool.validate()
        except AssertionError as error:
            kernel().fail(f"after {type(event).__name__}: {error}; {self.master.states.tell()}")

    def _execute(self, instruction):
        kernel().trace("do", here().name, type(instruction).__name__)
        super()._execute(instruction)

    async def _run_guarded(self):
        try:
            await self._run()
        except Exception as error:
            import traceback

            kernel().fail(f"the job master collapsed: {error!r}\n{traceback.format_exc()}")
            raise


class _Scratch:
    def __init__(self, *_):
        self.path = pathlib.Path("/simulated")

    def close(self):
        """Nothing was made."""


_QUIET = types.SimpleNamespace(
    bind=lambda **_: _QUIET,
    **{
        level: lambda *_, **__: None
        for level in ("debug", "info", "warning", "error", "exception", "critical")
    },
)


def _registry():
    process = here()
    if process is None:
        return metrics._process_registry
    found = process.attic.get("metrics")
    if found is None:
        found = process.attic["metrics"] = metrics.MetricRegistry()
    return found


def _identity(*_):
    return f"{here().machine}/{here().pid}"


def _is_gone(identity):
    machine, _, pid = identity.rpartition("/")
    if not identity or machine != here().machine:
        return False
    return not any(p.pid == int(pid) and p.alive for p in kernel().processes)


class Cluster:
    """Machines, and how to start and end what runs on them.

    Args:
        k: the kernel.
        options: of the run.
    """

    def __init__(self, k, options_):
        self.kernel = k
        self.options = options_
        self.slots = []
        self.jobmanagers = {}  # machine -> process
        self.taskmanagers = {}
        self.exchange_class = flight.on_simulated_base(
            receiver.ExchangeServer, flight.FlightServerBase
        )
        self.final = None
        self.details = None
        self.managed = collections.Counter()
        network = k.attic_network
        for index, machine in enumerate(self.machines()):
            network.hosts[_host(index)] = machine

    def machines(self):
        """Names of all machines."""
        o = self.options
        names = [f"jm{i}" for i in range(o.jobmanagers)]
        names += [f"tm{i}" for i in range(o.taskmanagers)]
        return [*names, "client"]

    def host(self, machine):
        """Its address."""
        return _host(self.machines().index(machine))

    def config(self):
        """The cluster's configuration."""
        return Configuration.from_dict(self.options.cluster_config())

    def start(self):
        """Everything."""
        for index in range(self.options.jobmanagers):
            self.start_jobmanager(f"jm{index}")
        for index in range(self.options.taskmanagers):
            self.start_taskmanager(f"tm{index}")
        client = self.client = self.kernel.process("client", "client")
        start_loop(client, "main", self._client)

    def addresses(self):
        """Of all JobManagers."""
        return [f"{self.host(f'jm{i}')}:{JOBMANAGER_PORT}" for i in range(self.options.jobmanagers)]

    # ------------------------------------------------------------------------------- JobManagers

    def start_jobmanager(self, machine):
        """A JobManager process on a machine that has none."""
        process = self._process(machine, self.jobmanagers)
        start_loop(process, "main", lambda: self._jobmanager(process, machine))

    async def _jobmanager(self, process, machine):
        manager = JobManager(
            self.config(),
            host=self.host(machine),
            port=JOBMANAGER_PORT,
            checkpoint_dir=CHECKPOINTS,
            clock=shims.SimClock(),
        )
        process.attic["jobmanager"] = manager
        try:
            await manager.start()
            await asyncio.Event().wait()
        except LestoError as error:
            self.kernel.trace("jobmanager ends", process.name, str(error))
            process.kill(1)

    def _process(self, machine, kind):
        old = kind.get(machine)
        generation = 1 + (int(old.name.rpartition("#")[2]) if old is not None else 0)
        process = self.kernel.process(machine, f"{machine}#{generation}")
        process.wall_offset_us = old.wall_offset_us if old is not None else 0
        kind[machine] = process
        if old is not None and self.kernel.attic_nemesis is not None:
            self.kernel.trace("started", process.name)
        return process

    # ------------------------------------------------------------------------------- TaskManagers

    def start_taskmanager(self, machine):
        """A TaskManager process on a machine that has none."""
        process = self._process(machine, self.taskmanagers)
        start_loop(process, "main", lambda: self._taskmanager(process, machine))

    async def _taskmanager(self, process, machine):
        manager = TaskManager(
            self.config(),
            jobmanager_address=",".join(self.addresses()),
            slots=self.options.slots,
            host=self.host(machine),
            metrics_port=-1,
        )
        process.attic["taskmanager"] = manager
        try:
            await manager.start()
            await manager.wait_failed()
        except LestoError as error:
            self.kernel.trace("taskmanager ends", process.name, str(error))
            process.kill(1)

    # ------------------------------------------------------------------------------------- client

    async def _client(self):
        """Submits, and watches until the job has ended."""
        graph = self.options.graph()
        submitted = False
        while True:
            for address in self.addresses():
                channel = rpc.sim_grpc.aio.insecure_channel(address)
                stub = client_pb2_grpc.JobManagerServiceStub(channel)
                try:
                    if not submitted:
                        request = client_pb2.SubmitJobRequest(graph=graph)
                        await stub.SubmitJob(request, timeout=5)
                        submitted = True
                    request = client_pb2.GetJobRequest(job_id=JOB_ID)
                    details = await stub.GetJob(request, timeout=5)
                except rpc.AioRpcError as error:
                    code = error.code().name
                    self.kernel.trace("client", code, error.details()[:120])
                    submitted = submitted or code == "ALREADY_EXISTS"
                else:
                    self._observe(details)
                    if self.final is not None:
                        return
            await asyncio.sleep(CLIENT_POLL_SECONDS)

    def manage(self, kind):
        """Somebody asks for something while the job runs; whether it succeeds is another matter."""
        loop = self.client.attic["loop"]
        loop.call_soon_threadsafe(lambda: loop.create_task(self._manage(kind)))

    async def _manage(self, kind):
        """Ask one JobManager after the other until one that leads has answered."""
        rng = self.kernel.rng
        for address in rng.sample(self.addresses(), len(self.addresses())):
            stub = client_pb2_grpc.JobManagerServiceStub(rpc.sim_grpc.aio.insecure_channel(address))
            try:
                answer = await self._ask(stub, kind, rng)
            except rpc.AioRpcError as error:
                code = error.code().name
                self.kernel.trace("manage", kind, code, error.details()[:100])
                self.managed[kind, code] += 1
                if code != "UNAVAILABLE":
                    return
            else:
                self.kernel.trace("manage", kind, str(answer)[:100])
                self.managed[kind, "OK"] += 1
                return

    @staticmethod
    async def _ask(stub, kind, rng):
        match kind:
            case "rescale":
                wanted = rng.randrange(1, 4)
                request = client_pb2.RescaleJobRequest(job_id=JOB_ID, parallelism=wanted)
                return await stub.RescaleJob(request, timeout=20)
            case "savepoint":
                target = "sim://store/savepoints"
                request = client_pb2.TriggerSavepointRequest(job_id=JOB_ID, target=target)
                return await stub.TriggerSavepoint(request, timeout=20)
        request = client_pb2.TriggerCheckpointRequest(job_id=JOB_ID, full=rng.random() < 0.5)
        return await stub.TriggerCheckpoint(request, timeout=20)

    def _observe(self, details):
        state = client_pb2.JobState.Name(details.summary.state).removeprefix("JOB_STATE_")
        self.kernel.trace("client sees", state, details.summary.restarts)
        self.details = details
        if state in {"FINISHED", "FAILED", "CANCELED"}:
            self.final = state


def _host(index):
    return f"127.1.0.{index + 1}"


#: One graph for each shape: building takes longer than a seed may take.
_GRAPHS = {}


def build_graph(*, sources, operators, sinks, chained):
    """The job: two sources, united by key into a counting operator, then a transactional sink."""
    shape = (sources, operators, sinks, chained)
    if shape not in _GRAPHS:
        env = StreamExecutionEnvironment.get_execution_environment()
        env._script_folders = list
        sides = [
            env.from_source(SimSource(name), strategy(), name).uid(name).set_parallelism(sources)
            for name in ("left", "right")
        ]
        counted = sides[0].union(sides[1]).key_by(key_of).process(Counting()).uid("count")
        counted = counted.set_parallelism(operators).set_max_parallelism(16)
        sink = counted.sink_to(LedgerSink()).uid("sink").set_parallelism(sinks)
        if not chained:
            sink.disable_chaining()
        _GRAPHS[shape] = env.get_job_graph("simulated")
        _GRAPHS[shape].job_id = JOB_ID
        del _GRAPHS[shape].python_paths[:]
        _GRAPHS[shape].config.clear()
    made = type(_GRAPHS[shape])()
    made.CopyFrom(_GRAPHS[shape])
    return made


@contextlib.contextmanager
def simulated():
    """The engine's modules on simulated ground."""
    exiting = _Exit()
    extra = [
        (__import__("grpc"), rpc.sim_grpc),
        (__import__("pyarrow.flight").flight, flight.sim_flight),
        (slot_process.SlotProcess, SimSlotProcess),
        (metrics.process_registry, _registry),
        (lesto.common.clock.SystemClock, shims.SimClock),
        (process_identity.process_identity, _identity),
        (process_identity.is_gone, _is_gone),
    ]
    from lesto.common import logs, metrics_server, scratch

    extra += [
        (metrics_server.serve_metrics, lambda *_, **__: ("", lambda: None)),
        (scratch.ScratchDirectory, _Scratch),
        (logs.get_logger, lambda *_, **__: _QUIET),
        (job_runner.JobRunner, _CheckedRunner),
    ]
    named = [
        ("lesto.taskmanager.runtime.supervisor_link", "os", exiting),
        ("lesto.taskmanager.runtime.supervisor", "os", exiting),
        (
            "lesto.taskmanager.runtime.supervisor_link",
            "faulthandler",
            types.SimpleNamespace(dump_traceback=lambda *_: None),
        ),
    ]
    import sys

    loggers = [
        (name, attribute, _QUIET)
        for name, module in list(sys.modules.items())
        if name.startswith("lesto.") and module is not None
        for attribute in ("logger", "_log")
        if hasattr(module, attribute)
    ]
    files.register_scheme("sim", open_simulated)
    try:
        with shims.installed(extra, [*named, *loggers]):
            yield
    finally:
        del files._OPENERS["sim"]


__all__ = [
    "US_PER_MS",
    "US_PER_S",
    "Cluster",
    "build_graph",
    "mailbox_module",
    "options",
    "simulated",
    "supervisor",
]

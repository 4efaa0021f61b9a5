"""A JobManager played by a test or benchmark, in front of a real TaskManager with real slot
processes.
"""

import asyncio
import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import grpc

from lesto.common.config import Configuration
from lesto.proto import job_pb2, runtime_pb2, runtime_pb2_grpc
from lesto.taskmanager.operators.base import SimpleFactory
from lesto.taskmanager.runtime.supervisor import TaskManager

WAIT_SECONDS = 90.0  # of a busy machine


class FakeJobManager(runtime_pb2_grpc.TaskManagerGatewayServicer):
    """Accepts TaskManagers, records what they say, sends what the test wants."""

    def __init__(self, port=0):
        self.events = []  # (slot_id, TaskEvent)
        self.slot_reports = []
        self.registrations = []
        self._cond = threading.Condition()
        self._out = None
        self.silent = False
        self._pool = ThreadPoolExecutor(4)
        self.server = grpc.server(self._pool)
        runtime_pb2_grpc.add_TaskManagerGatewayServicer_to_server(self, self.server)
        self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        self.server.start()
        self.slots = {}

    def Connect(self, request_iterator, context):
        out = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(request_iterator, out), daemon=True).start()
        registered = runtime_pb2.Registered(
            jobmanager_id="jm", heartbeat_interval_ms=200, heartbeat_timeout_ms=20_000
        )
        yield runtime_pb2.ToTaskManager(registered=registered)
        with self._cond:
            self._out = out
            self._cond.notify_all()
        while (message := out.get()) is not None:
            if not self.silent:
                yield message

    def _read(self, messages, out):
        try:
            for message in messages:
                self._take(message, out)
        except grpc.RpcError:
            pass
        out.put(None)

    def _take(self, message, out):
        with self._cond:
            match message.WhichOneof("message"):
                case "register":
                    self.registrations.append(message.register)
                    self.slots = {s.slot_id: s for s in message.register.slots}
                case "heartbeat":
                    out.put(runtime_pb2.ToTaskManager(heartbeat=message.heartbeat))
                case "slots":
                    for slot in message.slots.slots:
                        self.slots[slot.slot_id] = slot
                        self.slot_reports.append(slot)
                case "task":
                    self.events.append((message.slot_id, message.task))
            self._cond.notify_all()

    def wait(self, condition, what, seconds=WAIT_SECONDS):
        """Wait until ``condition()`` gives something true; returns it."""
        deadline = time.monotonic() + seconds
        with self._cond:
            while not (found := condition()):
                left = deadline - time.monotonic()
                if left <= 0:
                    seen = [(s[-4:], str(e)[:300]) for s, e in list(self.events)[:20]]
                    raise AssertionError(f"waited {seconds} s for {what}; events: {seen}")
                self._cond.wait(left)
            return found

    def ready_slots(self, n):
        """``n`` ready slots in order of their index."""

        def ready():
            found = [s for s in self.slots.values() if s.status == runtime_pb2.SLOT_STATUS_READY]
            return sorted(found, key=lambda s: s.index) if len(found) >= n else None

        return self.wait(ready, f"{n} ready slots")

    def command(self, slot_id, **command):
        """Send a task command."""
        self.wait(lambda: self._out, "a TaskManager")
        message = runtime_pb2.SlotCommand(
            slot_id=slot_id, command=runtime_pb2.TaskCommand(**command)
        )
        self._out.put(runtime_pb2.ToTaskManager(command=message))

    def kill_slot(self, slot_id, reason):
        kill = runtime_pb2.KillSlot(slot_id=slot_id, reason=reason)
        self._out.put(runtime_pb2.ToTaskManager(kill_slot=kill))

    def wait_event(self, kind, condition=lambda event: True, count=1):
        """Wait for ``count`` task events of a kind; returns the bodies."""

        def found():
            bodies = [getattr(e, kind) for _, e in self.events if e.WhichOneof("event") == kind]
            bodies = [b for b in bodies if condition(b)]
            return bodies if len(bodies) >= count else None

        return self.wait(found, f"{count} x {kind}")

    def wait_state(self, state, count):
        return self.wait_event("state", lambda s: s.state == state, count)

    def stop(self):
        if self._out is not None:
            self._out.put(None)
        self.server.stop(grace=0).wait()
        self._pool.shutdown()


class Host:
    """A TaskManager on an event loop in a thread, as the embedded cluster runs it."""

    def __init__(self, port, slots, host="127.0.0.1", bind_host=None, **options):
        config = Configuration.from_dict(options)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.taskmanager = TaskManager(
            config,
            jobmanager_address=f"127.0.0.1:{port}",
            slots=slots,
            host=host,
            bind_host=bind_host,
        )
        self.run(self.taskmanager.start())

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(WAIT_SECONDS)

    def stop(self):
        self.run(self.taskmanager.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


class JobBuilder:
    """Deployments of a small job."""

    def __init__(self, slots, *, epoch=1, attempt=0, checkpoint_root="", **config):
        self.slots = slots
        self.job_id = "0" * 32
        self.epoch = epoch
        self.attempt = attempt
        self.config = config
        self.checkpoint_root = checkpoint_root
        self.vertices = {}
        self.edges = []

    def vertex(self, vertex_id, parallelism, *operators):
        """Operators: (name, class, args...) chained in a line."""
        nodes = []
        for i, (name, cls, *args) in enumerate(operators):
            module = sys.modules[cls.__module__]
            if cls.__module__.partition(".")[0] != "lesto":
                cloudpickle.register_pickle_by_value(module)
            node = job_pb2.OperatorNode(
                uid=f"{vertex_id}-{name}",
                name=name,
                factory_pickle=cloudpickle.dumps(SimpleFactory(cls, tuple(args))),
            )
            if i + 1 < len(operators):
                node.chained.add(target_operator=i + 1)
            nodes.append(node)
        self.vertices[vertex_id] = job_pb2.JobVertex(
            id=vertex_id,
            name=vertex_id,
            parallelism=parallelism,
            max_parallelism=128,
            operators=nodes,
        )
        return self

    def edge(self, source, target, kind, schema=None, **partitioner):
        last = len(self.vertices[source].operators) - 1
        self.edges.append(
            job_pb2.JobEdge(
                id=f"{source}-{target}",
                source_vertex=source,
                source_operator=last,
                target_vertex=target,
                partitioner=job_pb2.Partitioner(kind=kind, **partitioner),
                schema=b"" if schema is None else schema.serialize().to_pybytes(),
            )
        )
        return self

    def ref(self, vertex_id, subtask):
        return runtime_pb2.TaskRef(
            job_id=self.job_id,
            epoch=self.epoch,
            vertex_id=vertex_id,
            subtask=subtask,
            attempt=self.attempt,
        )

    def refs(self):
        return [self.ref(v.id, i) for v in self.vertices.values() for i in range(v.parallelism)]

    def slot_of(self, subtask):
        return self.slots[subtask % len(self.slots)]

    def end(self, subtask):
        slot = self.slot_of(subtask)
        return runtime_pb2.ChannelEndpoint(
            subtask=subtask, slot_id=slot.slot_id, flight_uri=slot.flight_uri
        )

    def deployment(self, vertex, subtask, restore=()):
        task = runtime_pb2.TaskDeployment(
            task=self.ref(vertex.id, subtask),
            job_name="test",
            vertex=vertex,
            data_token="secret",
            config=self.config,
            checkpoint_root=self.checkpoint_root,
            restore=restore,
        )
        for edge in self.edges:
            pointwise = edge.partitioner.kind == job_pb2.PARTITION_KIND_FORWARD
            if edge.target_vertex == vertex.id:
                width = self.vertices[edge.source_vertex].parallelism
                ends = [subtask] if pointwise else range(width)
                task.inputs.add(edge=edge, producers=[self.end(i) for i in ends])
            if edge.source_vertex == vertex.id:
                target = self.vertices[edge.target_vertex]
                ends = [subtask] if pointwise else range(target.parallelism)
                task.outputs.add(
                    edge=edge,
                    consumers=[self.end(i) for i in ends],
                    consumer_parallelism=target.parallelism,
                    consumer_max_parallelism=target.max_parallelism,
                )
        return task

    def deploy(self, jobmanager):
        by_slot = {}
        for vertex in self.vertices.values():
            for subtask in range(vertex.parallelism):
                slot = self.slot_of(subtask)
                by_slot.setdefault(slot.slot_id, []).append(self.deployment(vertex, subtask))
        for slot_id, tasks in by_slot.items():
            jobmanager.command(slot_id, deploy=runtime_pb2.DeployTasks(tasks=tasks))
        return self

    def cancel(self, jobmanager):
        for slot in self.slots:
            refs = [r for r in self.refs() if self.slot_of(r.subtask).slot_id == slot.slot_id]
            if refs:
                jobmanager.command(slot.slot_id, cancel=runtime_pb2.CancelTasks(tasks=refs))

    def trigger(self, jobmanager, checkpoint_id, *vertices, **fields):
        for slot in self.slots:
            refs = [
                r
                for r in self.refs()
                if r.vertex_id in vertices and self.slot_of(r.subtask).slot_id == slot.slot_id
            ]
            trigger = runtime_pb2.TriggerCheckpoint(
                tasks=refs,
                checkpoint_id=checkpoint_id,
                timestamp_ms=time.time_ns() // 1_000_000,
                **{"type": 1, **fields},
            )
            if refs:
                jobmanager.command(slot.slot_id, trigger=trigger)

    def notify(self, jobmanager, checkpoint_id, **fields):
        for slot in self.slots:
            notify = runtime_pb2.NotifyCheckpoint(
                job_id=self.job_id, epoch=self.epoch, checkpoint_id=checkpoint_id, **fields
            )
            jobmanager.command(slot.slot_id, notify=notify)

"""From a deployment to a task: operators, channels, edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.metrics import MetricGroup, process_registry
from lesto.proto import job_pb2, runtime_pb2
from lesto.taskmanager.core.pacing import STEADY_ROWS
from lesto.taskmanager.runtime.capture import ChannelName, OvertakingSettings
from lesto.taskmanager.runtime.chain import (
    ChainedOperator,
    OperatorChain,
    OperatorOutput,
    load_operator,
    schema_from_bytes,
)
from lesto.taskmanager.runtime.environment import SlotEnvironment, TaskOperatorContext
from lesto.taskmanager.runtime.errors import DeploymentError
from lesto.taskmanager.runtime.exchange.channels import (
    ChannelKey,
    InputChannel,
    LocalChannel,
    OutputChannel,
)
from lesto.taskmanager.runtime.exchange.edge import EdgeWriter, FlushPolicy
from lesto.taskmanager.runtime.exchange.partition import create_partitioner
from lesto.taskmanager.runtime.exchange.receiver import RemoteInput
from lesto.taskmanager.runtime.exchange.sender import RemoteOutput
from lesto.taskmanager.runtime.inputs import WINDOW_BYTES_START, InputSpec, TaskInputs
from lesto.taskmanager.runtime.restored_inputs import restored_inputs
from lesto.taskmanager.runtime.task import Task

NANOSECONDS_PER_SECOND = 1_000_000_000
NANOSECONDS_PER_MILLISECOND = 1_000_000


class LocalChannels:
    """Channels within the slot: the first end deployed makes it, the second one finds it."""

    def __init__(self, environment: SlotEnvironment) -> None:
        self._environment = environment
        self._waiting: dict[ChannelKey, LocalChannel] = {}

    def get(self, key: ChannelKey, limit_bytes: int, start_bytes: int) -> LocalChannel:
        """The channel; both ends get the same object."""
        found = self._waiting.pop(key, None)
        if found is not None:
            return found
        wake = self._environment.mailbox.wake
        made = LocalChannel(limit_bytes, wake, start_bytes=start_bytes)
        self._waiting[key] = made
        return made

    def forget(self, key: ChannelKey) -> None:
        """One end is gone; the other will not come."""
        self._waiting.pop(key, None)


class TaskBuilder:
    """Builds one task.

    Args:
        environment: the slot's.
        local: the slot's local channels.
        deployment: what to build.
        config: the job's configuration on top of the process's.
    """

    def __init__(
        self,
        environment: SlotEnvironment,
        local: LocalChannels,
        deployment: runtime_pb2.TaskDeployment,
        config: Configuration,
    ) -> None:
        self._environment = environment
        self._local = local
        self._deployment = deployment
        self._config = config
        self._credit = int(config.get(options.CHANNEL_CREDIT))
        self._exactly_once = (
            config.get(options.CHECKPOINTING_MODE) is options.CheckpointingMode.EXACTLY_ONCE
        )
        timeout = config.get(options.ALIGNED_CHECKPOINT_TIMEOUT)
        self._overtaking = OvertakingSettings(
            enabled=self._exactly_once and config.get(options.UNALIGNED_ENABLED),
            timeout_ms=timeout // timedelta(milliseconds=1),
            forced=config.get(options.UNALIGNED_FORCED),
            max_bytes=int(config.get(options.UNALIGNED_MAX_BYTES)),
        )
        self._debloat_ns: int | None = None
        if config.get(options.BUFFER_DEBLOAT_ENABLED):
            target = config.get(options.BUFFER_DEBLOAT_TARGET)
            self._debloat_ns = target // timedelta(microseconds=1) * 1000
        # A consumer that turns out to be slow would take minutes for a full channel.
        debloats = self._debloat_ns is not None
        self._start_bytes = WINDOW_BYTES_START if debloats else self._credit
        self._hooks: list[Callable[[], None]] = []

    def build(self, task: Task) -> None:
        """Build operators and channels into ``task``; inputs first, for producers wait for them.

        Raises:
            LestoError: something in the deployment cannot be built. Call ``undo`` then.
        """
        channels = self._input_channels(task)
        edges = self._edges(task)
        chain = self._chain(task, edges)
        inputs = None
        if channels:
            inputs = TaskInputs(
                channels,
                task,
                exactly_once=self._exactly_once,
                settings=self._overtaking,
                restored=restored_inputs(self._deployment),
                subtask=task.ref.subtask,
                debloat_ns=self._debloat_ns,
                rows_min=STEADY_ROWS if chain.steady else 1,
            )
        task.install(chain, inputs, [edge for edge, *_ in edges], self._hooks, self._overtaking)

    def undo(self) -> None:
        """Give back what was registered for a task that could not be built."""
        for hook in self._hooks:
            hook()

    # ----------------------------------------------------------------------------------- channels

    def _key(self, edge_id: str, producer: int, consumer: int) -> ChannelKey:
        ref = self._deployment.task
        return ChannelKey(ref.job_id, ref.epoch, ref.attempt, edge_id, producer, consumer)

    def _input_channels(self, task: Task) -> list[InputSpec]:
        channels: list[InputSpec] = []
        for gate in self._deployment.inputs:
            schema = schema_from_bytes(gate.edge.schema)
            for producer in gate.producers:
                key = self._key(gate.edge.id, producer.subtask, task.ref.subtask)
                if producer.slot_id == self._environment.slot_id:
                    channel: InputChannel = self._local_channel(key)
                else:
                    channel = self._remote_input(task, key, schema)
                channels.append(
                    InputSpec(
                        gate.edge.target_input,
                        channel,
                        ChannelName(gate.edge.id, producer.subtask),
                        overtakable=self._overtaking.on_edge(gate.edge.partitioner.kind),
                    )
                )
        return channels

    def _local_channel(self, key: ChannelKey) -> LocalChannel:
        channel = self._local.get(key, self._credit, self._start_bytes)
        self._hooks.append(lambda: self._local.forget(key))
        return channel

    def _remote_input(self, task: Task, key: ChannelKey, schema: pa.Schema | None) -> RemoteInput:
        environment = self._environment
        channel = RemoteInput(
            key,
            self._deployment.data_token,
            schema=schema,
            limit_bytes=self._credit,
            start_bytes=self._start_bytes,
            give_back=environment.exchange.give_back,
            wake=environment.mailbox.wake,
            failed=self._failure_mail(task),
        )
        environment.exchange.register(channel)
        self._hooks.append(lambda: environment.exchange.unregister(channel))
        return channel

    def _failure_mail(self, task: Task) -> Callable[[BaseException], None]:
        mailbox = self._environment.mailbox
        return lambda error: mailbox.post(lambda: task.fail(error))

    # -------------------------------------------------------------------------------------- edges

    def _edges(self, task: Task) -> list[tuple[EdgeWriter, int, str]]:
        """Edge writers with the operator and tag that feed them."""
        config = self._config
        timeout = config.get(options.BUFFER_TIMEOUT).total_seconds()
        policy = FlushPolicy(
            rows=config.get(options.BATCH_ROWS),
            nbytes=min(int(config.get(options.BATCH_BYTES)), max(self._credit, 1)),
            timeout_ns=int(timeout * NANOSECONDS_PER_SECOND),
        )
        edges = []
        operators = self._deployment.vertex.operators
        for output in self._deployment.outputs:
            own = operators[output.edge.source_operator]
            schema = schema_from_bytes(output.edge.schema)
            partitioner = create_partitioner(output, task.ref.subtask)
            channels = [self._output_channel(task, output, end, schema) for end in output.consumers]
            writer = EdgeWriter(
                channels,
                partitioner,
                schema,
                _own_timeout(policy, own),
                edge_id=output.edge.id,
                consumers=[end.subtask for end in output.consumers],
                overtakable=self._overtaking.on_edge(output.edge.partitioner.kind),
            )
            edges.append((writer, output.edge.source_operator, output.edge.side_tag))
        return edges

    def _output_channel(
        self,
        task: Task,
        output: runtime_pb2.OutputEdge,
        consumer: runtime_pb2.ChannelEndpoint,
        schema: pa.Schema | None,
    ) -> OutputChannel:
        key = self._key(output.edge.id, task.ref.subtask, consumer.subtask)
        if consumer.slot_id == self._environment.slot_id:
            return self._local_channel(key)
        channel = RemoteOutput(
            key,
            self._deployment.data_token,
            consumer.flight_uri,
            schema=schema,
            wake=self._environment.mailbox.wake,
            failed=self._failure_mail(task),
            tls=self._environment.exchange.tls,
        )
        exchange = self._environment.exchange
        exchange.watch(channel)
        self._hooks.append(lambda: exchange.unwatch(channel))
        self._hooks.append(lambda: channel.close(graceful=False))
        return channel

    # ---------------------------------------------------------------------------------- operators

    def _chain(self, task: Task, edges: Sequence[tuple[EdgeWriter, int, str]]) -> OperatorChain:
        vertex = self._deployment.vertex
        ref = task.ref
        group = process_registry().group(job_id=ref.job_id, task=vertex.name, subtask=ref.subtask)
        schemas = [schema_from_bytes(node.output_schema) for node in vertex.operators]
        input_schemas = self._input_schemas(schemas)
        chained: list[ChainedOperator] = []
        accumulators = task.accumulators
        batch = self._config.get(options.RUNTIME_MODE) is options.ExecutionMode.BATCH
        for index, node in enumerate(vertex.operators):
            context = TaskOperatorContext(
                self._environment,
                self._deployment,
                node,
                config=self._config,
                metrics=_operator_group(group, node.name, node.uid),
                input_schemas=input_schemas[index],
                output_schema=schemas[index],
                fail=task.fail,
                on_mailbox=task.guarded,
                on_timer=task.on_timer,
                accumulators=accumulators,
            )
            output = OperatorOutput(schemas[index], batch=batch)
            made = ChainedOperator(load_operator(node), node, context, output)
            made.stats = output.stats
            chained.append(made)
        for writer, source, tag in edges:
            chained[source].output.connect_edge(tag, writer)
        chain = OperatorChain(chained)
        for made in chained:
            made.call("setup", made.context, made.output)
        return chain

    def _input_schemas(self, schemas: Sequence[pa.Schema | None]) -> list[list[pa.Schema | None]]:
        """Schemas of each operator's inputs."""
        operators = self._deployment.vertex.operators
        found: list[dict[int, pa.Schema | None]] = [{} for _ in operators]
        for gate in self._deployment.inputs:
            found[0][gate.edge.target_input] = schema_from_bytes(gate.edge.schema)
        for index, node in enumerate(operators):
            for link in node.chained:
                if not index < link.target_operator < len(operators):
                    msg = f"operator {node.name!r} is chained to index {link.target_operator}"
                    raise DeploymentError(msg)
                schema = None if link.side_tag else schemas[index]
                found[link.target_operator][link.target_input] = schema
        return [
            [by_input.get(i) for i in range(max(by_input, default=-1) + 1)] for by_input in found
        ]


def _own_timeout(policy: FlushPolicy, node: job_pb2.OperatorNode) -> FlushPolicy:
    """With the buffer timeout that was set for the operator, if one was."""
    if not node.HasField("buffer_timeout_ms"):
        return policy
    return replace(policy, timeout_ns=node.buffer_timeout_ms * NANOSECONDS_PER_MILLISECOND)


def _operator_group(group: MetricGroup, name: str, uid: str) -> MetricGroup:
    return group.child(operator=name or uid)

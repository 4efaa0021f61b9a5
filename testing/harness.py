"""Runs the operators of a pipeline in the test's own thread, under virtual time.

The pipeline is built by the calls that a job makes, so what runs is what a job runs: the same
operators, the same conversions between rows and columns. Only sources, channels and parallelism are
not there; records, watermarks and time come from the test.
"""

from __future__ import annotations

import inspect
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from lesto.client.datastream.data_stream import DataStream
from lesto.client.datastream.environment import StreamExecutionEnvironment
from lesto.client.datastream.transformations import Kind, Transformation, Upstream
from lesto.client.run_options import RunOptions
from lesto.common import options
from lesto.common.clock import VirtualClock
from lesto.common.config import Configuration
from lesto.common.elements import MAX_TIMESTAMP, NO_TIMESTAMP, Batch, ColumnarBatch, RowBatch
from lesto.common.functions import OutputTag
from lesto.common.metrics import MetricRegistry
from lesto.state.storage import SnapshotStore
from lesto.testing.errors import TestKitError
from lesto.testing.harness_context import (
    Alarms,
    HarnessOperatorContext,
    OperatorState,
    Restored,
)
from lesto.testing.harness_stage import Collected, Stage

#: Real seconds that a step waits for the next answer of asynchronous requests. Slower ones are
#: taken at a later step.
ANSWER_WAIT_SECONDS = 1.0


class HarnessSnapshot:
    """State of a harness's operators, as a savepoint has it: any state backend reads it.

    Its files live as long as the object.
    """

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="lesto-harness-snapshot-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.store = SnapshotStore(Path(folder).as_uri())
        self.states: dict[str, OperatorState] = {}


class OperatorHarness:
    """A pipeline's operators, driven by hand.

    Args:
        pipeline: from the input streams to the stream to look at; it has as many parameters as
            there are inputs.
        schema: columns of the inputs; records are dicts or Rows then. None: Python values.
        schemas: the same an input, where they differ.
        backend: ``hashmap`` or ``rocksdb``.
        restore: snapshot to start from; operators are found by ``uid`` (or by their place, when
            they have none).
        now_ms: processing time at the start.
        config: options of the job.

    Raises:
        TestKitError: the pipeline has sources of its own, or gives no stream.

    >>> def totals(numbers):
    ...     return numbers.key_by(lambda v: v % 2).sum()
    >>> with OperatorHarness(totals) as harness:
    ...     harness.push(1)
    ...     harness.push(3)
    ...     harness.results
    [1, 4]
    """

    def __init__(
        self,
        pipeline: Callable[..., DataStream],
        *,
        schema: pa.Schema | None = None,
        schemas: Sequence[pa.Schema | None] | None = None,
        backend: str = "hashmap",
        restore: HarnessSnapshot | None = None,
        now_ms: int = 0,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.clock = VirtualClock(now_ms)
        self._alarms = Alarms(self.clock)
        self._folder = tempfile.TemporaryDirectory(prefix="lesto-harness-")
        self._config = _configuration(config)
        self._restore = restore
        self._backend = backend
        self._metrics = MetricRegistry()
        self._checkpoint = 0
        self._stages: dict[int, Stage] = {}
        self._inputs: list[Stage] = []
        self.output = Collected()
        try:
            self._build(pipeline, schema, schemas)
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------------------------------ driving

    def push(self, *values: Any, timestamp: int | None = None, input: int = 0) -> None:
        """Give records, as one batch.

        Args:
            values: the records.
            timestamp: event time of all, in ms.
            input: number of the input, from 0.
        """
        self.push_timed([(value, timestamp) for value in values], input=input)

    def push_timed(self, records: Iterable[tuple[Any, int | None]], *, input: int = 0) -> None:
        """Give records with an event time (ms, or None) each, as one batch."""
        pairs = list(records)
        if not pairs:
            return
        times = np.array([NO_TIMESTAMP if t is None else t for _, t in pairs], np.int64)
        given = None if (times == NO_TIMESTAMP).all() else times
        values = [value for value, _ in pairs]
        stage = self._inputs[input]
        batch: Batch
        if stage.schema is None:
            batch = RowBatch(values, given)
        else:
            rows = [v if isinstance(v, dict) else v.as_dict() for v in values]
            batch = ColumnarBatch(pa.RecordBatch.from_pylist(rows, schema=stage.schema), given)
        self._run(lambda: stage.emit(batch))

    def watermark(self, timestamp: int, *, input: int = 0) -> None:
        """Event time of an input has advanced to ``timestamp`` ms."""
        self._run(lambda: self._inputs[input].emit_watermark(timestamp))

    def idle(self, idle: bool = True, *, input: int = 0) -> None:
        """An input has become idle (it holds back event time no more), or active again."""
        self._run(lambda: self._inputs[input].emit_status(idle))

    def end(self) -> None:
        """All inputs end: the last watermark, then the end of data."""
        for stage in self._inputs:
            self._run(lambda stage=stage: stage.emit_watermark(MAX_TIMESTAMP))  # type: ignore[misc]
        for stage in self._inputs:
            self._run(stage.emit_end)

    def advance(self, duration: timedelta | int) -> None:
        """Let processing time pass (ms, or a timedelta); timers ring in order."""
        ms = duration if isinstance(duration, int) else duration // timedelta(milliseconds=1)
        self._run(lambda: self._alarms.advance_to(self.clock.now_ms() + ms))

    # ------------------------------------------------------------------------------------ results

    @property
    def results(self) -> list[Any]:
        """Every record so far: Python values, or Rows of a stream with columns."""
        return self.output.values()

    @property
    def timed_results(self) -> list[tuple[Any, int | None]]:
        """Records and their event times in ms."""
        return self.output.timed()

    @property
    def watermarks(self) -> list[int]:
        """Watermarks that came out, in ms."""
        return list(self.output.watermarks)

    def side_output(self, tag: OutputTag | str) -> list[Any]:
        """What the last operator has sent to a side output."""
        return self.output.side(tag if isinstance(tag, str) else tag.tag_id)

    @property
    def in_flight(self) -> bool:
        """Whether requests wait for answers that have not come within a second."""
        return any(stage.in_flight for stage in self._stages.values())

    def take(self) -> list[Any]:
        """The results so far, which are forgotten."""
        found = self.results
        self.output.clear()
        return found

    # -------------------------------------------------------------------------------------- state

    def snapshot(self) -> HarnessSnapshot:
        """A checkpoint of all operators; it is complete at once."""
        self._checkpoint += 1
        number = self._checkpoint
        saved = HarnessSnapshot()
        stages = [stage for stage in self._stages.values() if stage.operator is not None]
        for stage in stages:
            operator, context = stage.operator, stage.context
            assert operator is not None
            assert context is not None
            operator.prepare_snapshot(number)
            if stage.hooks is not None:
                stage.hooks.prepare(number)
            state = operator.snapshot(number, True)
            if stage.hooks is not None:
                stage.hooks.save(state)
            keyed = None if state.keyed is None else state.keyed.finish(saved.store)
            lists = {**state.lists, **state.union_lists, **state.broadcast_lists}
            saved.states[context.operator_uid] = OperatorState(keyed, lists)
        for stage in stages:
            assert stage.operator is not None
            if stage.context is not None and stage.context.backend is not None:
                stage.context.backend.notify_checkpoint_complete(number)
            stage.operator.notify_checkpoint_complete(number)
            if stage.hooks is not None:
                stage.hooks.complete(number)
        self._alarms.work()
        return saved

    def close(self) -> None:
        """Close operators and remove working files."""
        for stage in reversed(self._stages.values()):
            stage.close()
        self._stages.clear()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # ----------------------------------------------------------------------------------- building

    def _run(self, step: Callable[[], None]) -> None:
        step()
        self._alarms.work()
        for stage in self._stages.values():
            stage.settle(ANSWER_WAIT_SECONDS)
        for stage in self._stages.values():
            if stage.context is not None and stage.context.failure is not None:
                failure, stage.context.failure = stage.context.failure, None
                raise failure

    def _build(
        self,
        pipeline: Callable[..., DataStream],
        schema: pa.Schema | None,
        schemas: Sequence[pa.Schema | None] | None,
    ) -> None:
        env = StreamExecutionEnvironment(self._config, RunOptions())
        wanted = list(schemas) if schemas is not None else [schema] * _parameters(pipeline)
        streams = [self._input(env, i, columns) for i, columns in enumerate(wanted)]
        result: Any = pipeline(*streams)
        if not isinstance(result, DataStream):
            msg = f"the pipeline gives {result!r:.80}, not a stream"
            raise TestKitError(msg, remedy="return the stream whose records the test looks at")
        for place, node in enumerate(env._nodes):
            if node.kind is not Kind.SOURCE:
                self._stage(node, f"{place}")
        for upstream in result._upstreams:
            self._stages[upstream.node.position].collect(self.output, upstream.side_tag)
        for node in env._nodes:
            self._stages[node.position].open(keyed=node.keyed)
        self._alarms.work()

    def _input(
        self, env: StreamExecutionEnvironment, number: int, schema: pa.Schema | None
    ) -> DataStream:
        node = env._add_node(
            kind=Kind.SOURCE, label=f"Input {number}", factory=_no_source, output_schema=schema
        )
        stage = Stage(node.name, schema)
        self._stages[node.position] = stage
        self._inputs.append(stage)
        return DataStream(env, (Upstream(node, schema=schema),))

    def _stage(self, node: Transformation, place: str) -> None:
        producers = [self._stages.get(u.node.position) for u in node.inputs]
        if None in producers:
            msg = f"'{node.name}' reads a source of its own"
            raise TestKitError(msg, remedy="take every input of the pipeline as a parameter")
        uid = node.uid or node.uid_hash or f"{place}-{node.label}"
        saved = self._restore.states.get(uid) if self._restore is not None else None
        store = self._restore.store if self._restore is not None else None
        schemas: dict[int, pa.Schema | None] = {u.input_index: u.schema for u in node.inputs}
        context = HarnessOperatorContext(
            name=node.name,
            uid=uid,
            folder=Path(self._folder.name),
            backend=self._backend,
            config=self._config,
            metrics=self._metrics.group(operator=node.name),
            alarms=self._alarms,
            input_schemas=[schemas.get(i) for i in range(max(schemas, default=-1) + 1)],
            output_schema=node.output_schema,
            restored=Restored(saved, store) if saved is not None and store is not None else None,
        )
        stage = Stage(node.name, node.output_schema, node.factory().create(), context)
        self._stages[node.position] = stage
        for number, (upstream, producer) in enumerate(zip(node.inputs, producers, strict=True)):
            assert producer is not None
            producer.feed(stage, upstream.side_tag, number, upstream.input_index)
        stage.inputs_known(len(node.inputs))
        assert stage.operator is not None
        stage.operator.setup(context, stage)


def _configuration(config: Mapping[str, Any] | None) -> Configuration:
    values = {key: str(value) for key, value in (config or {}).items()}
    settings = Configuration.from_dict(values)
    settings.set(options.PARALLELISM, 1)
    return settings


def _parameters(pipeline: Callable[..., DataStream]) -> int:
    """How many streams the pipeline takes."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(pipeline).parameters.values()
    return sum(p.kind in kinds and p.default is inspect.Parameter.empty for p in parameters)


def _no_source() -> Any:
    msg = "an input of the harness is no source"
    raise TestKitError(msg)

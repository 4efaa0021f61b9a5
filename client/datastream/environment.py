"""StreamExecutionEnvironment: where a job is built, and where it is run from."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lesto.client.datastream import operators
from lesto.client.datastream.checks import (
    MAX_PARALLELISM_UPPER,
    check_instance,
    check_parallelism,
    check_type,
    located,
    output_schema,
    unsupported,
    wrong,
)
from lesto.client.datastream.data_stream import DataStream
from lesto.client.datastream.environment_sources import EnvironmentSources, JobListener
from lesto.client.datastream.errors import JobBuildError
from lesto.client.datastream.job_graph import (
    GraphSettings,
    PlannedNode,
    build_job_graph,
    plan,
    plan_as_dict,
)
from lesto.client.datastream.location import user_frame, user_location
from lesto.client.datastream.no_meaning import no_meaning
from lesto.client.datastream.pickling import by_value
from lesto.client.datastream.settings import (
    CheckpointConfig,
    ExecutionConfig,
    RestartStrategy,
    RuntimeExecutionMode,
    SlotSharingGroup,
    StateBackend,
)
from lesto.client.datastream.stream_checks import check_timestamp_column, strategy_functions
from lesto.client.datastream.transformations import Kind, Transformation, Upstream
from lesto.client.run_options import PlanWrittenError, RunOptions
from lesto.common import options
from lesto.common.checking import is_a
from lesto.common.config import Configuration
from lesto.common.convert import to_columnar
from lesto.common.elements import RowBatch
from lesto.common.locations import absolute
from lesto.common.source import Boundedness, Source
from lesto.common.time import DurationLike, duration_ms
from lesto.common.types import TypeInformation
from lesto.common.watermarks import WatermarkStrategy

if TYPE_CHECKING:
    from lesto.client.job_client import JobClient, JobExecutionResult
    from lesto.client.results import AsyncRecords
    from lesto.proto.job_pb2 import JobGraph

DEFAULT_JOB_NAME = "Lesto Streaming Job"


class StreamExecutionEnvironment(EnvironmentSources):
    """Builds jobs and runs them: on the cluster that ``lesto run -m`` names, or on an embedded
    one.
    """

    def __init__(
        self, configuration: Configuration | None = None, run_options: RunOptions | None = None
    ) -> None:
        self._run_options = RunOptions.from_environment() if run_options is None else run_options
        self._config = self._base_configuration()
        if configuration is not None:
            self._config.add_all(configuration)
        self._nodes: list[Transformation] = []
        self._next_position = 0
        self._python_paths: list[str] = []
        self._listeners: list[JobListener] = []
        self._collected: list[tuple[str, AsyncRecords]] = []
        self._collecting: list[tuple[Transformation, AsyncRecords]] = []

    def _base_configuration(self) -> Configuration:
        """Files, environment and -D; ``lesto run`` hands them over already merged."""
        from lesto.common.config_loading import load_configuration

        run = self._run_options
        if run.config:
            config = Configuration.from_dict(run.config, origin="lesto run")
        else:
            config = load_configuration()
        if run.parallelism is not None:
            config.set(options.PARALLELISM, run.parallelism, origin="lesto run -p")
        return config

    @staticmethod
    def get_execution_environment(
        configuration: Configuration | None = None,
    ) -> StreamExecutionEnvironment:
        """A new environment."""
        if configuration is not None:
            check_instance(
                "get_execution_environment", "a Configuration", configuration, Configuration
            )
        return StreamExecutionEnvironment(configuration)

    @staticmethod
    def create_local_environment(
        parallelism: int | None = None, configuration: Configuration | None = None
    ) -> StreamExecutionEnvironment:
        """An environment whose jobs run on a cluster in this process, whatever ``lesto run`` says.

        Args:
            parallelism: of operators that set none.
            configuration: on top of files and environment.
        """
        run = replace(RunOptions.from_environment(), jobmanager="")
        env = StreamExecutionEnvironment(configuration, run)
        return env if parallelism is None else env.set_parallelism(parallelism)

    @staticmethod
    def create_remote_environment(
        host: str,
        port: int,
        parallelism: int | None = None,
        configuration: Configuration | None = None,
    ) -> StreamExecutionEnvironment:
        """An environment whose jobs run on the JobManager at ``host:port``."""
        check_instance("create_remote_environment", "a host name", host, str)
        check_instance("create_remote_environment", "a port", port, int)
        run = replace(RunOptions.from_environment(), jobmanager=f"{host}:{port}")
        env = StreamExecutionEnvironment(configuration, run)
        return env if parallelism is None else env.set_parallelism(parallelism)

    # ------------------------------------------------------------------------------------ settings

    def get_config(self) -> ExecutionConfig:
        """Further settings."""
        return ExecutionConfig(self._config)

    def get_configuration(self) -> Configuration:
        """The configuration as it stands; changes of it count."""
        return self._config

    def configure(self, configuration: Configuration) -> StreamExecutionEnvironment:
        """Take over all values of a configuration."""
        check_instance("configure", "a Configuration", configuration, Configuration)
        self._config.add_all(configuration)
        return self

    def set_parallelism(self, parallelism: int) -> StreamExecutionEnvironment:
        """Parallelism of operators that set none."""
        self._config.set(options.PARALLELISM, check_parallelism("set_parallelism", parallelism))
        return self

    def get_parallelism(self) -> int:
        """Parallelism of operators that set none."""
        return self._config.get(options.PARALLELISM)

    def set_max_parallelism(self, max_parallelism: int) -> StreamExecutionEnvironment:
        """Key groups of operators that set none: the most they can ever be scaled to."""
        self._config.set(
            options.MAX_PARALLELISM, check_parallelism("set_max_parallelism", max_parallelism)
        )
        return self

    def get_max_parallelism(self) -> int:
        """Key groups of operators that set none; -1: derived from the parallelism."""
        return self.get_config().get_max_parallelism()

    def set_runtime_mode(self, execution_mode: RuntimeExecutionMode) -> StreamExecutionEnvironment:
        """STREAMING (as it is), BATCH, or AUTOMATIC: BATCH if all sources are bounded.

        In BATCH keyed reductions give their last result for each key, event time moves at the end
        (all timers fire then, no record is late), and no checkpoint is taken on the way.
        """
        check_instance(
            "set_runtime_mode", "a RuntimeExecutionMode", execution_mode, RuntimeExecutionMode
        )
        self._config.set(options.RUNTIME_MODE, options.ExecutionMode[execution_mode.name])
        return self

    def enable_checkpointing(
        self, interval: DurationLike = 500, mode: Any = None
    ) -> StreamExecutionEnvironment:
        """Take a checkpoint every ``interval`` (ms, or any duration)."""
        checkpoints = self.get_checkpoint_config().set_checkpoint_interval(interval)
        if mode is not None:
            checkpoints.set_checkpointing_mode(mode)
        return self

    def get_checkpoint_config(self) -> CheckpointConfig:
        """How the job is checkpointed."""
        return CheckpointConfig(self._config)

    def get_checkpoint_interval(self) -> int:
        """Ms between checkpoints; -1: none."""
        return self.get_checkpoint_config().get_checkpoint_interval()

    def get_checkpointing_mode(self) -> options.CheckpointingMode:
        """What a recovery guarantees."""
        return self.get_checkpoint_config().get_checkpointing_mode()

    get_checkpointing_consistency_mode = get_checkpointing_mode

    def is_unaligned_checkpoints_enabled(self) -> bool:
        """Whether barriers overtake records."""
        return self.get_checkpoint_config().is_unaligned_checkpoints_enabled()

    def is_force_unaligned_checkpoints(self) -> bool:
        """Whether barriers overtake on every kind of edge."""
        return self.get_checkpoint_config().is_force_unaligned_checkpoints()

    def set_restart_strategy(self, restart_strategy: RestartStrategy) -> StreamExecutionEnvironment:
        """When a failed job starts again."""
        self.get_config().set_restart_strategy(restart_strategy)
        return self

    def set_state_backend(self, state_backend: StateBackend) -> StreamExecutionEnvironment:
        """Where keyed state lives."""
        check_instance("set_state_backend", "a StateBackend", state_backend, StateBackend)
        for option, value in state_backend.settings().items():
            self._config.set(option, value)
        return self

    def set_default_savepoint_directory(self, directory: str) -> StreamExecutionEnvironment:
        """Where savepoints go that are triggered without a directory."""
        path = located(lambda: absolute(directory), "set_default_savepoint_directory")
        self._config.set(options.SAVEPOINT_DIR, path)
        return self

    def get_default_savepoint_directory(self) -> str | None:
        """Where savepoints go that are triggered without a directory."""
        return self._config.get(options.SAVEPOINT_DIR)

    def set_buffer_timeout(self, timeout_millis: DurationLike) -> StreamExecutionEnvironment:
        """The longest that a record waits for its batch to fill."""
        millis = located(lambda: duration_ms(timeout_millis), "set_buffer_timeout")
        self._config.set(options.BUFFER_TIMEOUT, f"{millis} ms")
        return self

    def get_buffer_timeout(self) -> int:
        """The longest, in ms, that a record waits for its batch to fill."""
        return duration_ms(self._config.get(options.BUFFER_TIMEOUT))

    def disable_operator_chaining(self) -> StreamExecutionEnvironment:
        """Run each operator in a task of its own."""
        self._config.set(options.OPERATOR_CHAINING, False)
        return self

    def is_chaining_enabled(self) -> bool:
        """Whether operators share tasks."""
        return self._config.get(options.OPERATOR_CHAINING)

    def is_chaining_of_operators_with_different_max_parallelism_enabled(self) -> bool:
        """Always False."""
        return False

    def register_slot_sharing_group(
        self, slot_sharing_group: SlotSharingGroup
    ) -> StreamExecutionEnvironment:
        """Accepted: a group needs no registration."""
        check_instance(
            "register_slot_sharing_group",
            "a SlotSharingGroup",
            slot_sharing_group,
            SlotSharingGroup,
        )
        return self

    def add_python_file(self, file_path: str) -> StreamExecutionEnvironment:
        """Make a file's folder, or a folder, importable where functions run (a path the workers
        see too).

        Modules beside the script need no such call: they are sent with the job.
        """
        path = Path(check_instance("add_python_file", "a path", file_path, str)).resolve()
        self._python_paths.append(str(path if path.is_dir() else path.parent))
        return self

    def set_python_requirements(
        self, requirements_file_path: str, requirements_cache_dir: str | None = None
    ) -> None:
        """Not supported yet."""
        unsupported("set_python_requirements", "install the packages where the TaskManagers run")

    def add_python_archive(self, archive_path: str, target_dir: str | None = None) -> None:
        """Not supported yet."""
        unsupported("add_python_archive", "put the folder on a shared path and use add_python_file")

    def set_python_executable(self, python_exec: str) -> None:
        """Changes nothing: functions run in the TaskManagers' own Python."""
        no_meaning("set_python_executable", "functions run in the Python of the TaskManagers")

    def add_jars(self, *jars_path: str) -> None:
        """Changes nothing: there is no JVM."""
        no_meaning("add_jars", "there is no JVM, connectors are Python packages")

    def add_classpaths(self, *classpaths: str) -> None:
        """Changes nothing: there is no JVM."""
        no_meaning("add_classpaths", "there is no JVM")

    def enable_changelog_state_backend(self, enabled: bool) -> StreamExecutionEnvironment:
        """Changes nothing: there is no changelog."""
        no_meaning("enable_changelog_state_backend", "incremental checkpoints write little")
        return self

    def is_changelog_state_backend_enabled(self) -> bool | None:
        """Always False."""
        return False

    def get_default_local_parallelism(self) -> int:
        """As ``get_parallelism``."""
        return self.get_parallelism()

    def set_default_local_parallelism(self, parallelism: int) -> None:
        """As ``set_parallelism``."""
        self.set_parallelism(parallelism)

    # ------------------------------------------------------------------------------------- sources

    def from_source(
        self,
        source: Source,
        watermark_strategy: WatermarkStrategy,
        source_name: str,
        type_info: TypeInformation | None = None,
    ) -> DataStream:
        """A stream from a source; of columns if the source has a schema."""
        check_instance("from_source", "a Source", source, Source)
        check_instance(
            "from_source",
            "a WatermarkStrategy (no_watermarks() for none)",
            watermark_strategy,
            WatermarkStrategy,
        )
        check_instance("from_source", "a name", source_name, str)
        schema = source.schema
        if schema is None:
            schema = output_schema("from_source", type_info)
        check_timestamp_column(watermark_strategy, schema, source_name)
        return self._source(source, watermark_strategy, source_name, schema, type_info)

    def from_collection(
        self, collection: Iterable[Any], type_info: TypeInformation | None = None
    ) -> DataStream:
        """A bounded stream of the elements, in order; they travel with the job.

        A pyarrow table, a data frame, or elements with a row type with names give a stream of
        columns.
        """
        from lesto.connectors.memory.collection import ArrowSource, CollectionSource

        check_type("from_collection", type_info)
        arrow = hasattr(collection, "__arrow_c_stream__")
        if is_a(collection, str, bytes, dict) or not (arrow or is_a(collection, Iterable)):
            wrong("from_collection", "a list of elements or a table", collection)
        schema = output_schema("from_collection", type_info)
        source: Source
        if arrow:
            source = ArrowSource(collection)
        elif schema is not None:
            batch = to_columnar(RowBatch(list(collection)), schema)
            source = ArrowSource(pa.Table.from_batches([batch.data]))
        else:
            source = CollectionSource(collection)
        return self._single_source(source, "Collection Source", type_info)

    def from_data(self, *elements: Any, type_info: TypeInformation | None = None) -> DataStream:
        """A bounded stream of the arguments."""
        return self.from_collection(list(elements), type_info)

    def from_sequence(self, from_: int, to: int) -> DataStream:
        """The numbers from ``from_`` to ``to``, both included, as plain ints."""
        from lesto.connectors.datagen import NumberSequenceSource

        for value in (from_, to):
            check_instance("from_sequence", "whole numbers", value, int)
        strategy = WatermarkStrategy.no_watermarks()
        return self.from_source(NumberSequenceSource(from_, to), strategy, "Sequence Source")

    def _single_source(
        self, source: Source, name: str, type_info: TypeInformation | None
    ) -> DataStream:
        strategy = WatermarkStrategy.no_watermarks()
        stream = self._source(source, strategy, name, source.schema, type_info)
        node = stream._upstreams[0].node
        node.parallelism, node.parallelism_fixed = 1, True
        return stream

    def _source(
        self,
        source: Source,
        strategy: WatermarkStrategy,
        name: str,
        schema: pa.Schema | None,
        type_info: TypeInformation | None,
    ) -> DataStream:
        node = self._add_node(
            kind=Kind.SOURCE,
            label="Source",
            name=f"Source: {name}",
            factory=operators.source(source, strategy),
            output_schema=schema,
            source=source,
            user_functions=(*strategy_functions(strategy), source),
            location=user_location(),
        )
        return DataStream(self, (Upstream(node, schema=schema),), type_info)

    def add_source(
        self, source_func: Any, source_name: str = "Custom Source", type_info: Any = None
    ) -> DataStream:
        """Flink's old interface: not supported; use ``from_source``."""
        unsupported("add_source (SourceFunction)", "use from_source with a Source")

    def create_input(self, input_format: Any, type_info: Any = None) -> DataStream:
        """Flink's old interface: not supported; use ``from_source``."""
        unsupported("create_input (InputFormat)", "use from_source with a FileSource")

    def _add_node(self, **fields: Any) -> Transformation:
        node = Transformation(position=self._next_position, **fields)
        self._next_position += 1
        self._nodes.append(node)
        return node

    # ----------------------------------------------------------------------------------- execution

    def execute(self, job_name: str | None = None) -> JobExecutionResult:
        """Run the job and wait for its end (or, with ``lesto run -d``, for its submission).

        Raises:
            JobExecutionError: it failed for good; leads with the user's own traceback.
            JobCanceledError: it was cancelled.
        """
        from lesto.client.submit import run_attached

        graph = self._take_graph(job_name)
        try:
            if self._run_options.detached:
                return self._submitted(graph).detached_result()
            tell = self._tell_submitted if self._listeners else None
            result = run_attached(graph, self._config, self._run_options, tell)
        except Exception as error:
            self._tell_executed(None, error)
            raise
        self._tell_executed(result, None)
        return result

    def _submitted(self, graph: JobGraph) -> JobClient:
        from lesto.client.submit import submit

        collecting, self._collected = self._collected, []
        try:
            job = submit(graph, self._config, self._run_options)
        except Exception as error:
            self._tell_submitted(None, error)
            raise
        for uid, records in collecting:
            records.begin(job, uid)
        self._tell_submitted(job, None)
        return job

    def execute_async(self, job_name: str | None = None) -> JobClient:
        """Submit the job and return at once."""
        return self._submitted(self._take_graph(job_name))

    def get_execution_plan(self) -> str:
        """The plan as JSON, without running anything."""
        planned, _ = self._plan(None)
        return json.dumps(plan_as_dict(planned), indent=2)

    def get_job_graph(self, job_name: str | None = None) -> JobGraph:
        """The message that ``execute`` would submit."""
        planned, settings = self._plan(job_name)
        with by_value(self._script_folders()):
            return build_job_graph(planned, settings)

    def close(self) -> None:
        """Forget what was built. Jobs that run go on."""
        self._nodes.clear()

    def __enter__(self) -> StreamExecutionEnvironment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _plan(self, job_name: str | None) -> tuple[list[PlannedNode], GraphSettings]:
        if job_name is not None:
            check_instance("execute", "a job name", job_name, str)
        limit = self.get_max_parallelism()
        run = self._run_options
        name = job_name or self._config.get(options.PIPELINE_NAME) or DEFAULT_JOB_NAME
        ignore = self._config.get(options.SAVEPOINT_IGNORE_UNCLAIMED_STATE)
        # Belong to processes, not to jobs, whose configuration is stored and shown.
        secret = {key for key, option in options.known_options().items() if option.secret}
        batch = self._is_batch()
        config = self._config.to_dict()
        mode = options.ExecutionMode.BATCH if batch else options.ExecutionMode.STREAMING
        config[options.RUNTIME_MODE.key] = mode.value
        if batch:
            config[options.CHECKPOINTING_INTERVAL.key] = "0 ms"
        settings = GraphSettings(
            job_name=name,
            parallelism=self.get_parallelism(),
            max_parallelism=limit if 0 < limit <= MAX_PARALLELISM_UPPER else None,
            chaining=self.is_chaining_enabled(),
            batch=batch,
            config={k: v for k, v in config.items() if k not in secret},
            python_paths=tuple(dict.fromkeys([*run.python_paths, *self._python_paths])),
            restore_path=run.savepoint or self._config.get(options.SAVEPOINT_PATH) or "",
            allow_non_restored_state=run.allow_non_restored or ignore,
        )
        return plan(self._nodes, settings), settings

    def _is_batch(self) -> bool:
        """Whether the job runs in BATCH mode.

        Raises:
            JobBuildError: it should, and a source has no end.
        """
        mode = self._config.get(options.RUNTIME_MODE)
        if mode is options.ExecutionMode.STREAMING:
            return False
        endless = [
            node
            for node in self._nodes
            if node.source is not None and node.source.boundedness is not Boundedness.BOUNDED
        ]
        if not endless:
            return True
        if mode is options.ExecutionMode.AUTOMATIC:
            return False
        msg = f"RuntimeExecutionMode.BATCH: '{endless[0].name}' has no end"
        raise JobBuildError(
            msg,
            remedy="bound the source, or use STREAMING (or AUTOMATIC)",
            location=endless[0].location,
        )

    def _uid_of(self, node: Transformation) -> str:
        planned, _ = self._plan(None)
        return next(item.uid for item in planned if item.node is node)

    def _take_graph(self, job_name: str | None) -> JobGraph:
        """Build the graph, and start afresh: what follows is another job, as in Flink."""
        if self._run_options.plan_path:
            Path(self._run_options.plan_path).write_text(self.get_execution_plan(), "utf-8")
            raise PlanWrittenError
        graph = self.get_job_graph(job_name)
        if self._run_options.graph_path:
            Path(self._run_options.graph_path).write_bytes(graph.SerializeToString())
            raise PlanWrittenError
        self._collected = [(self._uid_of(node), rows) for node, rows in self._collecting]
        self._collecting.clear()
        self._nodes.clear()
        return graph

    def _script_folders(self) -> list[str]:
        """Folders whose modules are the user's own: of the script, and of the file that asks to
        run.
        """
        folders = list(self._run_options.code_folders)
        main_file = getattr(sys.modules.get("__main__"), "__file__", None)
        if main_file:
            folders.append(os.path.dirname(os.path.abspath(main_file)))
        frame = user_frame()
        if frame is not None and not frame.f_code.co_filename.startswith("<"):
            folders.append(os.path.dirname(os.path.abspath(frame.f_code.co_filename)))
        return folders

"""The DataStream API, with the names and module paths of ``pyflink.datastream``."""

from typing import TYPE_CHECKING

from lesto.client.datastream.async_data_stream import AsyncDataStream
from lesto.client.datastream.broadcast_stream import BroadcastConnectedStream, BroadcastStream
from lesto.client.datastream.connected_streams import ConnectedStreams
from lesto.client.datastream.data_stream import DataStream, DataStreamSink
from lesto.client.datastream.environment import StreamExecutionEnvironment
from lesto.client.datastream.environment_sources import (
    JobListener,
)
from lesto.client.datastream.joined_streams import CoGroupedStreams, JoinedStreams
from lesto.client.datastream.keyed_stream import KeyedStream
from lesto.client.datastream.missing import missing_names
from lesto.client.datastream.partition_windowed_stream import PartitionWindowedStream
from lesto.client.datastream.settings import (
    CheckpointConfig,
    CheckpointStorage,
    CustomCheckpointStorage,
    CustomStateBackend,
    EmbeddedRocksDBStateBackend,
    ExternalizedCheckpointRetention,
    FileSystemCheckpointStorage,
    HashMapStateBackend,
    JobManagerCheckpointStorage,
    MemorySize,
    PredefinedOptions,
    RuntimeExecutionMode,
    SlotSharingGroup,
    StateBackend,
)
from lesto.client.datastream.windowed_stream import AllWindowedStream, WindowedStream
from lesto.client.results import CloseableIterator
from lesto.common.async_functions import (
    AsyncFunction,
    AsyncRetryPredicate,
    AsyncRetryStrategy,
)
from lesto.common.checkpointed import (
    CheckpointedFunction,
    CheckpointListener,
    FunctionInitializationContext,
    FunctionSnapshotContext,
    OperatorStateStore,
)
from lesto.common.co_functions import KeyedStateFunction, ProcessJoinFunction
from lesto.common.evictors import Evictor
from lesto.common.functions import (
    AggregateFunction,
    BroadcastProcessFunction,
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    FilterFunction,
    FlatMapFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    KeySelector,
    MapFunction,
    OutputTag,
    Partitioner,
    ProcessFunction,
    ProcessWindowFunction,
    ReduceFunction,
    RuntimeContext,
    SinkFunction,
    SourceFunction,
    TimerService,
    WindowFunction,
)
from lesto.common.options import CheckpointingMode
from lesto.common.time import TimeDomain
from lesto.common.triggers import Trigger, TriggerResult
from lesto.common.window_functions import (
    CoGroupFunction,
    FlatJoinFunction,
    JoinFunction,
    MapPartitionFunction,
    Order,
)
from lesto.common.windowing import (
    CountWindow,
    GlobalWindow,
    MergingWindowAssigner,
    TimeWindow,
    Window,
    WindowAssigner,
)

__all__ = [
    "AggregateFunction",
    "AllWindowedStream",
    "AsyncDataStream",
    "AsyncFunction",
    "AsyncRetryPredicate",
    "AsyncRetryStrategy",
    "BroadcastConnectedStream",
    "BroadcastProcessFunction",
    "BroadcastStream",
    "CheckpointConfig",
    "CheckpointListener",
    "CheckpointStorage",
    "CheckpointedFunction",
    "CheckpointingMode",
    "CloseableIterator",
    "CoFlatMapFunction",
    "CoGroupFunction",
    "CoGroupedStreams",
    "CoMapFunction",
    "CoProcessFunction",
    "ConnectedStreams",
    "CountWindow",
    "CustomCheckpointStorage",
    "CustomStateBackend",
    "DataStream",
    "DataStreamSink",
    "EmbeddedRocksDBStateBackend",
    "Evictor",
    "ExternalizedCheckpointRetention",
    "FileSystemCheckpointStorage",
    "FilterFunction",
    "FlatJoinFunction",
    "FlatMapFunction",
    "FunctionInitializationContext",
    "FunctionSnapshotContext",
    "GlobalWindow",
    "HashMapStateBackend",
    "JobListener",
    "JobManagerCheckpointStorage",
    "JoinFunction",
    "JoinedStreams",
    "KeySelector",
    "KeyedBroadcastProcessFunction",
    "KeyedCoProcessFunction",
    "KeyedProcessFunction",
    "KeyedStateFunction",
    "KeyedStream",
    "MapFunction",
    "MapPartitionFunction",
    "MemorySize",
    "MergingWindowAssigner",
    "OperatorStateStore",
    "Order",
    "OutputTag",
    "PartitionWindowedStream",
    "Partitioner",
    "PredefinedOptions",
    "ProcessFunction",
    "ProcessJoinFunction",
    "ProcessWindowFunction",
    "ReduceFunction",
    "RuntimeContext",
    "RuntimeExecutionMode",
    "SinkFunction",
    "SlotSharingGroup",
    "SourceFunction",
    "StateBackend",
    "StreamExecutionEnvironment",
    "TimeDomain",
    "TimeWindow",
    "TimerService",
    "Trigger",
    "TriggerResult",
    "Window",
    "WindowAssigner",
    "WindowFunction",
    "WindowedStream",
]

if not TYPE_CHECKING:
    __getattr__ = missing_names(__name__)

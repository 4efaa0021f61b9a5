"""Where jobs are built and run from. As in ``pyflink.datastream.stream_execution_environment``."""

from lesto.client.datastream.environment import StreamExecutionEnvironment

__all__ = [
    "StreamExecutionEnvironment",
]

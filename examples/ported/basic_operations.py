"""The basic operations: map, filter, flat map, project, union, running aggregates, partitions."""

from pyflink.common import Configuration, Row, Types
from pyflink.datastream import (
    CheckpointingMode,
    FilterFunction,
    FlatMapFunction,
    MapFunction,
    Partitioner,
    RuntimeExecutionMode,
    StreamExecutionEnvironment,
)

POINTS = [(1, "a", 5.0), (2, "b", 3.0), (3, "a", 7.0), (4, "b", 1.0), (5, "a", 6.0)]


class Scale(MapFunction):
    def __init__(self, factor):
        self.factor = factor

    def map(self, value):
        return Row(value[0], value[1], value[2] * self.factor)


class Large(FilterFunction):
    def filter(self, value):
        return value[2] > 5


class Repeat(FlatMapFunction):
    def flat_map(self, value):
        for i in range(value[0] % 3):
            yield f"{value[1]}{i}"


class ByLetter(Partitioner):
    def partition(self, key, num_partitions):
        return ord(key) % num_partitions


def main():
    config = Configuration()
    config.set_string("pipeline.name", "basic operations")
    config.set_integer("parallelism.default", 1)
    config.set_string("state.backend.type", "hashmap")
    env = StreamExecutionEnvironment.get_execution_environment(config)
    env.set_runtime_mode(RuntimeExecutionMode.STREAMING)
    env.enable_checkpointing(10_000, CheckpointingMode.EXACTLY_ONCE)
    env.get_checkpoint_config().set_min_pause_between_checkpoints(1_000)
    env.get_checkpoint_config().set_checkpoint_timeout(60_000)
    env.set_buffer_timeout(50)
    env.get_config().set_auto_watermark_interval(100)

    text = Types.STRING()
    row = Types.ROW([Types.INT(), Types.STRING(), Types.DOUBLE()])
    points = env.from_collection(POINTS, type_info=row)
    scaled = points.map(Scale(2), output_type=row).name("scale").uid("scale")
    scaled.map(lambda p: f"scaled {p[0]} {p[1]} {p[2]}", output_type=text).print()
    points.filter(Large()).map(lambda p: f"large {p[0]}", output_type=text).print()
    points.flat_map(Repeat(), output_type=text).print()

    pairs = points.map(
        lambda p: (p[1], p[2]), output_type=Types.TUPLE([Types.STRING(), Types.DOUBLE()])
    )
    pairs.project(1).map(lambda p: f"projected {p[0]}", output_type=text).print()
    keyed = pairs.key_by(lambda pair: pair[0], key_type=Types.STRING())
    for name, stream in (
        ("sum", keyed.sum(1)),
        ("min", keyed.min(1)),
        ("max", keyed.max(1)),
        ("min_by", keyed.min_by(1)),
        ("max_by", keyed.max_by(1)),
    ):
        stream.map(lambda p, name=name: f"{name} {p[0]} {p[1]}", output_type=text).print()

    more = env.from_collection([("c", 9.0)], type_info=Types.TUPLE([text, Types.DOUBLE()]))
    united = pairs.union(more).rebalance().map(lambda p: p[0].upper(), output_type=text)
    united.set_parallelism(1).disable_chaining().print()
    pairs.partition_custom(ByLetter(), lambda pair: pair[0]).map(
        lambda p: f"partitioned {p[0]} {p[1]}", output_type=text
    ).print()
    env.execute("basic operations")


if __name__ == "__main__":
    main()

"""CoMap and CoFlatMap over two streams of different types, keyed and not."""

from pyflink.common import Types
from pyflink.datastream import CoFlatMapFunction, CoMapFunction, StreamExecutionEnvironment
from pyflink.datastream.state import ValueStateDescriptor


class Name(CoMapFunction):
    def map1(self, value):
        return f"number {value}"

    def map2(self, value):
        return f"word {value}"


class Letters(CoFlatMapFunction):
    def flat_map1(self, value):
        for _ in range(value):
            yield f"one of {value}"

    def flat_map2(self, value):
        yield from sorted(value)


class Counted(CoMapFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.INT()))

    def _next(self):
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        return count

    def map1(self, value):
        return f"seen {self._next()}"

    def map2(self, value):
        return f"seen {self._next()}"


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    text = Types.STRING()
    numbers = env.from_collection([1, 2, 3], type_info=Types.INT())
    words = env.from_collection(["be", "not"], type_info=text)
    numbers.connect(words).map(Name(), output_type=text).print()
    numbers.connect(words).flat_map(Letters(), output_type=text).print()
    by_size = numbers.connect(words).key_by(lambda number: number, len, key_type=Types.INT())
    by_size.map(Counted(), output_type=text).print()
    env.execute("connected streams")


if __name__ == "__main__":
    main()

"""Side outputs of a process function, of a keyed one, and of a timer."""

from pyflink.common import Types
from pyflink.datastream import (
    KeyedProcessFunction,
    OutputTag,
    ProcessFunction,
    StreamExecutionEnvironment,
)

EVEN = OutputTag("even", Types.LONG())
WORDS = OutputTag("words", Types.TUPLE([Types.STRING(), Types.LONG()]))


class Split(ProcessFunction):
    def process_element(self, value, ctx: ProcessFunction.Context):
        if value % 2 == 0:
            yield EVEN, value
        else:
            yield value
        if value % 5 == 0:
            yield WORDS, ("five", value)


class Doubled(KeyedProcessFunction):
    def process_element(self, value, ctx: KeyedProcessFunction.Context):
        yield value * 2
        yield WORDS, (f"key {ctx.get_current_key()}", value)


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    text = Types.STRING()
    numbers = env.from_collection(list(range(1, 13)), type_info=Types.LONG())
    odd = numbers.process(Split(), output_type=Types.LONG())
    doubled = odd.key_by(lambda n: n % 3, key_type=Types.LONG()).process(
        Doubled(), output_type=Types.LONG()
    )
    odd.map(lambda n: f"odd {n}", output_type=text).print()
    odd.get_side_output(EVEN).map(lambda n: f"even {n}", output_type=text).print()
    odd.get_side_output(WORDS).map(lambda p: f"{p[0]} {p[1]}", output_type=text).print()
    doubled.map(lambda n: f"doubled {n}", output_type=text).print()
    doubled.get_side_output(WORDS).map(lambda p: f"{p[0]}: {p[1]}", output_type=text).print()
    env.execute("side outputs")


if __name__ == "__main__":
    main()

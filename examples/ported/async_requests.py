"""Asynchronous requests: in order, out of order, and tried again."""

import asyncio

from pyflink.common import Time, Types
from pyflink.datastream import AsyncDataStream, AsyncFunction, StreamExecutionEnvironment
from pyflink.datastream.async_retry_predicates import has_exception_predicate
from pyflink.datastream.functions import AsyncRetryStrategy


class LookUp(AsyncFunction):
    async def async_invoke(self, value):
        await asyncio.sleep(0.01 * (value % 3))
        return [f"found {value}"]

    def timeout(self, value):
        return [f"nothing {value}"]


class Unreliable(AsyncFunction):
    def open(self, runtime_context):
        self.tries = {}

    async def async_invoke(self, value):
        self.tries[value] = self.tries.get(value, 0) + 1
        if self.tries[value] < 3:
            raise ValueError("try again")
        return [f"{value} needed {self.tries[value]}"]


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    text = Types.STRING()
    numbers = env.from_collection(list(range(8)), type_info=Types.INT())
    AsyncDataStream.ordered_wait(numbers, LookUp(), Time.seconds(5), 4, text).print()
    AsyncDataStream.unordered_wait(numbers, LookUp(), Time.seconds(5), 4, text).print()
    AsyncDataStream.unordered_wait_with_retry(
        numbers,
        Unreliable(),
        Time.seconds(20),
        AsyncRetryStrategy.fixed_delay(3, 50, None, has_exception_predicate),
        8,
        text,
    ).print()
    env.execute("async requests")


if __name__ == "__main__":
    main()

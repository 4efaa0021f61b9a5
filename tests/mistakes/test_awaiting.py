"""Mistakes with functions that await, partitioners, operator state, BATCH mode and sources."""

import pytest

USAGE, FAILED = 2, 1
pytestmark = pytest.mark.leaks_ok(
    "the shared cluster starts threads when first asked", only=("threads",)
)

FETCH = """
import asyncio
from lesto.connectors.datagen import DataGenSource
from lesto.connectors.hybrid import HybridSource

class Fetch(AsyncFunction):
    async def async_invoke(self, value):
        return [value]

class Blocking(AsyncFunction):
    def async_invoke(self, value):
        return [value]

async def fetch(value):
    return value

RETRY = AsyncRetryStrategy.fixed_delay(2, 10)
"""
BUILDING = {
    "a function that blocks": (
        "AsyncDataStream.unordered_wait(flights, Blocking(), 1000)",
        ("'async def'", "Blocking blocks"),
        "asyncio.to_thread",
    ),
    "no AsyncFunction": (
        "AsyncDataStream.unordered_wait(flights, fetch, 1000)",
        ("an AsyncFunction", "function"),
        "",
    ),
    "capacity 0": (
        "AsyncDataStream.unordered_wait(flights, Fetch(), 1000, capacity=0)",
        ("a capacity from 1", "not 0"),
        "",
    ),
    "a negative timeout": (
        "AsyncDataStream.unordered_wait(flights, Fetch(), -5)",
        ("timeout",),
        "",
    ),
    "retries without a limit of time": (
        "AsyncDataStream.ordered_wait_with_retry(flights, Fetch(), 0, RETRY)",
        ("a timeout above 0 ms",),
        "",
    ),
    "no retry strategy": (
        "AsyncDataStream.ordered_wait_with_retry(flights, Fetch(), 5, None)",
        ("an AsyncRetryStrategy", "None"),
        "",
    ),
    "capacity of a function that does not await": (
        "flights.map(str, capacity=5)",
        ("a capacity only with an 'async def' function",),
        "leave capacity out",
    ),
    "capacity of an async map": (
        "flights.map(fetch, capacity='many')",
        ("a capacity from 1", "'many'"),
        "",
    ),
    "buffer timeout": (
        "flights.map(str).set_buffer_timeout(-7)",
        ("set_buffer_timeout", "-7"),
        "",
    ),
    "no listener": ("env.register_job_listener(print)", ("a JobListener",), ""),
    "a cached file twice": (
        "env.register_cached_file('/a', 'n'), env.register_cached_file('/b', 'n')",
        ("a name that is not taken", "'n'"),
        "",
    ),
    "a port": ("env.socket_text_stream('localhost', 0)", ("a port from 1 to 65535",), ""),
    "no table": ("env.from_arrow([1, 2])", ("pyarrow Table",), ""),
}


@pytest.mark.parametrize(("line", "said", "remedy"), BUILDING.values(), ids=BUILDING)
def test_told_when_the_job_is_built(run, line, said, remedy):
    done = run(f"{FETCH}\n{line}  # HERE\n")
    done.is_clear(USAGE, "LESTO-2002", *said, remedy=remedy)


NOT_AWAITED = {
    "a reduction": "flights.key_by('carrier').reduce(fetch)",
    "a key selector": "flights.key_by(fetch)",
    "a timer": "flights.key_by('carrier').process(Timer())",
}


@pytest.mark.parametrize("line", NOT_AWAITED.values(), ids=NOT_AWAITED)
def test_async_functions_where_nobody_awaits_them(run, line):
    done = run(
        f"""{FETCH}
class Timer(KeyedProcessFunction):
    def process_element(self, value, ctx):
        return []
    async def on_timer(self, timestamp, ctx):
        return []

{line}  # HERE
"""
    )
    done.is_clear(USAGE, "LESTO-2001", "'async def' in", remedy="await in a map")


def test_batch_mode_over_a_source_without_an_end(run):
    done = run(
        f"""{FETCH}
from lesto.connectors.datagen import RowGenSource
env.set_runtime_mode(RuntimeExecutionMode.BATCH)
endless = RowGenSource(lambda i: Row(n=i), rows_per_second=1)
stream = env.from_source(endless, WatermarkStrategy.no_watermarks(), "numbers")  # HERE
stream.print()
env.execute("job")
"""
    )
    done.is_clear(USAGE, "LESTO-2000", "BATCH", "numbers", "has no end", remedy="bound the source")


def test_a_hybrid_source_with_history_that_never_ends(run):
    done = run(
        f"""{FETCH}
from lesto.connectors.datagen import NumberSequenceSource, RowGenSource
endless = RowGenSource(lambda i: Row(n=i), rows_per_second=1)
HybridSource(endless, NumberSequenceSource(1, 2))
"""
    )
    assert done.code != 0
    assert "source 1 of 2 of a HybridSource has no end" in done.told


RUNNING = {
    "an exception names the record": (
        """
        async def fetch(value):
            raise KeyError(value.carrier)  # HERE
        flights.map(fetch).print()
        """,
        ("LESTO-6001", "for the record Row(", "KeyError"),
        "correct the function",
        "KeyError: ",
    ),
    "results that are no list": (
        """
        class Fetch(AsyncFunction):
            async def async_invoke(self, value):
                return 7
        AsyncDataStream.ordered_wait(flights, Fetch(), 1000).print()  # HERE
        """,
        ("LESTO-6005", "Fetch", "a int, not a list"),
        "return a list",
        "",
    ),
    "a request that takes too long": (
        """
        import asyncio
        class Fetch(AsyncFunction):
            async def async_invoke(self, value):
                await asyncio.sleep(60)
        AsyncDataStream.ordered_wait(flights, Fetch(), 50).print()  # HERE
        """,
        ("LESTO-6001", "took too long", "a method timeout(value) would answer it"),
        "",
        "",
    ),
    "a partitioner out of range": (
        """
        flights.partition_custom(lambda key, n: 7, "carrier").map(str).set_parallelism(2).print()
        """,
        ("LESTO-6013", "gave 7", "the key 'UA'", "from 0 to 1"),
        "num_partitions",
        "",
    ),
    "operator state of two kinds": (
        """
        class Both(MapFunction, CheckpointedFunction):
            def initialize_state(self, context):
                store = context.get_operator_state_store()
                store.get_list_state(ListStateDescriptor("seen", None))
                store.get_union_list_state(ListStateDescriptor("seen", None))  # HERE
            def snapshot_state(self, context): ...
            def map(self, value):
                return value
        flights.map(Both()).print()
        """,
        ("LESTO-6004", "'seen'", "both as a list and as a union list"),
        "different names",
        "InvalidFunctionError",
    ),
    "keyed state in initialize_state of a stream without keys": (
        """
        class Keyed(MapFunction, CheckpointedFunction):
            def initialize_state(self, context):
                context.get_keyed_state_store()  # HERE
            def snapshot_state(self, context): ...
            def map(self, value):
                return value
        flights.map(Keyed()).print()
        """,
        ("LESTO-6002", "no keyed state"),
        "key_by",
        "KeyedStateUnavailableError",
    ),
    "a cached file that nobody registered": (
        """
        env.register_cached_file("/etc/hostname", "model")
        class Cached(MapFunction):
            def open(self, runtime_context):
                runtime_context.get_distributed_cache().get_file("modell")  # HERE
            def map(self, value):
                return value
        flights.map(Cached()).print()
        """,
        ("LESTO-6014", "did you mean 'model'?"),
        "register_cached_file",
        "UnknownCachedFileError",
    ),
    "an accumulator twice": (
        """
        from lesto.common.accumulators import LongCounter
        class Twice(MapFunction):
            def open(self, runtime_context):
                runtime_context.add_accumulator("n", LongCounter())
                runtime_context.add_accumulator("n", LongCounter())  # HERE
            def map(self, value):
                return value
        flights.map(Twice()).print()
        """,
        ("LESTO-6004", "an accumulator 'n' is already registered"),
        "a name of its own",
        "InvalidFunctionError",
    ),
}


@pytest.mark.cluster
@pytest.mark.parametrize(("part", "said", "remedy", "traceback"), RUNNING.values(), ids=RUNNING)
def test_told_when_the_job_runs(submit, part, said, remedy, traceback):
    done = submit(f'{part}\n        env.execute("job")\n')
    done.is_clear(FAILED, *said, remedy=remedy, traceback=traceback)

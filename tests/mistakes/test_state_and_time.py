"""Typed state, time-to-live and event time used wrongly."""

import pytest

FAILED = 1
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("the shared cluster starts threads when first asked", only=("threads",)),
]

RUNNING = {
    "a value of another class": (
        """
        from dataclasses import dataclass
        @dataclass
        class Delays:
            total: int
        class Count(KeyedProcessFunction):
            def open(self, runtime_context):
                self.delays = runtime_context.get_state(ValueStateDescriptor("delays", Delays))
            def process_element(self, row, ctx):
                self.delays.update(row.dep_delay)  # HERE
        results = flights.key_by("carrier").process(Count())
        """,
        "LESTO-5013",
        "declared as Delays was given a int: 3",
        "give it values of Delays",
        "StateTypeError",
    ),
    "two descriptors of one state that differ": (
        """
        from lesto.datastream.state import StateTtlConfig
        class Count(KeyedProcessFunction):
            def open(self, runtime_context):
                self.one = runtime_context.get_state(ValueStateDescriptor("delays"))
                other = ValueStateDescriptor("delays")
                other.enable_time_to_live(StateTtlConfig.new_builder("1h").build())
                self.two = ask(runtime_context, other)
            def process_element(self, row, ctx):
                yield row
        def ask(runtime_context, descriptor):
            return runtime_context.get_state(descriptor)  # HERE
        results = flights.key_by("carrier").process(Count())
        """,
        "LESTO-5005",
        "two descriptors of state 'delays'",
        "make one descriptor",
        "StateMismatchError",
    ),
    "a field whose type cannot be found": (
        """
        from dataclasses import dataclass
        @dataclass
        class Delays:
            total: "Nowhere"
        class Count(KeyedProcessFunction):
            def open(self, runtime_context):
                state = ValueStateDescriptor("delays", Delays)
                self.delays = runtime_context.get_state(state)  # HERE
            def process_element(self, row, ctx):
                yield row
        results = flights.key_by("carrier").process(Count())
        """,
        "LESTO-5013",
        "the types of the fields of Delays cannot be found",
        "import what its annotations name",
        "StateTypeError",
    ),
    "an assigner of batches on rows": (
        """
        import pyarrow as pa
        def times(batch: pa.RecordBatch):
            return batch.column("dep_delay")
        strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(times)
        results = (
            env.from_collection([1, 2]).assign_timestamps_and_watermarks(strategy)
        )
        """,
        "LESTO-6003",
        "times takes an Arrow batch, but its input has no schema",
        "declare the stream's type",
        "",
    ),
}


@pytest.mark.parametrize(("part", "code", "said", "remedy", "error"), RUNNING.values(), ids=RUNNING)
def test_a_mistake_that_shows_when_the_job_runs(
    submit, nothing_published, part, code, said, remedy, error
):
    sink = f"""
        results.sink_to(FileSink({str(nothing_published)!r}, "text"))
        env.execute("job")
    """
    done = submit(part + sink)
    done.is_clear(FAILED, code, said, remedy=remedy, traceback=error)

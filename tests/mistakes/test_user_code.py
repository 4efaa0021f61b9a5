"""Exceptions of the user's own code at run time: their traceback first, and nothing published."""

import pytest

FAILED = 1
pytestmark = pytest.mark.leaks_ok(
    "the shared cluster starts threads when first asked", only=("threads",)
)

#: Where user code can raise -> the script's part that builds such a stream. Each raises on the
#: first or second record, long before a checkpoint.
RAISING = {
    "map": """
        def delay_per_minute(row):
            return 60 / (row.dep_delay - 3)  # HERE
        results = flights.map(delay_per_minute)
    """,
    "key selector": """
        keyed = flights.key_by(lambda row: 1 // (row.dep_delay - 3))  # HERE
        results = keyed.reduce(lambda a, b: a)
    """,
    "process_element": """
        class Divide(KeyedProcessFunction):
            def process_element(self, row, ctx):
                yield 60 / (row.dep_delay - 3)  # HERE
        results = flights.key_by(lambda row: row.carrier).process(Divide())
    """,
    "on_timer": """
        class Divide(KeyedProcessFunction):
            def process_element(self, row, ctx):
                ctx.timer_service().register_event_time_timer(10)
            def on_timer(self, timestamp, ctx):
                yield 1 / (timestamp - 10)  # HERE
        results = flights.key_by(lambda row: row.carrier).process(Divide())
    """,
    "open": """
        class Divide(MapFunction):
            def open(self, runtime_context):
                self.factor = 1 / 0  # HERE
            def map(self, row):
                return row
        results = flights.map(Divide())
    """,
    "window function": """
        class Divide(ProcessWindowFunction):
            def process(self, key, context, elements):
                yield 1 / (len(list(elements)) - 1)  # HERE
        results = (
            flights.assign_timestamps_and_watermarks(
                WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("dep_delay"))
            .key_by(lambda row: row.carrier)
            .window(TumblingEventTimeWindows.of(Time.seconds(1)))
            .process(Divide())
        )
    """,
    "timestamp assigner": """
        from lesto.common import TimestampAssigner
        class Clock(TimestampAssigner):
            def extract_timestamp(self, row, previous):
                return 60 // (row.dep_delay - 3)  # HERE
        results = flights.assign_timestamps_and_watermarks(
            WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Clock()))
    """,
    "generator source": """
        from lesto.connectors.datagen import RowGenSource
        def number(position):
            return 1 / (position - 5)  # HERE
        results = env.from_source(
            RowGenSource(number, rows=10), WatermarkStrategy.no_watermarks(), "numbers")
    """,
}
#: Raised in a helper that the user's function calls: the innermost line of theirs counts.
SINKS = {
    "sink's write": """
        from lesto.common.sink import Sink, SinkWriter
        class Writer(SinkWriter):
            def write(self, batch):
                1 / 0  # HERE
            def prepare_commit(self, checkpoint_id):
                return []
        class Mine(Sink):
            input_form = None
            def create_writer(self, context):
                return Writer()
        results = flights
        flights.sink_to(Mine())
    """,
    "sink's create_writer": """
        from lesto.common.sink import Sink
        class Mine(Sink):
            def create_writer(self, context):
                1 / 0  # HERE
        results = flights
        flights.sink_to(Mine())
    """,
    "sink's prepare_commit": """
        from lesto.common.sink import Sink, SinkWriter
        class Writer(SinkWriter):
            def write(self, batch):
                pass
            def prepare_commit(self, checkpoint_id):
                1 / 0  # HERE
        class Mine(Sink):
            def create_writer(self, context):
                return Writer()
        results = flights
        flights.sink_to(Mine())
    """,
}


@pytest.mark.cluster
@pytest.mark.parametrize("part", [*RAISING.values(), *SINKS.values()], ids=[*RAISING, *SINKS])
def test_an_exception_of_the_users(submit, nothing_published, part):
    sink = f"""
        results.sink_to(FileSink({str(nothing_published)!r}, "jsonl"))
        env.execute("job")
    """
    done = submit(part + sink)
    done.is_clear(
        FAILED,
        "LESTO-6001",
        "the job 'job' failed",
        remedy="correct the ",
        traceback="ZeroDivisionError: ",
    )


@pytest.mark.cluster
def test_the_line_is_that_of_a_helper_in_another_file(submit, nothing_published, tmp_path):
    (tmp_path / "helpers.py").write_text("def parse(row):\n    return row.dep_delay['x']\n")
    done = submit(
        f"""
        import helpers
        flights.map(lambda row: helpers.parse(row)).sink_to(  # HERE
            FileSink({str(nothing_published)!r}, "jsonl"))
        env.execute("job")
        """
    )
    done.is_clear(
        FAILED,
        "LESTO-6001",
        f"{tmp_path / 'helpers.py'}:2",
        remedy="correct the function",
        traceback="TypeError: 'int' object is not subscriptable",
    )


@pytest.mark.cluster
def test_a_flat_map_that_returns_no_iterable(submit, nothing_published):
    done = submit(
        f"""
        flights.flat_map(lambda row: row.dep_delay).sink_to(  # HERE
            FileSink({str(nothing_published)!r}, "jsonl"))
        env.execute("job")
        """
    )
    done.is_clear(FAILED, "LESTO-6005", "flat_map", "int", remedy="list")


@pytest.mark.cluster
def test_a_record_that_does_not_fit_the_declared_schema(submit, nothing_published):
    done = submit(
        f"""
        typed = Types.ROW_NAMED(["carrier", "minutes"], [Types.STRING(), Types.LONG()])
        flights.map(lambda row: Row(carrier=row.carrier, minutes="late"), typed).sink_to(  # HERE
            FileSink({str(nothing_published)!r}, "parquet"))
        env.execute("job")
        """
    )
    done.is_clear(FAILED, "LESTO-2201", "'minutes'", "'late'", "int64", remedy="declared type")


def test_a_given_record_that_does_not_fit_the_declared_schema(run):
    done = run(
        """
        typed = Types.ROW_NAMED(["carrier", "minutes"], [Types.STRING(), Types.LONG()])
        env.from_collection([Row("UA", 1), Row("AA", "late")], typed)  # HERE
        """
    )
    done.is_clear(2, "LESTO-2201", "'minutes'", "'late'", "int64", remedy="type")


def test_parquet_needs_a_schema(run, nothing_published):
    done = run(
        f"""
        sink = FileSink({str(nothing_published)!r}, "parquet")
        flights.map(lambda row: row).sink_to(sink)  # HERE
        env.execute("job")
        """
    )
    done.is_clear(2, "LESTO-2006", "needs columns", remedy="output_type")


@pytest.mark.cluster
def test_an_output_directory_that_cannot_be(submit, tmp_path):
    (tmp_path / "file").touch()
    done = submit(
        f"""
        flights.sink_to(FileSink({str(tmp_path / "file" / "out")!r}, "jsonl"))  # HERE
        env.execute("job")
        """
    )
    done.is_clear(FAILED, "LESTO-3006", "file/out", "Not a directory", remedy="path")


@pytest.mark.cluster
def test_state_outside_of_a_keyed_stream(submit, nothing_published):
    done = submit(
        f"""
        class Count(MapFunction):
            def open(self, runtime_context):
                descriptor = ValueStateDescriptor("count", Types.LONG())
                self.count = runtime_context.get_state(descriptor)  # HERE
            def map(self, row):
                return row
        flights.map(Count()).sink_to(FileSink({str(nothing_published)!r}, "jsonl"))
        env.execute("job")
        """
    )
    done.is_clear(FAILED, "LESTO-6002", "count", remedy="key_by", traceback="KeyedState")


@pytest.mark.cluster
@pytest.mark.parametrize("parallelism", [1, 2])
@pytest.mark.parametrize(
    ("key", "said"),
    [("Plain()", "cannot hash a __main__.Plain as a key"), ("[row.carrier]", "unhashable type")],
)
def test_a_key_of_a_type_that_cannot_be_one(submit, key, said, parallelism):
    done = submit(
        f"""
        class Plain:
            pass
        env.set_parallelism({parallelism})
        keyed = flights.key_by(lambda row: {key})
        keyed.reduce(lambda a, b: a).print()
        env.execute("job")
        """
    )
    done.is_clear(FAILED, "LESTO-6015", "the key selector gave", said, remedy="a tuple of them")


@pytest.mark.cluster
def test_debug_adds_the_frames_of_the_task(submit):
    done = submit(
        """
        flights.map(lambda row: 1 / 0).print()
        env.execute("job")
        """,
        options=["--debug"],
    )
    assert done.code == FAILED
    assert "taskmanager/operators/stateless.py" in done.err

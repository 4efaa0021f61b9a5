"""Windows that are wrong only when records come: what the user sees."""

import pytest

FAILED = 1
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("the shared cluster starts threads when first asked", only=("threads",)),
]
TIMED = """
        timed = flights.assign_timestamps_and_watermarks(
            WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("dep_delay"))
        second = TumblingEventTimeWindows.of(Time.seconds(1))
"""
CASES = {
    "a process function that returns no iterable": (
        """
        class Count(ProcessWindowFunction):
            def process(self, key, context, elements):
                return len(list(elements))
        results = timed.key_by("carrier").window(second).process(Count())  # HERE
        """,
        ("LESTO-6005", "Count", "'int' object is not iterable"),
        "list",
    ),
    "a co_group function that returns no iterable": (
        """
        windows = timed.co_group(timed).where("carrier").equal_to("carrier").window(second)
        results = windows.apply(lambda a, b: len(a))  # HERE
        """,
        ("LESTO-6005", "lambda", "'int' object is not iterable"),
        "list",
    ),
    "event-time windows without event time": (
        """
        results = flights.key_by("carrier").window(second).reduce(lambda a, b: a)  # HERE
        """,
        ("LESTO-6003", "without event time"),
        "assign_timestamps_and_watermarks",
    ),
    "a whole stream without event time": (
        """
        results = flights.window_all(second).sum("dep_delay")  # HERE
        """,
        ("LESTO-6003", "without event time"),
        "assign_timestamps_and_watermarks",
    ),
    "a join of columns without event time": (
        """
        windows = flights.join(flights).where("carrier").equal_to("carrier").window(second)
        results = windows.columns()  # HERE
        """,
        ("LESTO-6003", "without event time"),
        "assign_timestamps_and_watermarks",
    ),
    "state of a window that merges": (
        """
        from lesto.datastream.window import EventTimeSessionWindows
        class Count(ProcessWindowFunction):
            def process(self, key, context, elements):
                context.window_state()  # HERE
                return []
        sessions = EventTimeSessionWindows.with_gap(Time.seconds(1))
        results = timed.key_by("carrier").window(sessions).process(Count())
        """,
        ("LESTO-6002", "windows that merge"),
        "global_state",
    ),
    "an assigner that returns nothing": (
        """
        from lesto.datastream.window import EventTimeTrigger
        class Mine(WindowAssigner):
            def assign_windows(self, element, timestamp, context):
                pass
            def get_default_trigger(self, env):
                return EventTimeTrigger.create()
            def is_event_time(self):
                return True
        results = timed.key_by("carrier").window(Mine()).reduce(lambda a, b: a)  # HERE
        """,
        ("LESTO-6005", "Mine.assign_windows returned None"),
        "list",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_window_that_is_wrong(submit, nothing_published, name):
    script, texts, remedy = CASES[name]
    sink = f"""
        results.map(str).sink_to(FileSink({str(nothing_published)!r}, "text"))
        env.execute("job")
    """
    raised = {"traceback": "KeyedStateUnavailable"} if "LESTO-6002" in texts else {}
    submit(TIMED + script + sink).is_clear(FAILED, *texts, remedy=remedy, **raised)

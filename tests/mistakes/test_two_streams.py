"""Mistakes with two streams: connected, broadcast, joined by interval."""

import pytest

USAGE = 2
FAILED = 1
pytestmark = pytest.mark.leaks_ok(
    "the shared cluster starts threads when first asked", only=("threads",)
)

FUNCTIONS = """
from lesto.datastream.state import MapStateDescriptor
RULES = MapStateDescriptor("rules", Types.STRING(), Types.LONG())
class Keyed(KeyedCoProcessFunction):
    def process_element1(self, row, ctx):
        yield row
    def process_element2(self, row, ctx):
        yield row
class Rules(BroadcastProcessFunction):
    def process_element(self, row, ctx):
        yield row
    def process_broadcast_element(self, row, ctx):
        yield row
"""

BUILDING = {
    "connect of no stream": (
        "flights.connect([1, 2])  # HERE",
        "LESTO-2002",
        ["connect takes a DataStream or a BroadcastStream", "list"],
        "",
    ),
    "a key on one side only": (
        "flights.key_by('carrier').connect(flights).process(Keyed())  # HERE",
        "LESTO-2002",
        ["process(Keyed) needs keys on both streams", "the second stream is not keyed"],
        "key_by(first, second)",
    ),
    "keys that never meet": (
        "flights.connect(flights).key_by('carrier', 'dep_delay')  # HERE",
        "LESTO-2000",
        ["different types", "string", "int64"],
        "cast",
    ),
    "a function for keyed streams": (
        "flights.key_by('carrier').connect(flights.broadcast(RULES)).process(Rules())  # HERE",
        "LESTO-2002",
        ["KeyedBroadcastProcessFunction", "the stream is keyed"],
        "leave key_by out",
    ),
    "a state that is no map": (
        "flights.broadcast(ValueStateDescriptor('rules', Types.LONG()))  # HERE",
        "LESTO-2002",
        ["broadcast takes MapStateDescriptors"],
        "",
    ),
    "an interval without a key": (
        "flights.key_by('carrier').interval_join(flights)  # HERE",
        "LESTO-2002",
        ["interval_join: the other stream is not keyed"],
        "key_by",
    ),
    "an interval the wrong way": (
        "both = flights.key_by('carrier')\nboth.interval_join(both).between('5s', '-5s')  # HERE",
        "LESTO-2002",
        ["no record lies between 5000 ms and -5000 ms"],
        "smaller duration first",
    ),
}


@pytest.mark.parametrize(("call", "code", "said", "remedy"), BUILDING.values(), ids=BUILDING)
def test_a_mistake_in_building(run, call, code, said, remedy):
    done = run(f"{FUNCTIONS}\n{call}\n")
    done.is_clear(USAGE, code, *said, remedy=remedy)


RUNNING = {
    "state without a key": (
        """
        class Count(CoMapFunction):
            def open(self, runtime_context):
                self.count = runtime_context.get_state(ValueStateDescriptor("count"))  # HERE
            def map1(self, row):
                return row
            map2 = map1
        results = flights.connect(flights).map(Count())
        """,
        "LESTO-6002",
        "'count'",
        "key_by",
        "KeyedStateUnavailableError",
    ),
    "a timer without a key": (
        """
        class Timer(CoProcessFunction):
            def process_element1(self, row, ctx):
                ctx.timer_service().register_event_time_timer(5)  # HERE
            process_element2 = process_element1
        results = flights.connect(flights).process(Timer())
        """,
        "LESTO-6002",
        "a timer for 5",
        "key_by",
        "KeyedStateUnavailableError",
    ),
    "state of the side without a key": (
        """
        class Half(CoProcessFunction):
            def open(self, runtime_context):
                self.count = runtime_context.get_state(ValueStateDescriptor("count"))
            def process_element1(self, row, ctx):
                self.count.update(1)
            def process_element2(self, row, ctx):
                self.count.update(2)  # HERE
        results = flights.key_by("carrier").connect(flights).process(Half())
        """,
        "LESTO-6002",
        "the second input",
        "key_by(...) on both streams",
        "KeyedStateUnavailableError",
    ),
    "broadcast state that was not declared": (
        """
        from lesto.datastream.state import MapStateDescriptor
        class Rules(BroadcastProcessFunction):
            def process_element(self, row, ctx):
                yield row
            def process_broadcast_element(self, row, ctx):
                ctx.get_broadcast_state(MapStateDescriptor("rule")).put(1, 1)  # HERE
        rules = flights.broadcast(MapStateDescriptor("rules"))
        results = flights.connect(rules).process(Rules())
        """,
        "LESTO-5031",
        "did you mean 'rules'",
        "stream.broadcast(descriptor)",
        "UndeclaredBroadcastStateError",
    ),
    "broadcast state written from the other side": (
        """
        from lesto.datastream.state import MapStateDescriptor
        RULES = MapStateDescriptor("rules")
        class Rules(KeyedBroadcastProcessFunction):
            def process_element(self, row, ctx):
                ctx.get_broadcast_state(RULES).put(row.carrier, 1)  # HERE
            def process_broadcast_element(self, row, ctx):
                ctx.get_broadcast_state(RULES).put(row.carrier, 1)
        results = flights.key_by("carrier").connect(flights.broadcast(RULES)).process(Rules())
        """,
        "LESTO-5030",
        "'rules' can only be read here",
        "process_broadcast_element",
        "ReadOnlyBroadcastStateError",
    ),
    "an interval join without event time": (
        """
        both = flights.key_by("carrier")
        results = both.interval_join(both).between(0, 5).apply(lambda a, b: (a, b))
        """,
        "LESTO-6003",
        "without event time reached the interval join",
        "in_processing_time",
        "",
    ),
}


@pytest.mark.cluster
@pytest.mark.parametrize(("part", "code", "said", "remedy", "error"), RUNNING.values(), ids=RUNNING)
def test_a_mistake_that_shows_with_the_first_record(
    submit, nothing_published, part, code, said, remedy, error
):
    sink = f"""
        results.sink_to(FileSink({str(nothing_published)!r}, "jsonl"))
        env.execute("job")
    """
    done = submit(part + sink)
    done.is_clear(FAILED, code, said, remedy=remedy, traceback=error)

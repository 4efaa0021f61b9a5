"""Each kind of event-time window, with each kind of window function."""

from pyflink.common import Duration, Time, Types
from pyflink.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from pyflink.datastream import (
    AggregateFunction,
    ProcessWindowFunction,
    StreamExecutionEnvironment,
    WindowFunction,
)
from pyflink.datastream.functions import ProcessAllWindowFunction
from pyflink.datastream.output_tag import OutputTag
from pyflink.datastream.window import (
    CountTrigger,
    EventTimeSessionWindows,
    GlobalWindows,
    PurgingTrigger,
    SessionWindowTimeGapExtractor,
    SlidingEventTimeWindows,
    TimeWindow,
    TumblingEventTimeWindows,
)

CLICKS = [
    ("ada", 1, 1000),
    ("ada", 2, 2000),
    ("bob", 10, 2500),
    ("ada", 3, 7000),
    ("bob", 20, 8000),
    ("ada", 4, 16000),
    ("bob", 30, 3000),
    ("ada", 5, 30000),
    ("bob", 40, 31000),
]


class ClickTime(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[2]


class Sum(WindowFunction):
    def apply(self, key, window: TimeWindow, inputs):
        yield f"tumbling {key} [{window.start}, {window.end}) {sum(i[1] for i in inputs)}"


class Describe(ProcessWindowFunction):
    def __init__(self, kind):
        self.kind = kind

    def process(self, key, context, elements):
        window = context.window()
        values = sorted(e[1] for e in elements)
        yield f"{self.kind} {key} [{window.start}, {window.end}) {values}"


class Average(AggregateFunction):
    def create_accumulator(self):
        return 0, 0

    def add(self, value, accumulator):
        return accumulator[0] + value[1], accumulator[1] + 1

    def get_result(self, accumulator):
        return accumulator[0] / accumulator[1]

    def merge(self, a, b):
        return a[0] + b[0], a[1] + b[1]


class WithWindow(ProcessWindowFunction):
    def process(self, key, context, elements):
        yield f"average {key} {context.window().start} {next(iter(elements))}"


class GapByUser(SessionWindowTimeGapExtractor):
    def extract(self, element):
        return 3000 if element[0] == "ada" else 6000


class Everyone(ProcessAllWindowFunction):
    def process(self, context, elements):
        yield f"everyone {context.window().start} {sorted(e[1] for e in elements)}"


class Batch(ProcessWindowFunction):
    def process(self, key, context, elements):
        yield f"two of {key} {[e[1] for e in elements]}"


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(
        Duration.of_seconds(3)
    ).with_timestamp_assigner(ClickTime())
    clicks = env.from_collection(
        CLICKS, type_info=Types.TUPLE([Types.STRING(), Types.INT(), Types.LONG()])
    ).assign_timestamps_and_watermarks(strategy)
    keyed = clicks.key_by(lambda click: click[0], key_type=Types.STRING())
    text = Types.STRING()

    late = OutputTag("late", Types.TUPLE([Types.STRING(), Types.INT(), Types.LONG()]))
    tumbling = (
        keyed.window(TumblingEventTimeWindows.of(Time.seconds(5)))
        .side_output_late_data(late)
        .apply(Sum(), output_type=text)
    )
    tumbling.print()
    tumbling.get_side_output(late).map(
        lambda click: f"late {click[0]} {click[1]}", output_type=text
    ).print()

    keyed.window(SlidingEventTimeWindows.of(Time.seconds(10), Time.seconds(5))).process(
        Describe("sliding"), text
    ).print()
    keyed.window(EventTimeSessionWindows.with_gap(Time.seconds(6))).process(
        Describe("session"), text
    ).print()
    keyed.window(EventTimeSessionWindows.with_dynamic_gap(GapByUser())).process(
        Describe("dynamic session"), text
    ).print()
    keyed.window(TumblingEventTimeWindows.of(Time.seconds(10), Time.seconds(2))).aggregate(
        Average(),
        window_function=WithWindow(),
        accumulator_type=Types.PICKLED_BYTE_ARRAY(),
        output_type=text,
    ).print()
    keyed.count_window(2).process(Batch(), text).print()
    keyed.window(GlobalWindows.create()).trigger(PurgingTrigger.of(CountTrigger.of(3))).reduce(
        lambda a, b: (a[0], a[1] + b[1], b[2])
    ).map(lambda click: f"three of {click[0]} {click[1]}", output_type=text).print()
    clicks.window_all(TumblingEventTimeWindows.of(Time.seconds(20))).process(
        Everyone(), text
    ).print()
    env.execute("windows")


if __name__ == "__main__":
    main()

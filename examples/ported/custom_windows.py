"""A window assigner and a trigger of the program's own."""

from pyflink.common import Types
from pyflink.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from pyflink.datastream import ProcessWindowFunction, StreamExecutionEnvironment
from pyflink.datastream.state import ReducingStateDescriptor
from pyflink.datastream.window import (
    TimeWindow,
    TimeWindowSerializer,
    Trigger,
    TriggerResult,
    WindowAssigner,
)

EVENTS = [
    ("a", 1, 100),
    ("a", 2, 900),
    ("b", 5, 950),
    ("a", 3, 1100),
    ("a", 4, 2500),
    ("b", 6, 2600),
]


class EventTime(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[2]


class Seconds(WindowAssigner):
    """Windows of a second, and one of two seconds around each."""

    def assign_windows(self, element, timestamp, context):
        start = timestamp - timestamp % 1000
        return [TimeWindow(start, start + 1000), TimeWindow(start, start + 2000)]

    def get_default_trigger(self, env):
        return AtTwoOrEnd()

    def get_window_serializer(self):
        return TimeWindowSerializer()

    def is_event_time(self):
        return True


class AtTwoOrEnd(Trigger):
    """Fires at the second record of a window, and at its end."""

    def __init__(self):
        self.count = ReducingStateDescriptor("count", lambda a, b: a + b, Types.LONG())

    def on_element(self, element, timestamp, window, ctx):
        ctx.register_event_time_timer(window.max_timestamp())
        count = ctx.get_partitioned_state(self.count)
        count.add(1)
        return TriggerResult.FIRE if count.get() == 2 else TriggerResult.CONTINUE

    def on_processing_time(self, time, window, ctx):
        return TriggerResult.CONTINUE

    def on_event_time(self, time, window, ctx):
        done = time >= window.max_timestamp()
        return TriggerResult.FIRE_AND_PURGE if done else TriggerResult.CONTINUE

    def on_merge(self, window, ctx):
        raise RuntimeError("these windows do not merge")

    def clear(self, window, ctx):
        ctx.get_partitioned_state(self.count).clear()


class Show(ProcessWindowFunction):
    def process(self, key, context, elements):
        window = context.window()
        yield f"{key} [{window.start}, {window.end}) {[e[1] for e in elements]}"


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(EventTime())
    (
        env.from_collection(
            EVENTS, type_info=Types.TUPLE([Types.STRING(), Types.INT(), Types.LONG()])
        )
        .assign_timestamps_and_watermarks(strategy)
        .key_by(lambda event: event[0], key_type=Types.STRING())
        .window(Seconds())
        .process(Show(), Types.STRING())
        .print()
    )
    env.execute("custom windows")


if __name__ == "__main__":
    main()

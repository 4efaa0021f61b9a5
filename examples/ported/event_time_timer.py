"""A timer a second of event time after each record of a key; and timers that are deleted."""

from pyflink.common import Duration, Types
from pyflink.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from pyflink.datastream import KeyedProcessFunction, StreamExecutionEnvironment, TimeDomain
from pyflink.datastream.state import ValueStateDescriptor

READINGS = [
    ("s1", 1000, 10),
    ("s2", 1500, 20),
    ("s1", 1800, 12),
    ("s2", 4200, 21),
    ("s1", 4300, 15),
    ("s1", 9000, 16),
]


class ReadingTime(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1]


class Silence(KeyedProcessFunction):
    """Says when a sensor was silent for two seconds."""

    def open(self, runtime_context):
        self.timer = runtime_context.get_state(ValueStateDescriptor("timer", Types.LONG()))

    def process_element(self, value, ctx):
        old = self.timer.value()
        if old is not None:
            ctx.timer_service().delete_event_time_timer(old)
        due = ctx.timestamp() + 2000
        self.timer.update(due)
        ctx.timer_service().register_event_time_timer(due)
        yield f"{value[0]} read {value[2]} at {ctx.timestamp()}"

    def on_timer(self, timestamp, ctx):
        assert ctx.time_domain() == TimeDomain.EVENT_TIME
        self.timer.clear()
        yield f"{ctx.get_current_key()} silent at {timestamp}"


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(
        Duration.of_millis(500)
    ).with_timestamp_assigner(ReadingTime())
    (
        env.from_collection(
            READINGS, type_info=Types.TUPLE([Types.STRING(), Types.LONG(), Types.INT()])
        )
        .assign_timestamps_and_watermarks(strategy)
        .key_by(lambda reading: reading[0], key_type=Types.STRING())
        .process(Silence(), output_type=Types.STRING())
        .print()
    )
    env.execute("event time timer")


if __name__ == "__main__":
    main()

"""A join of two streams by key: what comes first waits in state for what comes second."""

from pyflink.common import Types
from pyflink.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from pyflink.datastream import KeyedCoProcessFunction, StreamExecutionEnvironment
from pyflink.datastream.state import ListStateDescriptor, ValueStateDescriptor

USERS = [(1, "ada", 100), (2, "bob", 200), (3, "eve", 300)]
ORDERS = [(1, 10, 150), (2, 20, 160), (1, 30, 170), (4, 40, 180)]


class Time(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[2]


class Join(KeyedCoProcessFunction):
    def open(self, runtime_context):
        self.name = runtime_context.get_state(ValueStateDescriptor("name", Types.STRING()))
        self.waiting = runtime_context.get_list_state(ListStateDescriptor("waiting", Types.LONG()))

    def process_element1(self, value, ctx: KeyedCoProcessFunction.Context):
        self.name.update(value[1])
        for amount in self.waiting.get():
            yield f"{value[1]} ordered {amount}"
        self.waiting.clear()

    def process_element2(self, value, ctx: KeyedCoProcessFunction.Context):
        name = self.name.value()
        if name is None:
            self.waiting.add(value[1])
            ctx.timer_service().register_event_time_timer(value[2] + 1000)
        else:
            yield f"{name} ordered {value[1]}"

    def on_timer(self, timestamp, ctx: KeyedCoProcessFunction.OnTimerContext):
        for amount in self.waiting.get():
            yield f"{ctx.get_current_key()} is nobody and ordered {amount}"
        self.waiting.clear()


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Time())
    users = env.from_collection(
        USERS, type_info=Types.TUPLE([Types.LONG(), Types.STRING(), Types.LONG()])
    ).assign_timestamps_and_watermarks(strategy)
    orders = env.from_collection(
        ORDERS, type_info=Types.TUPLE([Types.LONG(), Types.LONG(), Types.LONG()])
    ).assign_timestamps_and_watermarks(strategy)
    (
        users.key_by(lambda user: user[0], key_type=Types.LONG())
        .connect(orders.key_by(lambda order: order[0], key_type=Types.LONG()))
        .process(Join(), output_type=Types.STRING())
        .print()
    )
    env.execute("co-process join")


if __name__ == "__main__":
    main()

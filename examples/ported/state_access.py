"""Every kind of keyed state, in a process function and in a rich map."""

from pyflink.common import Types
from pyflink.common.time import Time
from pyflink.datastream import (
    AggregateFunction,
    KeyedProcessFunction,
    MapFunction,
    ReduceFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)
from pyflink.datastream.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)

ORDERS = [("a", 3), ("b", 7), ("a", 5), ("c", 1), ("b", 2), ("a", 4)]


class Largest(ReduceFunction):
    def reduce(self, value1, value2):
        return max(value1, value2)


class Mean(AggregateFunction):
    def create_accumulator(self):
        return 0, 0

    def add(self, value, accumulator):
        return accumulator[0] + value, accumulator[1] + 1

    def get_result(self, accumulator):
        return accumulator[0] / accumulator[1]

    def merge(self, a, b):
        return a[0] + b[0], a[1] + b[1]


class Everything(KeyedProcessFunction):
    def open(self, runtime_context: RuntimeContext):
        ttl = (
            StateTtlConfig.new_builder(Time.hours(1))
            .set_update_type(StateTtlConfig.UpdateType.OnReadAndWrite)
            .set_state_visibility(StateTtlConfig.StateVisibility.NeverReturnExpired)
            .disable_cleanup_in_background()
            .build()
        )
        total = ValueStateDescriptor("total", Types.LONG())
        total.enable_time_to_live(ttl)
        self.total = runtime_context.get_state(total)
        self.seen = runtime_context.get_list_state(ListStateDescriptor("seen", Types.LONG()))
        self.parity = runtime_context.get_map_state(
            MapStateDescriptor("parity", Types.STRING(), Types.LONG())
        )
        self.largest = runtime_context.get_reducing_state(
            ReducingStateDescriptor("largest", Largest(), Types.LONG())
        )
        self.mean = runtime_context.get_aggregating_state(
            AggregatingStateDescriptor("mean", Mean(), Types.PICKLED_BYTE_ARRAY())
        )

    def process_element(self, value, ctx: KeyedProcessFunction.Context):
        amount = value[1]
        self.total.update((self.total.value() or 0) + amount)
        self.seen.add(amount)
        parity = "odd" if amount % 2 else "even"
        self.parity.put(parity, (self.parity.get(parity) or 0) + 1)
        self.largest.add(amount)
        self.mean.add(amount)
        counts = " ".join(f"{k}={v}" for k, v in sorted(self.parity.items()))
        yield (
            f"{ctx.get_current_key()} total={self.total.value()} seen={list(self.seen.get())} "
            f"{counts} largest={self.largest.get()} mean={self.mean.get():.2f}"
        )


class CountCalls(MapFunction):
    def open(self, runtime_context: RuntimeContext):
        self.calls = runtime_context.get_state(ValueStateDescriptor("calls", Types.INT()))

    def map(self, value):
        calls = (self.calls.value() or 0) + 1
        if calls == 3:
            self.calls.clear()
        else:
            self.calls.update(calls)
        return f"call {calls} of {value[0]}"


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    orders = env.from_collection(ORDERS, type_info=Types.TUPLE([Types.STRING(), Types.LONG()]))
    keyed = orders.key_by(lambda order: order[0], key_type=Types.STRING())
    keyed.process(Everything(), output_type=Types.STRING()).print()
    keyed.map(CountCalls(), output_type=Types.STRING()).print()
    env.execute("state access")


if __name__ == "__main__":
    main()

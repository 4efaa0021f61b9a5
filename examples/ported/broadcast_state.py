"""Rules go to every subtask as broadcast state; events are judged by the rules that are there."""

from pyflink.common import Types
from pyflink.datastream import (
    BroadcastProcessFunction,
    KeyedBroadcastProcessFunction,
    StreamExecutionEnvironment,
)
from pyflink.datastream.state import MapStateDescriptor

RULES = MapStateDescriptor("rules", Types.STRING(), Types.LONG())
TOTALS = MapStateDescriptor("totals", Types.STRING(), Types.LONG())


class Remember(BroadcastProcessFunction):
    """Counts both sides, so that the result does not depend on who comes first."""

    def process_element(self, value, ctx: BroadcastProcessFunction.ReadOnlyContext):
        state = ctx.get_broadcast_state(RULES)
        known = state.get(value[0]) if state.contains(value[0]) else None
        assert known is None or known >= 100
        yield f"event {value[0]} {value[1]}"

    def process_broadcast_element(self, value, ctx: BroadcastProcessFunction.Context):
        state = ctx.get_broadcast_state(RULES)
        state.put(value[0], value[1])
        yield f"rule {value[0]} {state.get(value[0])} of {sorted(state.keys())}"


class PerKey(KeyedBroadcastProcessFunction):
    def open(self, runtime_context):
        self.sums = runtime_context.get_map_state(TOTALS)

    def process_element(self, value, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext):
        key = ctx.get_current_key()
        self.sums.put(key, (self.sums.get(key) or 0) + value[1])
        yield f"sum {key} {self.sums.get(key)}"

    def process_broadcast_element(self, value, ctx: KeyedBroadcastProcessFunction.Context):
        ctx.get_broadcast_state(RULES).put(value[0], value[1])


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    pair = Types.TUPLE([Types.STRING(), Types.LONG()])
    events = env.from_collection([("a", 1), ("b", 2), ("a", 3), ("c", 4)], type_info=pair)
    rules = env.from_collection([("a", 100), ("b", 200)], type_info=pair)
    events.connect(rules.broadcast(RULES)).process(Remember(), output_type=Types.STRING()).print()
    keyed = events.key_by(lambda event: event[0], key_type=Types.STRING())
    keyed.connect(rules.broadcast(RULES)).process(PerKey(), output_type=Types.STRING()).print()
    env.execute("broadcast state")


if __name__ == "__main__":
    main()

"""Jobs of Python values without windows: functions, keys, state, timers, partitioners."""

import random
from collections import defaultdict

from lesto.common import Row, Types, WatermarkStrategy
from lesto.datastream import (
    AggregateFunction,
    FilterFunction,
    FlatMapFunction,
    KeyedProcessFunction,
    MapFunction,
    OutputTag,
    ProcessFunction,
    ReduceFunction,
)
from lesto.datastream.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from tests.golden.harness import Brake, Golden, deal, split_by_key

# ------------------------------------------------------------------------- functions, no state

WORDS = ["", "a b", "ärger über öl", "x  y", "\N{SNOWMAN}\n\t", "one", "'quoted' \"twice\"", " "]
LINES = [f"{WORDS[i % len(WORDS)]} {i}" if i % 11 else "" for i in range(320)]


class Words(FlatMapFunction):
    """Words of a line; None for an empty one."""

    def flat_map(self, value):
        return value.split(" ") if value else None


class NotEven(FilterFunction):
    """Drops words of even length but the empty one."""

    def filter(self, value):
        return not value or len(value) % 2 == 1


class Shape(MapFunction):
    """Needs ``open``: a function whose life cycle is skipped would fail."""

    def open(self, runtime_context):
        self.suffix = "!"

    def map(self, value):
        return (value.upper() + self.suffix, len(value), None, [1.5, {"k": b"\x00\xff"}])


def functions(stage):
    return (
        stage.env.from_collection(LINES)
        .filter(Brake(stage, 6))
        .set_parallelism(1)
        .rebalance()
        .flat_map(Words())
        .disable_chaining()
        .filter(NotEven())
        .map(Shape())
    )


def functions_model():
    words = [w for line in LINES if line for w in line.split(" ")]
    kept = [w for w in words if not w or len(w) % 2 == 1]
    return [(w.upper() + "!", len(w), None, [1.5, {"k": b"\x00\xff"}]) for w in kept]


# -------------------------------------------------------------------------------- keys of any type

KEYS = [
    None, 0, -1, 2**40, -(2**40), 0.5, -1e300, float("inf"), "", "k", "\N{SNOWMAN}", b"", b"\x00",
    (), (1, "a"), (1, ("b", None)), ("k",), 2**70, "0", b"k",
]  # fmt: skip
_random = random.Random(11)
KEYED = [(_random.choice(KEYS), _random.randint(-9, 9)) for _ in range(900)]


class Concatenate(ReduceFunction):
    """Not commutative: shows any change of a key's order."""

    def reduce(self, value1, value2):
        return (value1[0], value1[1] * 3 % 1_000_003 + value2[1])


def any_key(stage):
    source = stage.source(split_by_key(KEYED, lambda r: r[0], 3, 5))
    return source.key_by(lambda r: r[0]).reduce(Concatenate())


def any_key_model():
    last, out = {}, []
    for key, value in KEYED:
        slot = (type(key), key)
        last[slot] = last[slot] * 3 % 1_000_003 + value if slot in last else value
        out.append((key, last[slot]))
    return out


# --------------------------------------------------------------------------- aggregates of a field

FIELDS = [(f"k{i * 7 % 13}", (i * 37) % 101 - 50, i) for i in range(700)]
KINDS = ("sum", "min", "max", "min_by", "max_by")


def fields(stage):
    keyed = stage.source(split_by_key(FIELDS, lambda r: r[0], 2, 7)).key_by(lambda r: r[0])
    streams = [
        getattr(keyed, kind)(1).map(lambda record, kind=kind: (kind, *record)) for kind in KINDS
    ]
    return streams[0].union(*streams[1:])


def fields_model():
    out, first, states = [], {}, {kind: {} for kind in KINDS}
    for record in FIELDS:
        key, value, _ = record
        first.setdefault(key, record)
        for kind, state in states.items():
            before = state.get(key)
            if before is None:
                state[key] = record
            elif kind in {"min_by", "max_by"}:
                better = value < before[1] if kind == "min_by" else value > before[1]
                state[key] = record if better else before
            else:
                fold = {"sum": int.__add__, "min": min, "max": max}[kind]
                state[key] = (key, fold(before[1], value), first[key][2])
            out.append((kind, *state[key]))
    return out


# ------------------------------------------------------------------- all kinds of state, and timers

BUCKET_MS = 1_000


def _events():
    rng = random.Random(5)
    out = []
    for i in range(800):  # from before 1970 to after, up to 300 ms out of order
        out.append(
            (rng.choice("abcdefg") * rng.randint(1, 2), i, -4_000 + i * 10 + rng.randint(-300, 0))
        )
    return out


EVENTS = _events()
EVENT_TIME = WatermarkStrategy.for_bounded_out_of_orderness(400).with_timestamp_assigner(
    lambda record, _: record[2]
)


class Longest(AggregateFunction):
    """Length and number of values: an accumulator unlike its result."""

    def create_accumulator(self):
        return [0, 0]

    def add(self, value, accumulator):
        return [accumulator[0] + 1, max(accumulator[1], value)]

    def get_result(self, accumulator):
        return tuple(accumulator)

    def merge(self, acc_a, acc_b):
        return [acc_a[0] + acc_b[0], max(acc_a[1], acc_b[1])]


class AllStates(KeyedProcessFunction):
    """Numbers the records of a key; sums a bucket's values and gives them when time passes it."""

    def open(self, runtime_context):
        get = runtime_context
        self.number = get.get_state(ValueStateDescriptor("number", Types.LONG()))
        self.latest = get.get_list_state(ListStateDescriptor("latest", Types.LONG()))
        self.buckets = get.get_map_state(MapStateDescriptor("buckets", Types.LONG(), Types.LONG()))
        self.total = get.get_reducing_state(
            ReducingStateDescriptor("total", lambda a, b: a + b, Types.LONG())
        )
        self.longest = get.get_aggregating_state(
            AggregatingStateDescriptor("longest", Longest(), Types.PICKLED_BYTE_ARRAY())
        )

    def process_element(self, value, ctx):
        key, amount, at = value
        assert ctx.get_current_key() == key
        assert ctx.timestamp() == at
        number = (self.number.value() or 0) + 1
        self.number.update(number)
        latest = [*self.latest.get(), amount][-3:]
        self.latest.update(latest)
        bucket = at // BUCKET_MS
        self.buckets.put(bucket, (self.buckets.get(bucket) or 0) + amount)
        self.total.add(amount)
        self.longest.add(amount)
        ctx.timer_service().register_event_time_timer((bucket + 1) * BUCKET_MS - 1)
        ctx.timer_service().register_event_time_timer(bucket * BUCKET_MS + 7 * BUCKET_MS)
        ctx.timer_service().delete_event_time_timer(bucket * BUCKET_MS + 7 * BUCKET_MS)
        yield "record", key, number, tuple(latest), self.total.get(), self.longest.get()

    def on_timer(self, timestamp, ctx):
        bucket = timestamp // BUCKET_MS
        amount = self.buckets.get(bucket)
        self.buckets.remove(bucket)
        if self.buckets.is_empty():
            self.buckets.clear()
        yield "timer", ctx.get_current_key(), timestamp, amount


def states(stage):
    source = stage.source(split_by_key(EVENTS, lambda r: r[0], 3, 5), strategy=EVENT_TIME)
    return source.key_by(lambda r: r[0]).process(AllStates()).uid("states")


def states_model():
    out, of_key, buckets = [], defaultdict(list), defaultdict(int)
    for key, amount, at in EVENTS:
        values = of_key[key]
        values.append(amount)
        most = (len(values), max(values))
        out.append(("record", key, len(values), tuple(values[-3:]), sum(values), most))
        buckets[key, at // BUCKET_MS] += amount
    out += [("timer", k, (b + 1) * BUCKET_MS - 1, amount) for (k, b), amount in buckets.items()]
    return out


# --------------------------------------------------------------------------- processing-time timers

PROCESSING_KEYS = 40


class Alarm(KeyedProcessFunction):
    """Goes off once for each key, some time after its first record."""

    def open(self, runtime_context):
        self.armed = runtime_context.get_state(ValueStateDescriptor("armed", Types.BOOLEAN()))

    def process_element(self, value, ctx):
        if self.armed.value() is None:
            now = ctx.timer_service().current_processing_time()
            ctx.timer_service().register_processing_time_timer(now + 30)
            self.armed.update(True)

    def on_timer(self, timestamp, ctx):
        assert ctx.timer_service().current_processing_time() >= timestamp
        yield "alarm", ctx.get_current_key()


def alarms(stage):
    # The first 80 % bring up the keys; the rest only keeps the source alive while they go off.
    records = [i * PROCESSING_KEYS // 80 if i < 80 else 0 for i in range(100)]
    return stage.source([[[r] for r in records]]).key_by(lambda r: r).process(Alarm())


def alarms_model():
    return [("alarm", key) for key in range(PROCESSING_KEYS)]


# ------------------------------------------------------------- union, then state; mixed parallelism

LEFT = [("left", i % 9, i) for i in range(400)]
RIGHT = [("right", i % 9, -i) for i in range(300)]


class Count(MapFunction):
    """Numbers the records of a key whatever side they come from."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.total = runtime_context.get_state(ValueStateDescriptor("total", Types.LONG()))

    def map(self, value):
        count = (self.count.value() or 0) + 1
        total = (self.total.value() or 0) + value[2]
        self.count.update(count)
        self.total.update(total)
        return (value[1], count, total)


def joined(stage):
    left = stage.source(deal(LEFT, 2, 4), name="left")
    right = stage.source(deal(RIGHT, 3, 3), name="right").map(lambda r: r).set_parallelism(1)
    counted = left.union(right).key_by(lambda r: r[1]).map(Count()).set_parallelism(2)
    return counted.rebalance().map(lambda r: r).set_parallelism(3).disable_chaining()


def joined_model():
    out = []
    for key in range(9):
        amounts = [r[2] for r in LEFT + RIGHT if r[1] == key]
        out += [(key, n + 1) for n in range(len(amounts))]
        out.append((key, "last", sum(amounts)))
    return out


def joined_view(results):
    """Sums on the way depend on the order of the sides; the last of a key does not."""
    last = {}
    for key, n, total in results:
        last[key] = max(last.get(key, (0, 0)), (n, total))
    return [r[:2] for r in results] + [(k, "last", total) for k, (_, total) in last.items()]


# -------------------------------------------------------------------- partitioners and side outputs

NUMBERS = list(range(260))
ODD = OutputTag("odd", Types.LONG())
LOUD = OutputTag("loud")


class Sort(ProcessFunction):
    """Even numbers on, odd ones aside; each seventh to a second tag as well."""

    def process_element(self, value, ctx):
        if value % 7 == 0:
            yield LOUD, ("loud", value)
        if value % 2:
            yield ODD, value
        else:
            yield value


class Where(MapFunction):
    """Adds the subtask."""

    def open(self, runtime_context):
        self.subtask = runtime_context.get_index_of_this_subtask()

    def map(self, value):
        return (value, self.subtask)


def partitioners(stage):
    numbers = stage.source(deal(NUMBERS, 3, 3))
    sorted_ = numbers.process(Sort())
    odd, loud = sorted_.get_side_output(ODD), sorted_.get_side_output(LOUD)
    streams = [
        numbers.broadcast().map(Where()).set_parallelism(3).map(lambda r: ("broadcast", *r)),
        sorted_.rescale().map(lambda r: ("rescale", r)).set_parallelism(3),
        odd.shuffle().map(lambda r: ("shuffle", r)).set_parallelism(2),
        loud.global_().map(Where()).set_parallelism(3).map(lambda r: ("global", *r)),
        numbers.partition_custom(lambda key, n: key % n, lambda r: r * r)
        .map(Where())
        .set_parallelism(2)
        .map(lambda r: ("custom", *r)),
        numbers.forward().map(lambda r: ("forward", r)),
    ]
    return streams[0].union(*streams[1:])


def partitioners_model():
    out = [("broadcast", n, s) for n in NUMBERS for s in range(3)]
    out += [("rescale", n) for n in NUMBERS if n % 2 == 0]
    out += [("shuffle", n) for n in NUMBERS if n % 2]
    out += [("global", ("loud", n), 0) for n in NUMBERS if n % 7 == 0]
    out += [("custom", n, n * n % 2) for n in NUMBERS]
    out += [("forward", n) for n in NUMBERS]
    return out


# --------------------------------------------------------------- few keys, few key groups, two keys

FEW = [(("x", "y")[i % 2], i) for i in range(300)]


def few_groups(stage):
    pairs = stage.source(split_by_key(FEW, lambda r: r[0], 2, 4))
    sums = pairs.key_by(lambda r: r[0]).sum(1)
    # By another key: parity of the sum, after a second exchange.
    return sums.key_by(lambda r: r[1] % 2).map(Distinct())


class Distinct(MapFunction):
    """How many different records a key has had, by map state."""

    def open(self, runtime_context):
        self.seen = runtime_context.get_map_state(MapStateDescriptor("seen"))

    def map(self, value):
        self.seen.put(tuple(value), True)
        return (value[1] % 2, len(list(self.seen)))


def few_groups_model():
    sums, seen, out = {"x": 0, "y": 0}, defaultdict(set), []
    for key, value in FEW:
        sums[key] += value
        seen[sums[key] % 2].add((key, sums[key]))
        out.append((sums[key] % 2, len(seen[sums[key] % 2])))
    return out


# ----------------------------------------------------------------------- rows with names, generated


def generated(stage):
    from lesto.connectors.datagen import RowGenSource

    source = RowGenSource(
        lambda i: Row(key=f"key-{i % 23}", number=1, value=i % 17 - 8),
        rows=1_500,
        rows_per_second=1_500 if stage.held else None,
    )
    stream = stage.env.from_source(source, WatermarkStrategy.no_watermarks(), "generated")
    return stream.key_by("key").reduce(
        lambda a, b: Row(key=a.key, number=a.number + b.number, value=a.value + b.value)
    )


def generated_model():
    out, state = [], {}
    for i in range(1_500):
        key = f"key-{i % 23}"
        number, total = state.get(key, (0, 0))
        state[key] = (number + 1, total + i % 17 - 8)
        out.append((key, *state[key]))
    return generated_view(out)


def generated_view(results):
    """Lanes interleave freely, so sums on the way are open; numbers and the last sum are not."""
    last = {}
    for key, number, total in results:
        last[key] = max(last.get(key, (0, 0)), (number, total))
    return [r[:2] for r in results] + [(k, "last", *v) for k, v in last.items()]


JOBS = [
    Golden("functions", functions, functions_model, collect=True,
           options={"taskmanager.batch.rows": "8"}),
    Golden("any_key", any_key, any_key_model, backends=("hashmap", "rocksdb")),
    Golden("fields", fields, fields_model, backends=("rocksdb", "rocksdb"), collect=True),
    Golden("states", states, states_model, backends=("rocksdb", "rocksdb"), from_checkpoint=True),
    Golden("states_across", states, states_model, backends=("hashmap", "rocksdb"), collect=True),
    Golden("alarms", alarms, alarms_model, pause_ms=5, end_pause_ms=8),
    Golden("joined", joined, joined_model, view=joined_view, backends=("rocksdb", "hashmap")),
    Golden("partitioners", partitioners, partitioners_model, from_checkpoint=True, collect=True),
    Golden("few_groups", few_groups, few_groups_model, max_parallelism=3,
           backends=("rocksdb", "rocksdb")),
    Golden("generated", generated, generated_model, view=generated_view),
]  # fmt: skip

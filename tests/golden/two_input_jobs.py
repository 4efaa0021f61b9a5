"""Jobs of two streams: connected, broadcast and interval-joined."""

import random
from collections import defaultdict

import pyarrow as pa

from lesto.common import Types, WatermarkStrategy, col
from lesto.datastream import (
    BroadcastProcessFunction,
    CoMapFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    OutputTag,
    ProcessJoinFunction,
)
from lesto.datastream.state import MapStateDescriptor, ValueStateDescriptor
from tests.golden.harness import Golden, batches, deal, split_by_key

BY_FIRST = lambda r: r[0]  # noqa: E731
TIME = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(lambda v, _: v[2])

# ------------------------------------------------- keyed on both sides, by different selectors

#: (key, amount, time); the sides of a key never depend on which comes first.
PAYMENTS = [(f"user-{i % 13}", i % 7, 10 * i) for i in range(420)]
#: (amount, key, time)
#: They go on long after the payments have ended.
REFUNDS = [(-(i % 5), f"user-{i % 17}", 24 * i) for i in range(300)]
DAY = 1_000


class Balance(KeyedCoProcessFunction):
    """Sums of each day, told by a timer at its end; refunds count apart."""

    def open(self, runtime_context):
        self.days = runtime_context.get_map_state(MapStateDescriptor("days"))

    def _add(self, amount, ctx, place):
        day = ctx.timestamp() // DAY
        sums = self.days.get(day) or [0, 0]
        sums[place] += amount
        self.days.put(day, sums)
        ctx.timer_service().register_event_time_timer((day + 1) * DAY - 1)

    def process_element1(self, value, ctx):
        assert ctx.get_current_key() == value[0]
        self._add(value[1], ctx, 0)
        yield "payment", value[0], value[1]

    def process_element2(self, value, ctx):
        assert ctx.get_current_key() == value[1]
        self._add(value[0], ctx, 1)

    def on_timer(self, timestamp, ctx):
        day = timestamp // DAY
        paid, refunded = self.days.get(day)
        self.days.remove(day)
        yield "day", ctx.get_current_key(), day, paid, refunded


def balances(stage):
    paid = stage.source(deal(PAYMENTS, 3, 5), strategy=TIME, name="payments")
    back = stage.source(deal(REFUNDS, 2, 5), strategy=TIME, name="refunds")
    both = paid.connect(back).key_by(lambda r: r[0], lambda r: r[1])
    return both.process(Balance()).uid("balances").map(lambda r: r)


def balances_model():
    out, sums = [], defaultdict(lambda: [0, 0])
    for key, amount, time in PAYMENTS:
        out.append(("payment", key, amount))
        sums[key, time // DAY][0] += amount
    for amount, key, time in REFUNDS:
        sums[key, time // DAY][1] += amount
    return out + [("day", key, day, *both) for (key, day), both in sums.items()]


# ------------------------------------------ a stream of columns with one of values; union; plain

ORDERS = [{"k": i % 9, "v": i} for i in range(240)]
ORDER_SCHEMA = pa.schema([("k", pa.int64()), ("v", pa.int64())])
NAMES = [(i % 11, f"name-{i}") for i in range(160)]


class Both(CoMapFunction):
    """Numbers the records of a key on both sides."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def _number(self):
        number = (self.count.value() or 0) + 1
        self.count.update(number)
        return number

    def map1(self, value):
        return (value.k, self._number(), value.v)

    def map2(self, value):
        return (value[0], self._number(), value[1])


def mixed(stage):
    orders = stage.source(deal(ORDERS, 2, 4), schema=ORDER_SCHEMA, name="orders")
    names = stage.source(deal(NAMES, 2, 4), name="names")
    more = stage.source(deal(NAMES, 1, 4), name="more").map(lambda r: r)
    keyed = orders.key_by("k").connect(names.union(more).key_by(lambda r: r[0])).map(Both())
    plain = orders.connect(names).flat_map(
        (lambda order: [("order", order.v)] * (order.v % 3), lambda name: [("name", name[1])])
    )
    return keyed.set_parallelism(2).union(plain)


def mixed_model():
    out = []
    values = defaultdict(list)
    for order in ORDERS:
        values[order["k"]].append(order["v"])
        out += [("order", order["v"])] * (order["v"] % 3)
    for key, name in NAMES:
        values[key] += [name, name]
        out.append(("name", name))
    for key, of_key in values.items():
        out += [(key, "number", n + 1) for n in range(len(of_key))]
        out += [(key, "value", value) for value in of_key]
    return out


def mixed_view(results):
    """Which record of a key gets which number is open."""
    out = [r for r in results if len(r) == 2]
    for key, number, value in (r for r in results if len(r) == 3):
        out += [(key, "number", number), (key, "value", value)]
    return out


# ----------------------------------------------------------------------------------- broadcast

PRICES = MapStateDescriptor("prices", Types.INT(), Types.INT())
SEEN = MapStateDescriptor("seen")
#: (product, price, time): prices only rise, and each subtask sees them in this order.
CHANGES = [(i % 5, i, 20 * i) for i in range(60)]
SALES = [(f"c{i % 8}", i % 5, 4 * i) for i in range(400)]
UNKNOWN = OutputTag("unknown")


class Sell(KeyedBroadcastProcessFunction):
    """The newest price each sale has seen never falls; a timer tells a customer's count."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value, ctx):
        price = ctx.get_broadcast_state(PRICES).get(value[1])
        assert price is None or price % 5 == value[1]
        self.count.update((self.count.value() or 0) + 1)
        ctx.timer_service().register_event_time_timer(10_000)
        yield "sale", ctx.get_current_key(), value[1]

    def process_broadcast_element(self, value, ctx):
        prices = ctx.get_broadcast_state(PRICES)
        old = prices.get(value[0])
        assert old is None or old < value[1], "a price was lost or came twice"
        assert old is None or value[1] - old == 5, f"between {old} and {value[1]}"
        prices.put(value[0], value[1])

    def on_timer(self, timestamp, ctx):
        prices = dict(ctx.get_broadcast_state(PRICES).items())
        yield "customer", ctx.get_current_key(), self.count.value(), tuple(sorted(prices.items()))


class Convert(BroadcastProcessFunction):
    """Counts the broadcast records in broadcast state; each subtask tells at the last."""

    def process_element(self, value, ctx):
        yield "convert", value[0], value[2]

    def process_broadcast_element(self, value, ctx):
        seen = ctx.get_broadcast_state(SEEN)
        seen[value] = True
        if len(list(seen.keys())) == len(CHANGES):
            yield UNKNOWN, ("all seen", seen.is_empty())


def broadcasts(stage):
    changes = stage.source(batches_of_one(CHANGES), strategy=TIME, name="changes")
    sales = stage.source(split_by_key(SALES, BY_FIRST, 3, 4), strategy=TIME, name="sales")
    keyed = sales.key_by(BY_FIRST).connect(changes.broadcast(PRICES)).process(Sell()).uid("sell")
    plain = sales.connect(changes.broadcast(SEEN)).process(Convert()).uid("convert")
    told = plain.get_side_output(UNKNOWN).map(lambda r: ("told", *r))
    return keyed.union(plain, told)


def batches_of_one(records):
    """One split, so that all subtasks see one order."""
    return [batches(records, 2)]


def broadcasts_model():
    out = [("sale", key, product) for key, product, _ in SALES]
    out += [("convert", key, time) for key, _, time in SALES]
    prices = tuple(sorted({product: price for product, price, _ in CHANGES}.items()))
    counts = defaultdict(int)
    for key, _, _ in SALES:
        counts[key] += 1
    return [*out, *(("customer", key, n, prices) for key, n in counts.items()), ("told",)]


def broadcasts_view(results):
    """As many subtasks as there are at the end tell."""
    told = {r[0] for r in results if r[0] == "told"}
    assert all(r == ("told", "all seen", False) for r in results if r[0] == "told")
    return [r for r in results if r[0] != "told"] + [(name,) for name in told]


# ------------------------------------------------------------------------------ interval joins

RNG = random.Random(11)
LOWER, UPPER, LATE = -70, 120, 300


def _events(name, n, step):
    return [(RNG.choice("abcde"), f"{name}{i}", step * i + RNG.randrange(LATE)) for i in range(n)]


CLICKS, BUYS = _events("click", 260, 10), _events("buy", 200, 13)
OUT_OF_ORDER = WatermarkStrategy.for_bounded_out_of_orderness(LATE).with_timestamp_assigner(
    lambda v, _: v[2]
)
FAR = OutputTag("far")


class Pair(ProcessJoinFunction):
    """Pairs, and those more than 100 ms apart aside."""

    def process_element(self, left, right, ctx):
        times = (ctx.get_left_timestamp(), ctx.get_right_timestamp(), ctx.get_timestamp())
        assert times == (left[2], right[2], max(left[2], right[2]))
        result = (left[1], right[1], right[2] - left[2])
        yield (FAR, result) if result[2] >= 100 else result


def joined_rows(stage):
    clicks = stage.source(deal(CLICKS, 2, 5), strategy=OUT_OF_ORDER, name="clicks")
    buys = stage.source(deal(BUYS, 3, 4), strategy=OUT_OF_ORDER, name="buys")
    joined = (
        clicks.key_by(BY_FIRST)
        .interval_join(buys.key_by(BY_FIRST))
        .between(LOWER, UPPER)
        .upper_bound_exclusive()
        .process(Pair())
        .uid("join")
    )
    return joined.union(joined.get_side_output(FAR).map(lambda r: ("far", *r)))


def _pairs(upper):
    for a in CLICKS:
        for b in BUYS:
            if a[0] == b[0] and LOWER <= b[2] - a[2] <= upper:
                yield a, b


def joined_rows_model():
    out = [(a[1], b[1], b[2] - a[2]) for a, b in _pairs(UPPER - 1)]
    return [("far", *r) if r[2] >= 100 else r for r in out]


COLUMNS = pa.schema([("k", pa.string()), ("n", pa.string()), ("t", pa.int64())])
BY_COLUMN = WatermarkStrategy.for_bounded_out_of_orderness(LATE).with_timestamp_column("t")


def _rows(events):
    return [dict(zip(COLUMNS.names, event, strict=True)) for event in events]


def joined_columns(stage):
    clicks = deal(_rows(CLICKS), 2, 5)
    buys = deal(_rows(BUYS), 3, 4)
    left = stage.source(clicks, schema=COLUMNS, strategy=BY_COLUMN, name="clicks")
    right = stage.source(buys, schema=COLUMNS, strategy=BY_COLUMN, name="buys")
    joined = left.key_by("k").interval_join(right.key_by("k")).between(LOWER, UPPER).join()
    return joined.uid("join").select("k", "n", "n_right", apart=col("t_right") - col("t"))


def joined_columns_model():
    return [(a[0], a[1], b[1], b[2] - a[2]) for a, b in _pairs(UPPER)]


#: Broadcast edges stay aligned beside others that are not.
UNALIGNED = {"execution.checkpointing.unaligned.enabled": "true"}
JOBS = [
    Golden("balances", balances, balances_model, backends=("rocksdb", "hashmap"), collect=True),
    Golden("balances_unaligned", balances, balances_model, backends=("rocksdb", "rocksdb"),
           from_checkpoint=True, options=UNALIGNED),
    Golden("broadcasts_unaligned", broadcasts, broadcasts_model, view=broadcasts_view,
           backends=("rocksdb", "hashmap"), from_checkpoint=True, options=UNALIGNED),
    Golden("mixed_inputs", mixed, mixed_model, view=mixed_view, from_checkpoint=True,
           backends=("rocksdb", "rocksdb")),
    Golden("broadcasts", broadcasts, broadcasts_model, view=broadcasts_view,
           backends=("hashmap", "rocksdb")),
    Golden("interval_join", joined_rows, joined_rows_model, backends=("rocksdb", "rocksdb")),
    Golden("interval_join_columns", joined_columns, joined_columns_model, sink="parquet",
           backends=("rocksdb", "hashmap")),
    Golden("interval_join_checkpoint", joined_columns, joined_columns_model, sink="parquet",
           backends=("rocksdb", "rocksdb"), from_checkpoint=True),
]  # fmt: skip

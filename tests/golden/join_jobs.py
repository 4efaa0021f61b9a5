"""Jobs with windows over two streams, over whole streams and over partitions."""

from collections import defaultdict

from lesto.common import Time, col
from lesto.common.expressions import count, window_start
from lesto.datastream import (
    CoGroupFunction,
    FlatJoinFunction,
    MapPartitionFunction,
    Order,
    ProcessWindowFunction,
)
from lesto.datastream.functions import ProcessAllWindowFunction
from lesto.datastream.state import ValueStateDescriptor
from lesto.datastream.window import (
    ContinuousEventTimeTrigger,
    CountEvictor,
    EventTimeTrigger,
    PurgingTrigger,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from tests.golden.columnar_jobs import NULL_KEYS, RECORDS, SCHEMA, TIME
from tests.golden.harness import Golden, split_by_key
from tests.golden.row_jobs import EVENT_TIME, EVENTS
from tests.golden.window_jobs import key_of

SIZE = 600
OTHERS = [(key, value * 10, time + 150) for key, value, time in EVENTS if value % 3 == 0]


def grouped(records, size=SIZE):
    found = defaultdict(list)
    for record in records:
        found[record[0], record[2] // size * size].append(record)
    return found


# -------------------------------------------------------------------------------- two streams, rows


class Both(CoGroupFunction):
    """How many records of each side there are, and their sums."""

    def co_group(self, first, second):
        sums = [sum(r[1] for r in side) for side in (first, second)]
        yield "both", len(first), len(second), *sums


class Near(FlatJoinFunction):
    """Pairs that are near in time."""

    def join(self, first, second):
        if abs(first[2] - second[2]) < 100:
            return [("near", first, second)]
        return None


def two_sources(stage):
    left = stage.source(split_by_key(EVENTS, key_of, 3, 5), strategy=EVENT_TIME, name="left")
    right = stage.source(split_by_key(OTHERS, key_of, 2, 3), strategy=EVENT_TIME, name="right")
    return left, right


def joins(stage):
    left, right = two_sources(stage)
    windows = TumblingEventTimeWindows.of(Time.milliseconds(SIZE))
    joined = left.join(right).where(key_of).equal_to(key_of).window(windows)
    groups = left.co_group(right).where(key_of).equal_to(key_of).window(windows)
    return joined.apply(lambda a, b: ("pair", a, b[1])).union(
        groups.apply(Both()),
        left.join(right).where(key_of).equal_to(key_of).window(windows).apply(Near()),
    )


def joins_model():
    ours, theirs = grouped(EVENTS), grouped(OTHERS)
    out = []
    for window in {*ours, *theirs}:
        a, b = ours.get(window, []), theirs.get(window, [])
        out.append(("both", len(a), len(b), sum(r[1] for r in a), sum(r[1] for r in b)))
        out += [("pair", x, y[1]) for x in a for y in b]
        out += [("near", x, y) for x in a for y in b if abs(x[2] - y[2]) < 100]
    return out


# ----------------------------------------------------------------------------- two streams, columns


def column_joins(stage):
    splits = split_by_key(NULL_KEYS, lambda r: r["k"], 2, 6)
    left = stage.source(splits, schema=SCHEMA, strategy=TIME, name="left")
    others = [r for r in RECORDS if r["id"] % 4 == 0]
    splits = split_by_key(others, lambda r: r["k"], 2, 3)
    right = stage.source(splits, schema=SCHEMA, strategy=TIME, name="right")
    right = right.select(col("k"), col("id").alias("other"), col("v"))
    windows = SlidingEventTimeWindows.of(Time.milliseconds(600), Time.milliseconds(400))
    return (
        left.join(right).where("k").equal_to("k").window(windows).columns()
        .select("id", "k", "v", "other", "v_right")
    )  # fmt: skip


def column_joins_model():
    out = []
    for a in NULL_KEYS:
        for b in RECORDS:
            if b["id"] % 4 or a["k"] != b["k"]:
                continue
            shared = set(windows_of(a["t"])) & set(windows_of(b["t"]))
            out += [(a["id"], a["k"], a["v"], b["id"], b["v"])] * len(shared)
    return out


def windows_of(time, size=600, slide=400):
    last = time // slide * slide
    return range(last, time - size, -slide)


def slices(stage):
    splits = split_by_key(NULL_KEYS, lambda r: r["k"], 2, 6)
    windows = SlidingEventTimeWindows.of(Time.milliseconds(600), Time.milliseconds(400))
    return (
        stage.source(splits, schema=SCHEMA, strategy=TIME)
        .key_by("k").window(windows)
        .agg(start=window_start(), n=count(), most=col("v").max(), total=col("v").sum())
        .select("k", col("start").cast("int64").alias("start"), "n", "most", "total")
    )  # fmt: skip


def slices_model():
    found = defaultdict(list)
    for r in NULL_KEYS:
        for start in windows_of(r["t"]):
            found[r["k"], start].append(r["v"])
    out = []
    for (key, start), values in found.items():
        some = [v for v in values if v is not None]
        out.append((key, start, len(values), max(some, default=None), sum(some) if some else None))
    return out


# -------------------------------------------------------------------------- whole streams; evictors


class Numbered(ProcessAllWindowFunction):
    """Numbers the windows by global state."""

    def process(self, context, elements):
        seen = context.global_state().get_state(ValueStateDescriptor("windows"))
        seen.update((seen.value() or 0) + 1)
        yield "all", seen.value(), context.window().start, sorted(elements)


class Newest(ProcessWindowFunction):
    """What an evictor has left."""

    def process(self, key, context, elements):
        yield "newest", key, context.window().start, list(elements)


def whole(stage):
    # A key's records, and so all of its windows, are in one split: their order is the model's.
    stream = stage.source(split_by_key(EVENTS, key_of, 3, 5), strategy=EVENT_TIME)
    windows = TumblingEventTimeWindows.of(Time.milliseconds(SIZE))
    everything = stream.window_all(windows)
    newest = stream.key_by(key_of).window(windows).evictor(CountEvictor.of(2))
    purged = stream.key_by(key_of).window(windows)
    purged.trigger(PurgingTrigger.of(EventTimeTrigger.create()))
    often = stream.key_by(key_of).window(windows).trigger(ContinuousEventTimeTrigger.of(250))
    total = lambda a, b: (a[0], a[1] + b[1], 0)  # noqa: E731
    return everything.process(Numbered()).union(
        stream.window_all(windows).sum(1).map(lambda r: ("sum", r[1])),
        newest.process(Newest()),
        purged.reduce(total).map(lambda r: ("purged", r[0], r[1])),
        # How often it fires depends on the watermarks; the last time it has everything.
        often.reduce(total, Last()),
    )


class Last(ProcessWindowFunction):
    """The result of the firing at the window's end."""

    def process(self, key, context, elements):
        window = context.window()
        if context.current_watermark() >= window.max_timestamp():
            state = context.window_state().get_state(ValueStateDescriptor("given"))
            if state.value() is None:
                state.update(True)
                yield "often", key, window.start, elements[0][1]

    def clear(self, context):
        context.window_state().get_state(ValueStateDescriptor("given")).clear()


def whole_model():
    out, by_start = [], defaultdict(list)
    for (key, start), records in grouped(EVENTS).items():
        by_start[start] += records
        total = sum(r[1] for r in records)
        out.append(("newest", key, start, records[-2:]))
        out.append(("purged", key, total))
        out.append(("often", key, start, total))
    for number, start in enumerate(sorted(by_start), 1):
        out.append(("all", number, start, sorted(by_start[start])))
        out.append(("sum", sum(r[1] for r in by_start[start])))
    return out


# --------------------------------------------------------------------------------------- partitions


class Tagged(MapPartitionFunction):
    """Each value of a partition."""

    def map_partition(self, values):
        for value in values:
            yield "part", value[1]


def partitions(stage):
    stream = stage.source(split_by_key(EVENTS, key_of, 3, 5), strategy=EVENT_TIME)
    keyed = stream.key_by(key_of)
    add = lambda a, b: (a[0], a[1] + b[1], max(a[2], b[2]))  # noqa: E731
    return stream.map(lambda r: ("seen", *r)).union(
        stream.full_window_partition().map_partition(Tagged()),
        stream.full_window_partition().reduce(add).map(lambda r: ("total", r[1])),
        keyed.full_window_partition().reduce(add).map(lambda r: ("key", *r)),
        keyed.full_window_partition().map_partition(Sorted()),
        keyed.full_window_partition()
        .sort_partition(2, Order.DESCENDING)
        .map(lambda r: ("down", *r)),
    )


class Sorted(MapPartitionFunction):
    """The times of a key in order."""

    def map_partition(self, values):
        values = list(values)
        yield "sorted", values[0][0], sorted(v[2] for v in values)


def partitions_model():
    out, of_key = [("total", sum(r[1] for r in EVENTS))], defaultdict(list)
    for record in EVENTS:
        out.append(("seen", *record))
        out.append(("part", record[1]))
        out.append(("down", *record))
        of_key[record[0]].append(record)
    for key, records in of_key.items():
        times = [r[2] for r in records]
        out.append(("key", key, sum(r[1] for r in records), max(times)))
        out.append(("sorted", key, sorted(times)))
    return out


def one_total(results):
    """How many subtasks give a part of the total depends on the parallelism."""
    total = [r[1] for r in results if r[0] == "total"]
    return [*(r for r in results if r[0] != "total"), ("total", sum(total))]


JOBS = [
    Golden("window_joins", joins, joins_model, backends=("rocksdb", "hashmap"), middle=0.05),
    Golden("column_joins", column_joins, column_joins_model, sink="parquet", middle=0.05,
           backends=("hashmap", "rocksdb"), from_checkpoint=True),
    Golden("columnar_slices", slices, slices_model, sink="parquet",
           backends=("rocksdb", "hashmap")),
    Golden("whole_windows", whole, whole_model, backends=("hashmap", "rocksdb"), middle=0.05),
    Golden("partitions", partitions, partitions_model, view=one_total, middle=0.05),
]  # fmt: skip

"""Jobs with windows over Python values, late records included."""

from collections import defaultdict

from lesto.common import OutputTag, Time, Types, WatermarkStrategy
from lesto.datastream import AggregateFunction, ProcessWindowFunction, WindowFunction
from lesto.datastream.state import ValueStateDescriptor
from lesto.datastream.window import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from tests.golden.harness import Golden, split_by_key
from tests.golden.row_jobs import EVENT_TIME, EVENTS


def key_of(record):
    return record[0]


class Mean(AggregateFunction):
    """Number and sum of the values."""

    def create_accumulator(self):
        return (0, 0)

    def add(self, value, accumulator):
        return (accumulator[0] + 1, accumulator[1] + value[1])

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        return (acc_a[0] + acc_b[0], acc_a[1] + acc_b[1])


class WithWindow(ProcessWindowFunction):
    """Adds kind, key and bounds; counts the windows of a key."""

    def __init__(self, kind):
        self.kind = kind

    def process(self, key, context, elements):
        seen = context.global_state().get_state(ValueStateDescriptor("windows", Types.LONG()))
        seen.update((seen.value() or 0) + 1)
        window = context.window()
        yield self.kind, key, window.start, window.end, seen.value(), list(elements)

    def clear(self, context):
        pass


class Values(WindowFunction):
    """All values of a window in the order they came."""

    def apply(self, key, window, inputs):
        return [("apply", key, window.start, [value[1] for value in inputs])]


def events(stage):
    source = stage.source(split_by_key(EVENTS, key_of, 3, 5), strategy=EVENT_TIME)
    return source.key_by(key_of)


def in_windows(windows_of):
    """Events by (key, start, end), in the order they came."""
    found = defaultdict(list)
    for record in EVENTS:
        for start, end in windows_of(record[2]):
            found[record[0], start, end].append(record)
    return found


# ---------------------------------------------------------------------------------------- tumbling


def tumbling(stage):
    windows = events(stage).window(TumblingEventTimeWindows.of(Time.milliseconds(700)))
    reduced = windows.reduce(
        lambda a, b: (a[0], a[1] + b[1], max(a[2], b[2])), WithWindow("reduce")
    )
    return reduced.union(
        windows.aggregate(Mean(), WithWindow("aggregate")), windows.apply(Values())
    )


def tumbling_model():
    out, number = [], defaultdict(int)
    found = in_windows(lambda t: [(t // 700 * 700, t // 700 * 700 + 700)])
    for (key, start, end), records in sorted(found.items(), key=lambda item: item[0][1]):
        number[key] += 1
        values = [r[1] for r in records]
        folded = (key, sum(values), max(r[2] for r in records))
        out.append(("reduce", key, start, end, number[key], [folded]))
        out.append(("aggregate", key, start, end, number[key], [(len(values), sum(values))]))
        out.append(("apply", key, start, values))
    return out


# ----------------------------------------------------------------------------------------- sliding


def sliding(stage):
    windows = events(stage).window(
        SlidingEventTimeWindows.of(
            Time.milliseconds(2_000), Time.milliseconds(500), Time.milliseconds(130)
        )
    )
    return windows.process(WithWindow("process")).union(
        windows.reduce(lambda a, b: (a[0], a[1] + b[1], 0)).map(lambda r: ("sum", r[0], r[1]))
    )


def sliding_windows_of(time):
    last = (time - 130) // 500 * 500 + 130
    return [(start, start + 2_000) for start in range(last, time - 2_000, -500)]


def sliding_model():
    out, number = [], defaultdict(int)
    found = in_windows(sliding_windows_of)
    for (key, start, end), records in sorted(found.items(), key=lambda item: item[0][1]):
        number[key] += 1
        out.append(("process", key, start, end, number[key], records))
        out.append(("sum", key, sum(r[1] for r in records)))
    return out


# ---------------------------------------------------------------------------------------- sessions

GAP = 130


def sessions(stage):
    windows = events(stage).window(EventTimeSessionWindows.with_gap(Time.milliseconds(GAP)))
    return windows.aggregate(Mean(), WithWindow("aggregate")).union(
        windows.process(WithWindow("process")).map(lambda r: (*r[:5], sorted(r[5])))
    )


def session_groups():
    """(key, start, end, records by time) of every session."""
    by_key = defaultdict(list)
    for record in EVENTS:
        by_key[record[0]].append(record)
    for key, records in by_key.items():
        records.sort(key=lambda r: r[2])
        group = [records[0]]
        for record in records[1:]:
            if record[2] > group[-1][2] + GAP:  # windows that only touch are one
                yield key, group[0][2], group[-1][2] + GAP, group
                group = []
            group.append(record)
        yield key, group[0][2], group[-1][2] + GAP, group


def sessions_model():
    out, number = [], defaultdict(int)
    for key, start, end, group in session_groups():
        number[key] += 1
        total = (len(group), sum(r[1] for r in group))
        out.append(("aggregate", key, start, end, number[key], [total]))
        out.append(("process", key, start, end, number[key], sorted(group)))
    return out


# ----------------------------------------------------------------------------- late, and too late

PERIODS = 60
SIZE = 1_000
LATENESS = 2_000
LATE = OutputTag("late")


def late_batches():
    """In turn a batch in time, which moves the watermark, and one up to eight periods late."""
    out, number = [], 0
    for period in range(PERIODS):
        base = period * SIZE - 20_000
        in_time = [(k, number + i, base + 990 + i) for i, k in enumerate("abc")]
        number += 10
        late = [
            ("abcd"[(period + d) % 4], number + d, base - d * SIZE + 5) for d in (0, 1, 2, 3, 5, 8)
        ]
        number += 10
        out += [in_time, late]
    return out


LATE_TIME = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(
    lambda record, _: record[2]
)


def late(stage):
    # One subtask: a second one, without a split, holds back event time until it has ended.
    keyed = stage.source([late_batches()], strategy=LATE_TIME).set_parallelism(1).key_by(key_of)
    results = (
        keyed.window(TumblingEventTimeWindows.of(Time.milliseconds(SIZE)))
        .allowed_lateness(LATENESS)
        .side_output_late_data(LATE)
        .aggregate(Mean(), Bounds())
    )
    return results.union(results.get_side_output(LATE).map(lambda r: ("late", *r)))


class Bounds(ProcessWindowFunction):
    """Key, start, and the one element."""

    def process(self, key, context, elements):
        (element,) = elements
        yield "window", key, context.window().start, *element


def late_model():
    """Record by record; the watermark follows each batch and fires what it passes."""
    out, contents, fired, watermark = [], {}, set(), -(2**63)
    for batch in late_batches():
        for key, value, time in batch:
            start = time // SIZE * SIZE
            last = start + SIZE - 1
            if last + LATENESS <= watermark:
                out.append(("late", key, value, time))
                continue
            number, total = contents.get((key, start), (0, 0))
            contents[key, start] = (number + 1, total + value)
            if last <= watermark:
                fired.add((key, start))
                out.append(("window", key, start, *contents[key, start]))
        watermark = max(watermark, max(r[2] for r in batch) - 1)
        out += _fire(contents, fired, watermark)
    return out + _fire(contents, fired, 2**63)


def _fire(contents, fired, watermark):
    found = []
    for (key, start), (number, total) in contents.items():
        if start + SIZE - 1 <= watermark and (key, start) not in fired:
            fired.add((key, start))
            found.append(("window", key, start, number, total))
    return found


# ---------------------------------------------------------------------------- by number of records


def counted(stage):
    source = stage.source(split_by_key(EVENTS, key_of, 3, 5)).key_by(key_of)
    sevens = source.count_window(7).reduce(lambda a, b: (a[0], a[1] + b[1], 0))
    last_six = source.count_window(6, 2).apply(LastSix())
    return sevens.map(lambda r: ("seven", r[0], r[1])).union(last_six)


class LastSix(WindowFunction):
    """All values of a window."""

    def apply(self, key, window, inputs):
        return [("six", key, [value[1] for value in inputs])]


def counted_model():
    out, of_key = [], defaultdict(list)
    for key, value, _ in EVENTS:
        values = of_key[key]
        values.append(value)
        if len(values) % 7 == 0:
            out.append(("seven", key, sum(values[-7:])))
        if len(values) % 2 == 0 and len(values) >= 6:  # as in PyFlink, only whole windows
            out.append(("six", key, values[-6:]))
    return out


#: A watermark may wait with the records gathered before it; unless nothing is ever gathered.
AT_ONCE = {"execution.buffer-timeout.interval": "0 ms"}

JOBS = [
    Golden("tumbling", tumbling, tumbling_model, backends=("rocksdb", "rocksdb"), collect=True),
    Golden("sliding", sliding, sliding_model, backends=("hashmap", "rocksdb"),
           from_checkpoint=True),
    Golden("sessions", sessions, sessions_model, backends=("rocksdb", "hashmap"), collect=True),
    Golden("late", late, late_model, hold=0.6, at_hold=True, pause_ms=4, middle=0.1,
           options=AT_ONCE),
    Golden("late_rocksdb", late, late_model, hold=0.3, at_hold=True, pause_ms=2, middle=0.05,
           backends=("rocksdb", "rocksdb"), options=AT_ONCE),
    Golden("counted", counted, counted_model, backends=("rocksdb", "rocksdb"), max_parallelism=7),
]  # fmt: skip

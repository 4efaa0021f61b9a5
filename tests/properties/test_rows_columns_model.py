"""One job in three forms gives the same: functions of records, columns, and a plain model.

Records are random, out of order and, for windows with lateness, late; parallelism is 1 to 3. The
model is single-threaded Python over lists. Each example runs two real jobs on a cluster.
"""

from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_profiles import examples
from window_model import Model

from lesto.common import OutputTag, Time, Types, WatermarkStrategy, col, lit
from lesto.common.expressions import count, window_start
from lesto.datastream import AggregateFunction, ProcessWindowFunction
from lesto.datastream.window import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from tests.golden.gated_source import GatedSource
from tests.golden.harness import environment
from tests.golden.window_jobs import AT_ONCE

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.leaks_ok("one cluster serves all of these tests"),
]

SCHEMA = pa.schema([("k", pa.string()), ("v", pa.int64()), ("t", pa.int64())])
SIZE, SLIDE, GAP, LATENESS, BAND = 10, 5, 4, 7, 6
#: More than any two times are apart: nothing is late.
NO_DISORDER_IS_TOO_MUCH = 1_000
_record = st.tuples(st.sampled_from("abcd"), st.integers(-50, 50), st.integers(-20, 60))
BATCHES = st.lists(st.lists(_record, min_size=1, max_size=8), min_size=1, max_size=6)
PARALLELISM = st.integers(1, 3)
try_some = settings(
    max_examples=examples(5),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def env_of(cluster, parallelism):
    return environment(cluster, parallelism=parallelism, **AT_ONCE)


def source(env, batches, delay, *, columns, name="source"):
    """A stream of one split; its watermark follows each batch."""
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(delay)
    if columns:
        splits = [[[dict(zip("kvt", r, strict=True)) for r in batch] for batch in batches]]
        made = GatedSource(splits, schema=SCHEMA)
        strategy = strategy.with_timestamp_column("t")
    else:
        made = GatedSource([batches])
        strategy = strategy.with_timestamp_assigner(lambda record, _: record[2])
    return env.from_source(made, strategy, name).set_parallelism(1)


def results(streams):
    """All records of the streams, in the order of each key."""
    first, *others = streams
    with (first.union(*others) if others else first).execute_and_collect("agreeing") as rows:
        return [tuple(row) for row in rows]


def flat(batches):
    return [record for batch in batches for record in batch]


# ------------------------------------------------------------- without state, by row and by batch


def mapped_model(batches):
    return [("map", k, v * 2 + t) for k, v, t in flat(batches) if v % 3]


def by_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    value = pc.add(pc.multiply(batch.column("v"), 2), batch.column("t"))
    return pa.RecordBatch.from_arrays([batch.column("k"), value], ["k", "x"])


def not_by_three(v: np.ndarray) -> np.ndarray:
    return v % 3 != 0


@given(batches=BATCHES, parallelism=PARALLELISM)
@try_some
def test_map_and_filter(cluster, batches, parallelism):
    wanted = Counter(mapped_model(batches))
    env = env_of(cluster, parallelism)
    rows = source(env, batches, 0, columns=False).rebalance()
    by_row = rows.filter(lambda r: r[1] % 3 != 0).map(lambda r: ("map", r[0], r[1] * 2 + r[2]))
    assert Counter(results([by_row])) == wanted

    env = env_of(cluster, parallelism)
    columns = source(env, batches, 0, columns=True).rebalance()
    expressions = columns.filter(col("v") % 3 != 0).select("k", x=col("v") * 2 + col("t"))
    functions = columns.filter(not_by_three).map(by_batch)
    tagged = [s.map(lambda r: ("map", r.k, r.x)) for s in (expressions, functions)]
    assert Counter(results(tagged)) == Counter({key: 2 * n for key, n in wanted.items()})


# ------------------------------------------------------------------------------ running aggregates


def running_model(batches):
    """Per key, in order: the reduction and the sum so far."""
    out, reduced, first, total = defaultdict(list), {}, {}, defaultdict(int)
    for k, v, t in flat(batches):
        before = reduced.get(k)
        reduced[k] = (k, v, t) if before is None else (k, before[1] + v, max(before[2], t))
        out["reduce", k].append(reduced[k][1:])
        first.setdefault(k, t)
        total[k] += v
        out["sum", k].append((total[k], first[k]))
    return dict(out)


def per_key(rows):
    out = defaultdict(list)
    for tag, key, *values in rows:
        out[tag, key].append(tuple(values))
    return dict(out)


@given(batches=BATCHES, parallelism=PARALLELISM)
@try_some
def test_running_reduce_and_sum(cluster, batches, parallelism):
    wanted = running_model(batches)
    env = env_of(cluster, parallelism)
    keyed = source(env, batches, 0, columns=False).key_by(lambda r: r[0])
    reduced = keyed.reduce(lambda a, b: (a[0], a[1] + b[1], max(a[2], b[2])))
    streams = [reduced.map(lambda r: ("reduce", *r)), keyed.sum(1).map(lambda r: ("sum", *r))]
    assert per_key(results(streams)) == wanted

    env = env_of(cluster, parallelism)
    keyed = source(env, batches, 0, columns=True).key_by("k")
    running = keyed.agg(v=col("v").sum(), t=col("t").max()).select("k", "v", "t")
    streams = [
        running.map(lambda r: ("reduce", r.k, r.v, r.t)),
        keyed.sum("v").map(lambda r: ("sum", r.k, r.v, r.t)),
    ]
    assert per_key(results(streams)) == wanted


# ------------------------------------------------------------------------------------ windows


class CountAndSum(AggregateFunction):
    def create_accumulator(self):
        return 0, 0

    def add(self, value, accumulator):
        return accumulator[0] + 1, accumulator[1] + value[1]

    def get_result(self, accumulator):
        return accumulator

    def merge(self, a, b):
        return a[0] + b[0], a[1] + b[1]


class Tagged(ProcessWindowFunction):
    def __init__(self, tag):
        self.tag = tag

    def process(self, key, context, elements):
        (element,) = elements
        yield self.tag, key, context.window().start, *element


def sliding(time):
    last = time - time % SLIDE
    return [(start, start + SIZE) for start in range(last, time - SIZE, -SLIDE)]


def tumbling(time):
    start = time - time % SIZE
    return [(start, start + SIZE)]


def windows_model(batches, delay):
    """Record by record; the watermark follows each batch."""
    out = []
    for tag, model in (
        ("tumbling", Model(windows_of=tumbling)),
        ("sliding", Model(windows_of=sliding)),
        ("session", Model(gap=GAP)),
    ):
        highest = -(2**63)
        for batch in batches:
            for k, v, t in batch:
                model.record(k, v, t)
            highest = max(highest, *(t for _, _, t in batch))
            model.advance(highest - delay - 1)
        model.advance(2**63 - 1)
        out += [(tag, k, start, len(vs), sum(vs)) for k, start, _, vs in model.fired]
    return Counter(out)


ASSIGNERS = {
    "tumbling": lambda: TumblingEventTimeWindows.of(Time.milliseconds(SIZE)),
    "sliding": lambda: SlidingEventTimeWindows.of(
        Time.milliseconds(SIZE), Time.milliseconds(SLIDE)
    ),
    "session": lambda: EventTimeSessionWindows.with_gap(Time.milliseconds(GAP)),
}


def column_windows(keyed, tag, lateness=0, late=None):
    windows = keyed.window(ASSIGNERS[tag]())
    if lateness:
        windows = windows.allowed_lateness(lateness).side_output_late_data(late)
    return windows.agg(start=window_start(), n=count(), total=col("v").sum()).with_columns(
        start=col("start").cast("int64"), tag=lit(tag)
    )


def as_tuples(stream):
    return stream.map(lambda r: (r.tag, r.k, r.start, r.n, r.total))


@given(batches=BATCHES, parallelism=PARALLELISM, delay=st.sampled_from([0, 10, 100]))
@try_some
def test_windows_out_of_order(cluster, batches, parallelism, delay):
    wanted = windows_model(batches, delay)
    env = env_of(cluster, parallelism)
    keyed = source(env, batches, delay, columns=False).key_by(lambda r: r[0])
    streams = [
        keyed.window(make()).aggregate(CountAndSum(), Tagged(tag))
        for tag, make in ASSIGNERS.items()
    ]
    assert Counter(results(streams)) == wanted

    env = env_of(cluster, parallelism)
    keyed = source(env, batches, delay, columns=True).key_by("k")
    assert Counter(results([as_tuples(column_windows(keyed, t)) for t in ASSIGNERS])) == wanted


def late_model(batches):
    """What each window has at last, and what was too late."""
    contents, late, watermark = defaultdict(list), [], -(2**63)
    for batch in batches:
        for k, v, t in batch:
            ((start, end),) = tumbling(t)
            if end - 1 + LATENESS <= watermark:
                late.append(("late", k, v, t))
            else:
                contents[k, start].append(v)
        watermark = max(watermark, *(t - 1 for _, _, t in batch))
    windows = {key: (len(vs), sum(vs)) for key, vs in contents.items()}
    return windows, Counter(late)


def last_of_each(rows):
    """The last result of each window, and what was too late."""
    windows = {(k, start): (n, total) for tag, k, start, n, total in pick(rows, "tumbling")}
    return windows, Counter(pick(rows, "late"))


def pick(rows, tag):
    return [row for row in rows if row[0] == tag]


@given(batches=BATCHES, parallelism=PARALLELISM)
@try_some
def test_windows_with_lateness(cluster, batches, parallelism):
    wanted = late_model(batches)
    env = env_of(cluster, parallelism)
    late = OutputTag("late")
    windows = (
        source(env, batches, 0, columns=False)
        .key_by(lambda r: r[0])
        .window(ASSIGNERS["tumbling"]())
        .allowed_lateness(LATENESS)
        .side_output_late_data(late)
        .aggregate(CountAndSum(), Tagged("tumbling"))
    )
    side = windows.get_side_output(late).map(lambda r: ("late", *r))
    assert last_of_each(results([windows, side])) == wanted

    env = env_of(cluster, parallelism)
    types = [Types.STRING(), Types.LONG(), Types.LONG()]
    late = OutputTag("late", Types.ROW_NAMED(["k", "v", "t"], types))
    keyed = source(env, batches, 0, columns=True).key_by("k")
    windows = keyed.window(ASSIGNERS["tumbling"]()).allowed_lateness(LATENESS)
    windows = windows.side_output_late_data(late).agg(
        start=window_start(), n=count(), total=col("v").sum()
    )
    side = windows.get_side_output(late).map(lambda r: ("late", r.k, r.v, r.t))
    found = windows.with_columns(start=col("start").cast("int64"), tag=lit("tumbling"))
    assert last_of_each(results([as_tuples(found), side])) == wanted


# -------------------------------------------------------------------------------------- joins


def join_model(left, right):
    out = Counter()
    for (k1, v1, t1), (k2, v2, t2) in product(flat(left), flat(right)):
        if k1 != k2:
            continue
        if tumbling(t1) == tumbling(t2):
            out["window", k1, v1, v2] += 1
        if -BAND <= t2 - t1 <= BAND:
            out["interval", k1, v1, v2] += 1
    return out


@given(left=BATCHES, right=BATCHES, parallelism=PARALLELISM)
@try_some
def test_window_join_and_interval_join(cluster, left, right, parallelism):
    wanted = join_model(left, right)
    env = env_of(cluster, parallelism)
    delay = NO_DISORDER_IS_TOO_MUCH
    a = source(env, left, delay, columns=False, name="left")
    b = source(env, right, delay, columns=False, name="right")
    windows = a.join(b).where(lambda r: r[0]).equal_to(lambda r: r[0])
    joined = windows.window(ASSIGNERS["tumbling"]()).apply(
        lambda x, y: ("window", x[0], x[1], y[1])
    )
    near = a.key_by(lambda r: r[0]).interval_join(b.key_by(lambda r: r[0]))
    near = near.between(-BAND, BAND).apply(lambda x, y: ("interval", x[0], x[1], y[1]))
    assert Counter(results([joined, near])) == wanted

    env = env_of(cluster, parallelism)
    a = source(env, left, delay, columns=True, name="left")
    b = source(env, right, delay, columns=True, name="right")
    joined = a.join(b).where("k").equal_to("k").window(ASSIGNERS["tumbling"]()).columns("_right")
    near = a.key_by("k").interval_join(b.key_by("k")).between(-BAND, BAND)
    near = near.join(suffixes=("", "_right"))
    streams = [
        joined.map(lambda r: ("window", r.k, r.v, r.v_right)),
        near.map(lambda r: ("interval", r.k, r.v, r.v_right)),
    ]
    assert Counter(results(streams)) == wanted

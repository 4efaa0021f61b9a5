"""Jobs of functions that await, and of sources in plain Python."""

import asyncio
import random
from collections import defaultdict

from lesto.common import WatermarkStrategy
from lesto.common.time import Duration
from lesto.connectors.hybrid import HybridSource
from lesto.connectors.plain import PlainSource
from lesto.datastream import (
    AsyncDataStream,
    AsyncFunction,
    AsyncRetryStrategy,
    KeyedProcessFunction,
    MapFunction,
)
from lesto.datastream.state import (
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from tests.golden.gated_source import GatedSource
from tests.golden.harness import Brake, Golden, batches, deal, split_by_key

_random = random.Random(17)
LATENCIES = [_random.choice((0, 0, 0.001, 0.004)) for _ in range(101)]


def latency(number):
    """Seconds that the request for a number takes."""
    return LATENCIES[number % len(LATENCIES)]


# ------------------------------------------------------------------- as they come, with watermarks

TIMED = [(i, 10 * i - _random.randint(0, 200)) for i in range(700)]


class Twice(AsyncFunction):
    """Some requests fail once, some take too long for their time limit."""

    async def open(self, runtime_context):
        self.failed = set()

    async def async_invoke(self, value):
        number, time = value
        await asyncio.sleep(latency(number))
        if number % 7 == 0 and number not in self.failed:
            self.failed.add(number)
            raise ConnectionError(number)
        if number % 233 == 3:
            await asyncio.sleep(60)
        return [(number, time, copy) for copy in range(number % 3)]

    def timeout(self, value):
        return [(*value, "late")]


def unordered(stage):
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(
        Duration.of_millis(200)
    ).with_timestamp_assigner(lambda value, _: value[1])
    retry = AsyncRetryStrategy.fixed_delay(3, 5, None, lambda e: isinstance(e, ConnectionError))
    answers = AsyncDataStream.unordered_wait_with_retry(
        stage.source(deal(TIMED, 3, 7), strategy=strategy), Twice(), 400, retry, capacity=9
    )
    # A result that had been passed by a watermark would be late in the window.
    from lesto.datastream.window import TumblingEventTimeWindows

    return (
        answers.key_by(lambda r: r[0] % 3)
        .window(TumblingEventTimeWindows.of(Duration.of_millis(1_000)))
        .process(_window())
    )


def _window():
    from lesto.datastream import ProcessWindowFunction

    class Numbers(ProcessWindowFunction):
        """What is in a window."""

        def process(self, key, context, elements):
            yield key, context.window().start, sorted(elements, key=repr)

    return Numbers()


def unordered_model():
    windows = defaultdict(list)
    for number, time in TIMED:
        results = [(number, time, copy) for copy in range(number % 3)]
        if number % 233 == 3:
            results = [(number, time, "late")]
        for result in results:
            windows[number % 3, time // 1_000 * 1_000].append(result)
    return [(*window, sorted(found, key=repr)) for window, found in windows.items()]


# ------------------------------------------------------------------------------------- in order

WORDS = [f"w{i}" for i in range(600)]


async def lookup(value):
    await asyncio.sleep(latency(int(value[1:])))
    return value.upper()


async def spread(value):
    await asyncio.sleep(latency(int(value[1:])))
    for copy in range(int(value[1:]) % 3):
        yield value, copy


async def wanted(pair):
    await asyncio.sleep(0)
    return pair[1] != 1


def awaited(stage):
    return (
        stage.source(deal(WORDS, 2, 5))
        .map(lookup, capacity=7)
        .flat_map(spread)
        .disable_chaining()
        .filter(wanted, capacity=50)
    )


def awaited_model():
    return [(w.upper(), c) for w in WORDS for c in range(int(w[1:]) % 3) if c != 1]


# -------------------------------------------------------------------------- with state of the key

NUMBERS = [(f"k{_random.randint(0, 20)}", i) for i in range(800)]


class History(KeyedProcessFunction):
    """All kinds of state; the order of a key's records shows in each result."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", None))
        self.last = runtime_context.get_list_state(ListStateDescriptor("last", None))
        self.seen = runtime_context.get_map_state(MapStateDescriptor("seen", None, None))
        self.most = runtime_context.get_reducing_state(ReducingStateDescriptor("most", max, None))

    async def process_element(self, value, ctx):
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        await asyncio.sleep(latency(value[1]))
        self.last.add(value[1])
        if len(list(self.last)) > 3:
            self.last.update(list(self.last)[1:])
        await asyncio.sleep(latency(value[1] + 1))
        tens = value[1] // 100
        self.seen[tens] = (self.seen[tens] or 0) + 1
        most = self.most.get()
        self.most.add(value[1] % 97)
        return [(ctx.get_current_key(), count, list(self.last), sorted(self.seen.items()), most)]


def history(stage):
    return (
        stage.source(split_by_key(NUMBERS, lambda r: r[0], 2, 7))
        .key_by(lambda r: r[0])
        .process(History(), capacity=11)
    )


def history_model():
    counts, lasts, seen, most, out = defaultdict(int), {}, {}, {}, []
    for key, number in NUMBERS:
        counts[key] += 1
        lasts[key] = [*lasts.get(key, []), number][-3:]
        tens = seen.setdefault(key, defaultdict(int))
        tens[number // 100] += 1
        before = most.get(key)
        out.append((key, counts[key], list(lasts[key]), sorted(tens.items()), before))
        most[key] = number % 97 if before is None else max(before, number % 97)
    return out


# ------------------------------------------------------------------------- timers of the event time

ALARMS = [(f"k{i % 5}", i * 20) for i in range(600)]


class Alarms(KeyedProcessFunction):
    """Sums a key's numbers until the timer of their second."""

    def open(self, runtime_context):
        self.sum = runtime_context.get_map_state(MapStateDescriptor("sum", None, None))

    async def process_element(self, value, ctx):
        end = value[1] // 1_000 * 1_000 + 999
        await asyncio.sleep(latency(value[1] // 20))
        self.sum[end] = (self.sum[end] or 0) + value[1]
        ctx.timer_service().register_event_time_timer(end)

    def on_timer(self, timestamp, ctx):
        yield ctx.get_current_key(), timestamp, self.sum[timestamp]
        self.sum.remove(timestamp)


def async_alarms(stage):
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(
        lambda value, _: value[1]
    )
    splits = split_by_key(ALARMS, lambda r: r[0], 2, 6)
    return stage.source(splits, strategy=strategy).key_by(lambda r: r[0]).process(Alarms())


def async_alarms_model():
    sums = defaultdict(int)
    for key, time in ALARMS:
        sums[key, time // 1_000 * 1_000 + 999] += time
    return [(*window, total) for window, total in sums.items()]


# ---------------------------------------------------------------------------------------- sources


class Pages(PlainSource):
    """Numbers in parts of uneven length."""

    def parts(self):
        return [str(i) for i in range(7)]

    def read(self, part, position, limit):
        start = (position or {"next": 0})["next"]
        page = [(part, n) for n in range(start, min(start + 4, 20 * int(part)))]
        return page, {"next": start + len(page)}


class Running(MapFunction):
    """The parts' records in order: each number follows the one before."""

    def open(self, runtime_context):
        self.next = runtime_context.get_state(ValueStateDescriptor("next", None))

    def map(self, value):
        expected = self.next.value() or 0
        self.next.update(expected + 1)
        return value, expected == value[1]


def pages(stage):
    stream = stage.env.from_source(Pages(), WatermarkStrategy.no_watermarks(), "pages")
    return stream.filter(Brake(stage, 2)).key_by(lambda r: r[0]).map(Running())


def pages_model():
    return [((str(i), n), True) for i in range(7) for n in range(20 * i)]


PAST = [(f"k{i % 6}", i) for i in range(200)]
PRESENT = [(f"k{i % 6}", i) for i in range(200, 600)]


def _phases(stage, held):
    """Both with a gate; the one that is held is where the job is stopped."""
    gated = []
    for number, records in enumerate((PAST, PRESENT)):
        hold = stage.hold if number == held else None
        splits = [batches(records[i::3], 4) for i in range(3)]
        gated.append(GatedSource(splits, hold=hold, pause_ms=stage.pause_ms))
    source = HybridSource(*gated)
    return stage.env.from_source(source, WatermarkStrategy.no_watermarks(), "hybrid")


class Phases(MapFunction):
    """Whether any of the past came behind the present, within a key."""

    def open(self, runtime_context):
        self.live = runtime_context.get_state(ValueStateDescriptor("live", None))

    def map(self, value):
        live = value[1] >= len(PAST)
        wrong = bool(self.live.value()) and not live
        self.live.update(bool(self.live.value()) or live)
        return (*value, wrong)


def in_past(stage):
    return _phases(stage, 0).key_by(lambda r: r[0]).map(Phases())


def in_present(stage):
    return _phases(stage, 1).key_by(lambda r: r[0]).map(Phases())


def phases_model():
    return [(*record, False) for record in PAST + PRESENT]


JOBS = [
    Golden("async_unordered", unordered, unordered_model, from_checkpoint=True),
    Golden("async_functions", awaited, awaited_model, collect=True),
    Golden("async_state", history, history_model, backends=("rocksdb", "hashmap")),
    Golden("async_alarms", async_alarms, async_alarms_model, backends=("hashmap", "rocksdb")),
    Golden("plain_source", pages, pages_model, from_checkpoint=True,
           options={"taskmanager.batch.rows": "8"}),
    Golden("hybrid_past", in_past, phases_model, middle=0.1, at_hold=False, pause_ms=4),
    Golden("hybrid_present", in_present, phases_model, middle=0.4, pause_ms=4),
]  # fmt: skip

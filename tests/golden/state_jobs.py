"""Jobs with typed state, state that expires by event time, and aligned sources."""

from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import BaseModel

from lesto.common import Time, Types, WatermarkStrategy
from lesto.datastream import KeyedProcessFunction
from lesto.datastream.state import (
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from lesto.datastream.window import TumblingEventTimeWindows
from tests.golden.harness import Golden, split_by_key

KEYS = 7
RECORDS = 300


@dataclass
class Line:
    """A part of an account."""

    at: int
    amounts: list[int]


@dataclass
class Account:
    """Value state: records in records."""

    owner: str
    total: float = 0.0
    last: Line | None = None
    lines: dict[str, Line] = field(default_factory=dict)


class Seen(NamedTuple):
    """Elements of list state."""

    number: int
    text: str


class Note(BaseModel):
    """Values of map state."""

    times: int
    even: bool


TYPED = [(f"key {n * n % KEYS}", n) for n in range(RECORDS)]


class Accounts(KeyedProcessFunction):
    """Keeps typed state of each kind, and yields a digest of it."""

    def open(self, runtime_context):
        self.account = runtime_context.get_state(ValueStateDescriptor("account", Account))
        self.seen = runtime_context.get_list_state(ListStateDescriptor("seen", Seen))
        self.notes = runtime_context.get_map_state(MapStateDescriptor("notes", int, Note))

    def process_element(self, value, ctx):
        key, n = value
        account = self.account.value() or Account(key)
        account.total += n
        account.last = Line(n, [n, n + 1])
        account.lines[str(n % 3)] = account.last
        self.account.update(account)
        self.seen.add(Seen(n, str(n)))
        note = self.notes.get(n % 4) or Note(times=0, even=n % 2 == 0)
        self.notes.put(n % 4, Note(times=note.times + 1, even=note.even))
        yield digest(account, list(self.seen), dict(self.notes.items()))


def digest(account, seen, notes):
    lines = sorted((name, line.at, tuple(line.amounts)) for name, line in account.lines.items())
    last = account.last
    return (
        account.owner,
        account.total,
        (last.at, tuple(last.amounts)),
        tuple(lines),
        tuple((type(s).__name__, s.number, s.text) for s in seen[-3:]),
        len(seen),
        tuple(sorted((k, note.times, note.even) for k, note in notes.items())),
    )


def typed(stage):
    source = stage.source(split_by_key(TYPED, lambda r: r[0], 4, 5))
    return source.key_by(lambda r: r[0]).process(Accounts()).uid("accounts")


def typed_model():
    found, accounts, seen, notes = [], {}, {}, {}
    for key, n in TYPED:
        account = accounts.setdefault(key, Account(key))
        account.total += n
        account.last = Line(n, [n, n + 1])
        account.lines[str(n % 3)] = account.last
        seen.setdefault(key, []).append(Seen(n, str(n)))
        note = notes.setdefault(key, {}).get(n % 4) or Note(times=0, even=n % 2 == 0)
        notes[key][n % 4] = Note(times=note.times + 1, even=note.even)
        found.append(digest(account, seen[key], notes[key]))
    return found


# --------------------------------------------------------------------- time-to-live by event time

TTL_MS = 1_000


def _gaps():
    """Each key's records in bursts: some gaps are just short of the time-to-live, some as long."""
    times = dict.fromkeys(range(KEYS), 0)
    for n in range(RECORDS):
        key = n * n % KEYS
        times[key] += (1, 400, TTL_MS - 1, TTL_MS, 5 * TTL_MS)[n % 5]
        yield f"key {key}", times[key], n


EXPIRING = list(_gaps())
IN_ORDER = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(lambda r, _: r[1])


class Sessions(KeyedProcessFunction):
    """State of each kind that a silence of a second wipes out."""

    def open(self, runtime_context):
        ttl = StateTtlConfig.new_builder(Time.milliseconds(TTL_MS)).use_event_time().build()
        value = ValueStateDescriptor("count", Types.LONG())
        items = ListStateDescriptor("items", Types.LONG())
        by_digit = MapStateDescriptor("digits", Types.LONG(), Types.LONG())
        total = ReducingStateDescriptor("total", lambda a, b: a + b, Types.LONG())
        for descriptor in (value, items, by_digit, total):
            descriptor.enable_time_to_live(ttl)
        self.count = runtime_context.get_state(value)
        self.items = runtime_context.get_list_state(items)
        self.digits = runtime_context.get_map_state(by_digit)
        self.total = runtime_context.get_reducing_state(total)

    def process_element(self, value, ctx):
        key, time, n = value
        self.count.update((self.count.value() or 0) + 1)
        self.items.add(n)
        self.digits.put(n % 3, n)
        self.total.add(n)
        digits = tuple(sorted(self.digits.items()))
        yield key, time, self.count.value(), tuple(self.items), digits, self.total.get()


def expiring(stage):
    source = stage.source(split_by_key(EXPIRING, lambda r: r[0], 4, 5), strategy=IN_ORDER)
    return source.key_by(lambda r: r[0]).process(Sessions()).uid("sessions")


def expiring_model():
    found, kept = [], {}
    for key, time, n in EXPIRING:
        state = kept.setdefault(
            key, {"count": (-TTL_MS, 0), "total": (-TTL_MS, 0), "l": [], "m": {}}
        )

        def live(pair, time=time):
            return pair[1] if pair[0] + TTL_MS > time else 0

        state["count"] = (time, live(state["count"]) + 1)
        state["total"] = (time, live(state["total"]) + n)
        state["l"] = [*(i for i in state["l"] if i[0] + TTL_MS > time), (time, n)]
        state["m"] = {k: v for k, v in state["m"].items() if v[0] + TTL_MS > time}
        state["m"][n % 3] = (time, n)
        found.append(
            (
                key,
                time,
                state["count"][1],
                tuple(n for _, n in state["l"]),
                tuple(sorted((k, n) for k, (_, n) in state["m"].items())),
                state["total"][1],
            )
        )
    return found


# ------------------------------------------------------------------------- event time and alignment

ALIGNED = IN_ORDER.with_watermark_alignment("pair", "2 s", "20 ms")


def aligned(stage):
    """Two aligned sources of unequal speed; event time is assigned again behind one of them."""
    quick = stage.source(
        split_by_key(EXPIRING, lambda r: r[0], 2, 4), strategy=ALIGNED, name="quick"
    )
    slow = stage.source(split_by_key(EXPIRING, lambda r: r[0], 3, 9), strategy=ALIGNED, name="slow")
    again = slow.map(lambda r: (r[0], r[1] + 1, r[2]))
    windows = (
        quick.union(again)
        .assign_timestamps_and_watermarks(
            WatermarkStrategy.for_bounded_out_of_orderness(Time.days(1)).with_timestamp_assigner(
                lambda r, _: r[1]
            )
        )
        .key_by(lambda r: r[0])
        .window(TumblingEventTimeWindows.of(Time.seconds(3)))
        .reduce(lambda a, b: (a[0], max(a[1], b[1]), a[2] + b[2]))
        .uid("windows")
    )
    return quick.map(lambda r: ("read", r[1], r[2])).union(windows)


def aligned_model():
    windows = {}
    for key, time, n in EXPIRING:
        for at in (time, time + 1):
            place = key, at // 3_000
            old = windows.get(place)
            new = (key, at, n) if old is None else (key, max(old[1], at), old[2] + n)
            windows[place] = new
    return [*windows.values(), *(("read", time, n) for _, time, n in EXPIRING)]


JOBS = [
    Golden("typed", typed, typed_model, backends=("rocksdb", "rocksdb"), from_checkpoint=True),
    Golden("typed_across", typed, typed_model, backends=("hashmap", "rocksdb")),
    Golden("expiring", expiring, expiring_model, backends=("rocksdb", "hashmap")),
    Golden("aligned", aligned, aligned_model, middle=0.05),
]

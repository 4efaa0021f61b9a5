"""Nexmark's events: their proportions and shapes, the same at any parallelism and after a stop."""

import pickle

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lesto.common.source import Boundedness, NoData, SourceBatch
from lesto.connectors.errors import (
    ConnectorConfigError,
    InvalidTableOptionError,
    SchemaMismatchError,
    UnsupportedTableUseError,
)
from lesto.connectors.nexmark.config import NexmarkConfig
from lesto.connectors.tables.factory import check_options
from lesto.sql import types as t
from lesto.sql.builder import call, literal
from lesto.sql.expressions import InputRef
from tests.unit.connectors.contexts import EnumeratorContext, ReaderContext, all_splits, read
from tests.unit.connectors.table_helpers import fields, scan

COLUMNS = """
event_type INT
person ROW<id BIGINT, name STRING, emailAddress STRING, creditCard STRING, city STRING, state STRING, `dateTime` TIMESTAMP(3), extra STRING>
auction ROW<id BIGINT, itemName STRING, description STRING, initialBid BIGINT, reserve BIGINT, `dateTime` TIMESTAMP(3), expires TIMESTAMP(3), seller BIGINT, category BIGINT, extra STRING>
bid ROW<auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, `dateTime` TIMESTAMP(3), extra STRING>
"""  # noqa: E501
NAMES = ["event_type", "person", "auction", "bid"]
TYPE = InputRef(0, t.INT(), "event_type")


def source(events, names=None, **more):
    options = {"connector": "nexmark", "events.num": str(events), **more.pop("options", {})}
    return scan(options, COLUMNS, names, **more).source


def table(events, names=None, **more):
    """All events as one table, made at once."""
    made = source(events, names, **more)
    return pa.Table.from_batches([made.generator.generate(0, 1, 0, events)])


@pytest.fixture(scope="module")
def events():
    return table(50_000).combine_chunks()


def of(events, kind, field):
    column = events[kind].combine_chunks().drop_null()
    return np.asarray(pc.struct_field(column, field))


def test_kinds_come_in_their_proportions_and_only_their_column_is_set(events):
    kinds = np.asarray(events["event_type"])
    assert np.bincount(kinds).tolist() == [1_000, 3_000, 46_000]
    for number, name in enumerate(NAMES[1:]):
        there = np.asarray(events[name].combine_chunks().is_valid())
        assert (there == (kinds == number)).all()
    events.validate(full=True)


def test_ids_count_from_a_thousand_without_gaps(events):
    assert of(events, "person", "id").tolist() == list(range(1_000, 2_000))
    assert of(events, "auction", "id").tolist() == list(range(1_000, 4_000))


def test_time_goes_by_the_rate(events):
    times = np.sort(np.concatenate([of(events, k, "dateTime").astype(np.int64) for k in NAMES[1:]]))
    assert times[0] == 1_436_918_400_000
    assert times[-1] - times[0] == 4_999
    assert np.array_equal(times, times[0] + np.arange(50_000) // 10)


def test_hot_auctions_bidders_and_sellers_have_their_share(events):
    auctions, bidders = of(events, "bid", "auction"), of(events, "bid", "bidder")
    assert ((auctions - 1000) % 100 == 0).mean() == pytest.approx(0.5, abs=0.02)
    assert ((bidders - 1000) % 100 == 1).mean() == pytest.approx(0.75, abs=0.02)
    sellers = of(events, "auction", "seller")
    assert ((sellers - 1000) % 100 == 0).mean() == pytest.approx(0.75, abs=0.03)


def test_bids_are_for_auctions_that_are_open_or_soon_will_be(events):
    rows = pa.table(
        {"kind": events["event_type"], "bid": pc.struct_field(events["bid"], "auction")}
    )
    opened = np.cumsum(np.asarray(rows["kind"]) == 1) + 999  # the youngest at each event
    is_bid = np.asarray(rows["kind"]) == 2
    ahead = of(events, "bid", "auction") - opened[is_bid]
    assert ahead.max() == 10
    assert ahead.min() >= -100
    assert len(np.unique(ahead)) > 100


def test_prices_are_spread_evenly_over_six_decades(events):
    prices = of(events, "bid", "price")
    assert prices.min() >= 100
    assert prices.max() <= 100_000_000
    decades = np.histogram(np.log10(prices), bins=6, range=(2, 8))[0] / len(prices)
    assert decades == pytest.approx([1 / 6] * 6, abs=0.01)
    assert (of(events, "auction", "reserve") > of(events, "auction", "initialBid")).all()


def test_channels_and_their_pages(events):
    channel, url = of(events, "bid", "channel"), of(events, "bid", "url")
    hot = np.isin(channel, ["Google", "Facebook", "Baidu", "Apple"])
    assert hot.mean() == pytest.approx(0.5, abs=0.01)
    assert len({u for c, u in zip(channel, url, strict=True) if c == "Apple"}) == 1
    with_id = np.array(["channel_id=" in u for u in url[~hot]])
    assert with_id.mean() == pytest.approx(0.9, abs=0.02)
    assert all(len(u.split("/")) == 7 and u.startswith("https://") for u in url)


@pytest.mark.parametrize(
    ("kind", "size", "fixed"), [("person", 200, 8), ("auction", 500, 48), ("bid", 100, 32)]
)
def test_events_have_their_size_on_average(events, kind, size, fixed):
    column = events[kind].combine_chunks().drop_null()
    texts = [f.name for f in column.type if pa.types.is_string(f.type)]
    if kind == "bid":
        texts = ["extra"]
    lengths = sum(np.asarray(pc.binary_length(pc.struct_field(column, n))) for n in texts)
    assert lengths.mean() + fixed == pytest.approx(size, rel=0.02)


def test_people_look_like_people(events):
    people = events["person"].combine_chunks().drop_null().to_pylist()
    assert {p["state"] for p in people} == {"AZ", "CA", "ID", "OR", "WA", "WY"}
    assert len({p["city"] for p in people}) == 10
    assert len({p["name"] for p in people}) == 99
    pattern = r"^\d{4} \d{4} \d{4} \d{4}$"
    assert pc.all(pc.match_substring_regex(pa.array([p["creditCard"] for p in people]), pattern))
    mails = pa.array([p["emailAddress"] for p in people])
    assert pc.all(pc.match_substring_regex(mails, r"^[a-z]{3,6}@[a-z]{3,4}\.com$"))


def test_auctions_end_after_a_hundred_others_on_average(events):
    column = events["auction"].combine_chunks().drop_null()
    lasts = of(events, "auction", "expires") - of(events, "auction", "dateTime")
    assert lasts.astype(np.int64).mean() == pytest.approx(166, rel=0.05)
    assert lasts.astype(np.int64).min() >= 1
    assert set(np.asarray(pc.struct_field(column, "category"))) == set(range(10, 15))


def key(row):
    return str(row)


@pytest.mark.parametrize("parallelism", [1, 2, 3])
def test_every_event_is_given_once_at_any_parallelism(parallelism):
    made = source(1_234)
    rows, _ = read(made, all_splits(made, parallelism), batch_rows=64)
    assert sorted(rows, key=key) == sorted(table(1_234).to_pylist(), key=key)


@pytest.mark.parametrize("kind", [None, 0, 2])
def test_a_restore_goes_on_with_the_next_event(kind):
    filters = () if kind is None else (call("=", [TYPE, literal(kind)]),)
    made = source(2_000, filters=filters)
    whole, _ = read(made, all_splits(made, 2), batch_rows=7)
    for steps in range(0, 40, 5):
        first, reader = read(made, all_splits(made, 2), batch_rows=7, steps=steps)
        splits = [made.deserialize_split(made.serialize_split(s)) for s in reader.snapshot_state(1)]
        rest, _ = read(made, splits, batch_rows=11)
        assert sorted(first + rest, key=key) == sorted(whole, key=key)


def test_a_condition_on_the_type_makes_only_these_events():
    wanted = call("<>", [TYPE, literal(2)])
    plan = scan(
        {"connector": "nexmark", "events.num": "10000"},
        COLUMNS,
        filters=(wanted, call("=", [literal(1), literal(1)])),
    )
    assert plan.filters == (0,)
    made = plan.source
    rows, _ = read(made, all_splits(made))
    assert [r["event_type"] for r in rows].count(0) == 200
    assert len(rows) == 800
    assert sorted(rows, key=key) == sorted(
        (r for r in table(10_000).to_pylist() if r["event_type"] != 2), key=key
    )


def test_what_several_readers_want_together():
    cheap = call("=", [InputRef(1, fields("x BIGINT")[0].type, "x"), literal(1)])
    either = call(
        "OR",
        [call("AND", [call("=", [TYPE, literal(1)]), cheap]), call("=", [TYPE, literal(0)])],
    )
    plan = scan({"connector": "nexmark", "events.num": "500"}, COLUMNS, filters=(either,))
    assert plan.filters == ()
    assert plan.source.generator.kinds == {0, 1}


def test_people_and_bids_without_auctions():
    made = source(500, filters=(call("<>", [TYPE, literal(1)]),))
    rows, _ = read(made, all_splits(made))
    assert sorted({r["event_type"] for r in rows}) == [0, 2]
    assert len(rows) == 470


def test_a_condition_that_no_event_meets_is_left_to_the_filter():
    plan = scan(
        {"connector": "nexmark", "events.num": "100"},
        COLUMNS,
        filters=(call("=", [TYPE, literal(7)]),),
    )
    assert plan.filters == ()


def test_fields_that_nobody_reads_are_null_and_the_others_as_ever(events):
    some = table(
        5_000, ["bid", "event_type"], nested=(frozenset({"price", "channel"}), None)
    ).to_pylist()
    for row, whole in zip(some, events.slice(0, 5_000).to_pylist(), strict=True):
        assert row["event_type"] == whole["event_type"]
        if row["bid"] is None:
            assert whole["bid"] is None
            continue
        assert row["bid"]["price"] == whole["bid"]["price"]
        assert row["bid"]["channel"] == whole["bid"]["channel"]
        assert row["bid"]["url"] is None


def test_another_seed_and_time_give_other_events_of_the_same_kinds():
    other = table(1_000, options={"seed": "7", "base-time": "0"})
    prices = of(other, "bid", "price")
    assert prices.tolist() != of(table(1_000), "bid", "price").tolist()
    assert of(other, "bid", "dateTime").astype(np.int64)[0] == 0


def test_a_source_travels_and_gives_the_same():
    made = source(100)
    again = pickle.loads(pickle.dumps(made))
    assert again.generator.generate(0, 1, 0, 100).equals(made.generator.generate(0, 1, 0, 100))


def test_a_limited_source_keeps_to_its_rate():
    made = source(0, ["event_type"], options={"rate.limited": "true", "first-event.rate": "1000"})
    assert made.boundedness is Boundedness.CONTINUOUS_UNBOUNDED
    context, enumeration = ReaderContext(), EnumeratorContext()
    reader = made.create_reader(context)
    made.create_enumerator(enumeration, None).handle_split_request(0)
    reader.add_splits(enumeration.assigned[0])
    rows = 0
    while context.clock.monotonic_ms() < 2_000:
        result = reader.poll()
        if isinstance(result, SourceBatch):
            rows += len(result.batch)
        else:
            assert isinstance(result, NoData)
            context.clock.advance(max(1, result.wake_at_ms - context.clock.monotonic_ms()))
    assert rows == pytest.approx(2_000, abs=10)


def test_keep_alive_waits_behind_the_last_event():
    made = source(100, ["event_type"], options={"keep-alive": "true"})
    assert made.boundedness is Boundedness.CONTINUOUS_UNBOUNDED
    reader = made.create_reader(ReaderContext())
    reader.add_splits(all_splits(made))
    reader.notify_no_more_splits()
    assert len(reader.poll().batch) == 100
    assert reader.poll() == NoData()


def test_stop_at_ends_earlier():
    made = source(1_000, ["event_type"], options={"stop-at": "10"})
    assert len(read(made, all_splits(made))[0]) == 10


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"next-event.rate": "5"}, InvalidTableOptionError, "next-event.rate.*the rate does not"),
        ({"bid.hot-ratio.auctions": "0"}, InvalidTableOptionError, "below the minimum 1"),
        (
            {"bid.proportion": "0", "person.proportion": "0", "auction.proportion": "0"},
            ConnectorConfigError,
            "give no events",
        ),
        ({"person.avg-size": "big"}, InvalidTableOptionError, "person.avg-size"),
    ],
)
def test_options_that_make_no_stream(options, error, message):
    with pytest.raises(error, match=message):
        check_options({"connector": "nexmark", **options}, table="events")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("event_typ INT", "no column 'event_typ'.*did you mean 'event_type'"),
        ("event_type BIGINT", "'event_type' is INT, not BIGINT"),
        ("bid ROW<prize BIGINT>", "a bid of nexmark has no field 'prize'.*'price'"),
        ("bid ROW<price INT>", "'bid.price' is BIGINT, not INT"),
        ("person STRING", "'person' is ROW<id, name"),
    ],
)
def test_columns_that_it_does_not_have(columns, message):
    with pytest.raises(SchemaMismatchError, match=message):
        check_options({"connector": "nexmark"}, table="events", columns=fields(columns))


def test_a_batch_needs_an_end():
    with pytest.raises(UnsupportedTableUseError, match="without end"):
        scan({"connector": "nexmark"}, COLUMNS, bounded=True)


def test_lanes_share_the_events():
    for events in (0, 1, 49, 50, 51, 149, 1_000):
        for lanes in (1, 2, 3, 7):
            config = NexmarkConfig(events=events)
            assert sum(config.lane_events(i, lanes) for i in range(lanes)) == events

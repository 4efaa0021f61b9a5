"""The fields of the three kinds of events, and what makes them."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.connectors.nexmark.config import AUCTION, BID, PERSON, NexmarkConfig
from lesto.kernels import arrow

Ints = npt.NDArray[np.int64]

TIME: Final = pa.timestamp("ms")
_MASK: Final = (1 << 64) - 1
#: Length of the text that fillers are pieces of.
POOL_BYTES: Final = 1 << 20

_STATES: Final = ("AZ", "CA", "ID", "OR", "WA", "WY")
_CITIES: Final = (
    *("Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland"),
    *("Bend", "Redmond", "Seattle", "Kent", "Cheyenne"),
)
_FIRST: Final = (
    *("Peter", "Paul", "Luke", "John", "Saul", "Vicky"),
    *("Kate", "Julie", "Sarah", "Deiter", "Walter"),
)
_LAST: Final = (
    *("Shultz", "Abrams", "Spencer", "White", "Bartels"),
    *("Walton", "Smith", "Jones", "Noris"),
)
_NAMES: Final = [f"{first} {last}" for first in _FIRST for last in _LAST]
_HOT_CHANNELS: Final = ("Google", "Facebook", "Baidu", "Apple")
_CHANNELS: Final = 10_000
_CARD_BYTES: Final = 19


@dataclass(slots=True)
class Events:
    """Events of one kind in a batch.

    Attributes:
        config: of the stream.
        loops: the compiled loops.
        epochs: of each row of the batch, int64[n].
        places: of each row in its epoch, int64[n].
        rows: the rows of this kind, int64[m].
    """

    config: NexmarkConfig
    loops: ModuleType
    epochs: Ints
    places: Ints
    rows: Ints

    @property
    def at(self) -> tuple[Ints, Ints, Ints, int]:
        """What all loops want to know."""
        return self.epochs, self.places, self.rows, self.config.total

    def key(self, kind: int, field: int) -> np.uint64:
        """The key of what is random about a field."""
        return _key(self.config.seed, kind, field)

    def texts(self, sizes: Ints, total: int, write: Callable[[Any], None]) -> list[Any]:
        """Buffers of a column of texts."""
        offset_buffer, offsets = arrow.allocate(len(self.epochs) + 1, np.int32)
        self.loops.text_offsets(self.rows, sizes, offsets)
        buffer, data = arrow.allocate(max(total, 1), np.uint8)
        write(data)
        return [offset_buffer, buffer]


@functools.lru_cache(maxsize=256)
def _key(seed: int, kind: int, field: int) -> np.uint64:
    z = (seed * 1_000_003 + kind * 101 + field + 1) * 0x9E3779B97F4A7C15 & _MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
    return np.uint64(z ^ (z >> 31))


Make = Callable[[Events], list[Any]]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an event.

    Attributes:
        type: int64, a timestamp in ms, or a string.
        make: gives the buffers behind the validity bitmap.
    """

    type: pa.DataType
    make: Make


def _integers(fill: Callable[[Events, Ints], None]) -> Make:
    def make(events: Events) -> list[Any]:
        n, m = len(events.epochs), len(events.rows)
        buffer, out = arrow.allocate(n, np.int64)
        if m < n:
            out[:] = 0
        fill(events, out)
        return [buffer]

    return make


def _times(events: Events, out: Ints) -> None:
    config = events.config
    events.loops.times(*events.at, config.base_time_ms, 1e6 / config.rate, out)


def _expiries(events: Events, out: Ints) -> None:
    config = events.config
    ahead = 100 * config.total // max(1, config.proportions[AUCTION])
    key = events.key(AUCTION, 6)
    events.loops.expiries(*events.at, config.base_time_ms, 1e6 / config.rate, ahead, key, out)


def _person_ids(events: Events, out: Ints) -> None:
    events.loops.person_ids(
        events.epochs, events.places, events.rows, events.config.proportions[PERSON], out
    )


def _auction_ids(events: Events, out: Ints) -> None:
    people, auctions, _ = events.config.proportions
    events.loops.auction_ids(events.epochs, events.places, events.rows, people, auctions, out)


def _sellers(events: Events, out: Ints) -> None:
    config = events.config
    people, key = config.proportions[PERSON], events.key(AUCTION, 7)
    events.loops.people_named(*events.at, people, config.hot_sellers, 0, key, out)


def _bidders(events: Events, out: Ints) -> None:
    config = events.config
    people, key = config.proportions[PERSON], events.key(BID, 1)
    events.loops.people_named(*events.at, people, config.hot_bidders, 1, key, out)


def _auctions(events: Events, out: Ints) -> None:
    config = events.config
    people, auctions, _ = config.proportions
    key = events.key(BID, 0)
    events.loops.auctions_named(*events.at, people, auctions, config.hot_auctions, key, out)


def _initial_bids(events: Events, out: Ints) -> None:
    events.loops.prices(*events.at, events.key(AUCTION, 3), out)


def _reserves(events: Events, out: Ints) -> None:
    events.loops.reserves(*events.at, events.key(AUCTION, 3), events.key(AUCTION, 4), out)


def _categories(events: Events, out: Ints) -> None:
    events.loops.numbers(*events.at, 10, 5, events.key(AUCTION, 8), out)


def _prices(events: Events, out: Ints) -> None:
    events.loops.prices(*events.at, events.key(BID, 2), out)


# --------------------------------------------------------------------------------------- texts


@dataclass(frozen=True, slots=True)
class _Texts:
    """A list of texts as Arrow has it: int32[n + 1] offsets, bytes."""

    offsets: npt.NDArray[np.int32]
    data: npt.NDArray[np.uint8]

    @staticmethod
    def of(texts: Sequence[str]) -> _Texts:
        encoded = [t.encode() for t in texts]
        offsets = np.zeros(len(texts) + 1, np.int32)
        np.cumsum([len(t) for t in encoded], out=offsets[1:])
        return _Texts(offsets, np.frombuffer(b"".join(encoded), np.uint8).copy())


_STATE_TEXTS: Final = _Texts.of(_STATES)
_CITY_TEXTS: Final = _Texts.of(_CITIES)
_NAME_TEXTS: Final = _Texts.of(_NAMES)
_CHANNEL_TEXTS: Final = _Texts.of([*(f"channel-{i}" for i in range(_CHANNELS)), *_HOT_CHANNELS])


@functools.lru_cache(maxsize=4)
def _urls(seed: int) -> _Texts:
    """The page of each channel, most of them with the channel's number."""
    rng = random.Random(seed)
    texts = []
    for i in range(_CHANNELS + len(_HOT_CHANNELS)):
        parts = "/".join(_word(rng) for _ in range(3))
        url = f"https://www.nexmark.com/{parts}/item.htm?query=1"
        if i < _CHANNELS and rng.randrange(10) > 0:
            url += f"&channel_id={abs(_reversed(i))}"
        texts.append(url)
    return _Texts.of(texts)


def _word(rng: random.Random) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    size = rng.randrange(3, 5)
    return "".join("_" if rng.randrange(13) == 0 else rng.choice(letters) for _ in range(size))


def _reversed(number: int) -> int:
    """The bits of a signed 32-bit number in the opposite order."""
    found = int(f"{number:032b}"[::-1], 2)
    return found - (1 << 32) if found >= 1 << 31 else found


@functools.lru_cache(maxsize=4)
def _pool(seed: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(97, 123, POOL_BYTES, np.uint8)


def _chosen(kind: int, field: int, texts: _Texts) -> Make:
    def make(events: Events) -> list[Any]:
        chosen = _choices(events, kind, field, texts)
        return _listed(events, chosen, texts)

    return make


def _choices(events: Events, kind: int, field: int, texts: _Texts) -> Ints:
    chosen = np.empty(len(events.rows), np.int64)
    n = len(texts.offsets) - 1
    events.loops.choices(*events.at, n, events.key(kind, field), chosen)
    return chosen


def _listed(events: Events, chosen: Ints, texts: _Texts) -> list[Any]:
    loops = events.loops
    sizes = np.empty(len(chosen), np.int64)
    total = loops.chosen_sizes(chosen, texts.offsets, sizes)
    return events.texts(
        sizes,
        total,
        lambda out: loops.write_chosen(chosen, texts.offsets, texts.data, sizes, out),
    )


def _channel(events: Events) -> list[Any]:
    return _listed(events, _channels(events), _CHANNEL_TEXTS)


def _url(events: Events) -> list[Any]:
    return _listed(events, _channels(events), _urls(events.config.seed))


def _channels(events: Events) -> Ints:
    chosen = np.empty(len(events.rows), np.int64)
    events.loops.channels(*events.at, events.key(BID, 3), chosen)
    return chosen


def _words(kind: int, field: int, longest: int) -> Make:
    def make(events: Events) -> list[Any]:
        sizes, total, key = _word_sizes(events, kind, field, longest)
        return events.texts(
            sizes, total, lambda out: events.loops.write_words(*events.at, key, sizes, out)
        )

    return make


def _word_sizes(events: Events, kind: int, field: int, longest: int) -> tuple[Ints, int, np.uint64]:
    key = events.key(kind, field)
    sizes = np.empty(len(events.rows), np.int64)
    total = events.loops.word_sizes(*events.at, longest, 0, key, sizes)
    return sizes, total, key


def _emails(events: Events) -> list[Any]:
    sizes, total = _email_sizes(events)
    key = events.key(PERSON, 2)
    return events.texts(
        sizes, total, lambda out: events.loops.write_emails(*events.at, key, sizes, out)
    )


def _email_sizes(events: Events) -> tuple[Ints, int]:
    sizes = np.empty(len(events.rows), np.int64)
    total = events.loops.email_sizes(*events.at, events.key(PERSON, 2), sizes)
    return sizes, total


def _cards(events: Events) -> list[Any]:
    sizes = np.full(len(events.rows), _CARD_BYTES, np.int64)
    key = events.key(PERSON, 3)
    return events.texts(
        sizes,
        len(sizes) * _CARD_BYTES,
        lambda out: events.loops.write_cards(*events.at, key, out),
    )


def _filler(kind: int, taken: Callable[[Events], Ints]) -> Make:
    def make(events: Events) -> list[Any]:
        loops, key = events.loops, events.key(kind, 99)
        sizes = np.empty(len(events.rows), np.int64)
        wanted = events.config.sizes[kind]
        total = loops.filler_sizes(*events.at, taken(events), wanted, key, sizes)
        pool = _pool(events.config.seed)
        return events.texts(
            sizes, total, lambda out: loops.write_filler(*events.at, key, sizes, pool, out)
        )

    return make


def _person_bytes(events: Events) -> Ints:
    found = np.full(len(events.rows), 8 + _CARD_BYTES, np.int64)
    found += _email_sizes(events)[0]
    for field, texts in ((1, _NAME_TEXTS), (4, _CITY_TEXTS), (5, _STATE_TEXTS)):
        sizes = np.empty(len(found), np.int64)
        chosen = _choices(events, PERSON, field, texts)
        events.loops.chosen_sizes(chosen, texts.offsets, sizes)
        found += sizes
    return found


def _auction_bytes(events: Events) -> Ints:
    name = _word_sizes(events, AUCTION, 1, 20)[0]
    return name + _word_sizes(events, AUCTION, 2, 100)[0] + 48


def _bid_bytes(events: Events) -> Ints:
    return np.full(len(events.rows), 32, np.int64)


FIELDS: Final[dict[int, dict[str, Field]]] = {
    PERSON: {
        "id": Field(pa.int64(), _integers(_person_ids)),
        "name": Field(pa.string(), _chosen(PERSON, 1, _NAME_TEXTS)),
        "emailAddress": Field(pa.string(), _emails),
        "creditCard": Field(pa.string(), _cards),
        "city": Field(pa.string(), _chosen(PERSON, 4, _CITY_TEXTS)),
        "state": Field(pa.string(), _chosen(PERSON, 5, _STATE_TEXTS)),
        "dateTime": Field(TIME, _integers(_times)),
        "extra": Field(pa.string(), _filler(PERSON, _person_bytes)),
    },
    AUCTION: {
        "id": Field(pa.int64(), _integers(_auction_ids)),
        "itemName": Field(pa.string(), _words(AUCTION, 1, 20)),
        "description": Field(pa.string(), _words(AUCTION, 2, 100)),
        "initialBid": Field(pa.int64(), _integers(_initial_bids)),
        "reserve": Field(pa.int64(), _integers(_reserves)),
        "dateTime": Field(TIME, _integers(_times)),
        "expires": Field(TIME, _integers(_expiries)),
        "seller": Field(pa.int64(), _integers(_sellers)),
        "category": Field(pa.int64(), _integers(_categories)),
        "extra": Field(pa.string(), _filler(AUCTION, _auction_bytes)),
    },
    BID: {
        "auction": Field(pa.int64(), _integers(_auctions)),
        "bidder": Field(pa.int64(), _integers(_bidders)),
        "price": Field(pa.int64(), _integers(_prices)),
        "channel": Field(pa.string(), _channel),
        "url": Field(pa.string(), _url),
        "dateTime": Field(TIME, _integers(_times)),
        "extra": Field(pa.string(), _filler(BID, _bid_bytes)),
    },
}

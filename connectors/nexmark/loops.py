"""Compiled loops that fill columns with generated events.

An event is known by its epoch (a run of ``total`` events: some people, then some auctions, then
some bids) and its place in the epoch. Whatever is random about it is drawn from its number and the
key of the field, so that any event can be made again, alone, in any order.

``epochs`` and ``places`` describe the rows of a batch; ``rows`` are the row numbers of one kind of
event, ascending. Values of a field go to ``out`` at these rows; what lies between them is left as
it is. Texts of rows between them are empty.
"""

import math
from typing import Any

import numpy as np

from lesto.kernels.compiled.decorator import inline, kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_LOW = np.uint64(0xFFFFFFFF)
_U30 = np.uint64(30)
_U27 = np.uint64(27)
_U31 = np.uint64(31)
_U32 = np.uint64(32)
_U11 = np.uint64(11)
_U16 = np.uint64(16)
_U8 = np.uint64(8)
_BYTE = np.uint64(0xFF)

#: Ids of people and auctions begin here.
FIRST_ID = np.int64(1000)
#: One in so many people or auctions is hot.
HOT_EVERY = np.int64(100)
#: Auctions that are open and people that are active at a time, and ids not made yet that are named.
IN_FLIGHT = np.int64(100)
ACTIVE = np.int64(1000)
LEAD = np.int64(10)
CHANNELS = np.int64(10_000)
HOT_CHANNELS = np.int64(4)
WORD_MIN = np.int64(3)

_EVENTS = "int64[::1], int64[::1], int64[::1], int64"


@inline
def _mix(z: Any) -> Any:
    z = (z ^ (z >> _U30)) * _FIRST
    z = (z ^ (z >> _U27)) * _SECOND
    return z ^ (z >> _U31)


@inline
def _draw(epoch: Any, place: Any, total: Any, key: Any) -> Any:
    return _mix(np.uint64(epoch * total + place) * _GOLDEN + key)


@inline
def _below(word: Any, n: Any) -> Any:
    """An integer below ``n`` (at most 2**32) from 32 random bits."""
    return np.int64((word * np.uint64(n)) >> _U32)


@inline
def _last_person(epoch: Any, place: Any, people: Any) -> Any:
    """The youngest person, counted from 0, when an event is made; -1 for none."""
    return epoch * people + min(place, people - 1)


@inline
def _last_auction(epoch: Any, place: Any, people: Any, auctions: Any) -> Any:
    """The youngest auction, counted from 0, when an event is made; -1 for none."""
    if place < people:
        return epoch * auctions - 1
    return epoch * auctions + min(place - people, auctions - 1)


@inline
def _some_person(epoch: Any, place: Any, people: Any, word: Any) -> Any:
    """A person of those that are active, or soon to come."""
    count = _last_person(epoch, place, people) + 1
    active = min(count, ACTIVE)
    return count - active + _below(word, active + LEAD)


@inline
def _time(number: Any, base: Any, delay_us: Any) -> Any:
    return base + np.int64(np.float64(number) * delay_us) // 1000


@kernel(
    "int64(int64, int64, int64, int64, int64, int64, int64, int64, int64, int64[::1], int64[::1])"
)
def pick(
    lane: Any,
    lanes: Any,
    start: Any,
    end: Any,
    total: Any,
    low: Any,
    high: Any,
    skip_low: Any,
    skip_high: Any,
    epochs: Any,
    places: Any,
) -> Any:
    """Events ``start..end-1`` of a lane, of places in [low, high) but not [skip_low, skip_high).

    A lane has every ``lanes``-th epoch. Returns how many events there are.
    """
    found = np.int64(0)
    at = start // total
    place = start - at * total
    left = end - start
    while left > 0:
        stop = min(total, place + left)
        epoch = at * lanes + lane
        for p in range(max(place, low), min(stop, high)):
            if p < skip_low or p >= skip_high:
                epochs[found] = epoch
                places[found] = p
                found += 1
        left -= stop - place
        place = np.int64(0)
        at += 1
    return found


@kernel("int64(int64[::1], int64, int64, int64[::1])")
def rows_between(places: Any, low: Any, high: Any, rows: Any) -> Any:
    """Numbers of the rows with places in [low, high); returns how many."""
    found = np.int64(0)
    for i in range(places.size):
        if low <= places[i] < high:
            rows[found] = i
            found += 1
    return found


@kernel("void(int64[::1], int64, int64, int32[::1])")
def event_types(places: Any, people: Any, auctions: Any, out: Any) -> None:
    """0 for people, 1 for auctions, 2 for bids."""
    for i in range(places.size):
        p = places[i]
        out[i] = 0 if p < people else 1 if p < people + auctions else 2


@kernel(f"void({_EVENTS}, int64, float64, int64[::1])")
def times(
    epochs: Any, places: Any, rows: Any, total: Any, base: Any, delay_us: Any, out: Any
) -> None:
    """Event time in ms."""
    for i in range(rows.size):
        r = rows[i]
        out[r] = _time(epochs[r] * total + places[r], base, delay_us)


@kernel(f"void({_EVENTS}, int64, float64, int64, uint64, int64[::1])")
def expiries(
    epochs: Any,
    places: Any,
    rows: Any,
    total: Any,
    base: Any,
    delay_us: Any,
    ahead: Any,
    key: Any,
    out: Any,
) -> None:
    """Ends of auctions: on average when ``ahead`` events have come."""
    for i in range(rows.size):
        r = rows[i]
        number = epochs[r] * total + places[r]
        now = _time(number, base, delay_us)
        horizon = _time(number + ahead, base, delay_us) - now
        span = min(max(horizon * 2, np.int64(1)), np.int64(0xFFFFFFFF))
        out[r] = now + 1 + _below(_draw(epochs[r], places[r], total, key) & _LOW, span)


@kernel("void(int64[::1], int64[::1], int64[::1], int64, int64[::1])")
def person_ids(epochs: Any, places: Any, rows: Any, people: Any, out: Any) -> None:
    """Ids of people who join."""
    for i in range(rows.size):
        r = rows[i]
        out[r] = FIRST_ID + _last_person(epochs[r], places[r], people)


@kernel("void(int64[::1], int64[::1], int64[::1], int64, int64, int64[::1])")
def auction_ids(epochs: Any, places: Any, rows: Any, people: Any, auctions: Any, out: Any) -> None:
    """Ids of auctions that open."""
    for i in range(rows.size):
        r = rows[i]
        out[r] = FIRST_ID + _last_auction(epochs[r], places[r], people, auctions)


@kernel(f"void({_EVENTS}, int64, int64, int64, uint64, int64[::1])")
def people_named(
    epochs: Any,
    places: Any,
    rows: Any,
    total: Any,
    people: Any,
    ratio: Any,
    hot: Any,
    key: Any,
    out: Any,
) -> None:
    """Sellers and bidders: one of ``ratio`` is any person, the others are the hot one."""
    for i in range(rows.size):
        r = rows[i]
        word = _draw(epochs[r], places[r], total, key)
        if _below(word >> _U32, ratio) > 0:
            last = max(_last_person(epochs[r], places[r], people), np.int64(0))
            found = last // HOT_EVERY * HOT_EVERY + hot
        else:
            found = _some_person(epochs[r], places[r], people, word & _LOW)
        out[r] = FIRST_ID + found


@kernel(f"void({_EVENTS}, int64, int64, int64, uint64, int64[::1])")
def auctions_named(
    epochs: Any,
    places: Any,
    rows: Any,
    total: Any,
    people: Any,
    auctions: Any,
    ratio: Any,
    key: Any,
    out: Any,
) -> None:
    """Auctions that are bid for: one of ``ratio`` is any open one, the others are the hot one."""
    for i in range(rows.size):
        r = rows[i]
        word = _draw(epochs[r], places[r], total, key)
        last = _last_auction(epochs[r], places[r], people, auctions)
        if _below(word >> _U32, ratio) > 0:
            found = max(last, np.int64(0)) // HOT_EVERY * HOT_EVERY
        else:
            first = max(last - IN_FLIGHT, np.int64(0))
            found = first + _below(word & _LOW, last - first + 1 + LEAD)
        out[r] = FIRST_ID + found


@inline
def _price(word: Any) -> Any:
    unit = np.float64(word >> _U11) * 1.1102230246251565e-16
    return np.int64(math.exp(unit * 13.815510557964274) * 100.0 + 0.5)


@kernel(f"void({_EVENTS}, uint64, int64[::1])")
def prices(epochs: Any, places: Any, rows: Any, total: Any, key: Any, out: Any) -> None:
    """Prices from 1 to 1,000,000 dollars in cents, their logarithm being uniform."""
    for i in range(rows.size):
        r = rows[i]
        out[r] = _price(_draw(epochs[r], places[r], total, key))


@kernel(f"void({_EVENTS}, uint64, uint64, int64[::1])")
def reserves(
    epochs: Any, places: Any, rows: Any, total: Any, key: Any, more: Any, out: Any
) -> None:
    """A price with another one added."""
    for i in range(rows.size):
        r = rows[i]
        first = _price(_draw(epochs[r], places[r], total, key))
        out[r] = first + _price(_draw(epochs[r], places[r], total, more))


@kernel(f"void({_EVENTS}, int64, int64, uint64, int64[::1])")
def numbers(
    epochs: Any, places: Any, rows: Any, total: Any, first: Any, n: Any, key: Any, out: Any
) -> None:
    """Uniform in [first, first + n)."""
    for i in range(rows.size):
        r = rows[i]
        word = _draw(epochs[r], places[r], total, key)
        out[r] = first + _below(word & _LOW, n)


# ---------------------------------------------------------------- texts: sizes, then the bytes
# Sizes and choices have an item for each of ``rows``, not for each row of the batch.


@kernel(f"void({_EVENTS}, int64, uint64, int64[::1])")
def choices(epochs: Any, places: Any, rows: Any, total: Any, n: Any, key: Any, out: Any) -> None:
    """Uniform in [0, n)."""
    for i in range(rows.size):
        r = rows[i]
        out[i] = _below(_draw(epochs[r], places[r], total, key) & _LOW, n)


@kernel(f"void({_EVENTS}, uint64, int64[::1])")
def channels(epochs: Any, places: Any, rows: Any, total: Any, key: Any, out: Any) -> None:
    """Channels: every second bid comes by one of the hot ones, which are the last."""
    for i in range(rows.size):
        r = rows[i]
        word = _draw(epochs[r], places[r], total, key)
        if _below(word >> _U32, np.int64(2)) > 0:
            out[i] = CHANNELS + _below(word & _LOW, HOT_CHANNELS)
        else:
            out[i] = _below(word & _LOW, CHANNELS)


@kernel("int64(int64[::1], int32[::1], int64[::1])")
def chosen_sizes(chosen: Any, offsets: Any, sizes: Any) -> Any:
    """Bytes of chosen texts; returns how many in all."""
    total = np.int64(0)
    for i in range(chosen.size):
        c = chosen[i]
        sizes[i] = offsets[c + 1] - offsets[c]
        total += sizes[i]
    return total


@kernel(f"int64({_EVENTS}, int64, int64, uint64, int64[::1])")
def word_sizes(
    epochs: Any,
    places: Any,
    rows: Any,
    total: Any,
    longest: Any,
    more: Any,
    key: Any,
    sizes: Any,
) -> Any:
    """``more`` and WORD_MIN up to longest - 1; returns how many in all."""
    found = np.int64(0)
    for i in range(rows.size):
        r = rows[i]
        word = _draw(epochs[r], places[r], total, key)
        sizes[i] = more + WORD_MIN + _below(word >> _U32, longest - WORD_MIN)
        found += sizes[i]
    return found


@kernel(f"int64({_EVENTS}, int64[::1], int64, uint64, int64[::1])")
def filler_sizes(
    epochs: Any,
    places: Any,
    rows: Any,
    total: Any,
    taken: Any,
    wanted: Any,
    key: Any,
    sizes: Any,
) -> Any:
    """What an event of ``taken`` bytes lacks to ``wanted``, give or take a fifth."""
    found = np.int64(0)
    for i in range(rows.size):
        r = rows[i]
        left = wanted - taken[i]
        sizes[i] = 0
        if left > 0:
            delta = np.int64(left * 0.2 + 0.5)
            sizes[i] = left - delta
            if delta > 0:
                word = _draw(epochs[r], places[r], total, key)
                sizes[i] += _below(word >> _U32, 2 * delta)
        found += sizes[i]
    return found


@kernel("void(int64[::1], int64[::1], int32[::1])")
def text_offsets(rows: Any, sizes: Any, offsets: Any) -> None:
    """Arrow's offsets of texts in ``rows``; those between are empty."""
    at = np.int64(0)
    position = np.int64(0)
    for i in range(rows.size):
        while at <= rows[i]:
            offsets[at] = position
            at += 1
        position += sizes[i]
    while at < offsets.size:
        offsets[at] = position
        at += 1


@kernel("void(int64[::1], int32[::1], uint8[::1], int64[::1], uint8[::1])")
def write_chosen(chosen: Any, offsets: Any, data: Any, sizes: Any, out: Any) -> None:
    """Texts of a list."""
    position = np.int64(0)
    for i in range(chosen.size):
        start = np.int64(offsets[chosen[i]])
        for k in range(sizes[i]):
            out[position + k] = data[start + k]
        position += sizes[i]


@kernel(f"void({_EVENTS}, uint64, int64[::1], uint8[::1], uint8[::1])")
def write_filler(
    epochs: Any,
    places: Any,
    rows: Any,
    total: Any,
    key: Any,
    sizes: Any,
    pool: Any,
    out: Any,
) -> None:
    """Pieces of a long text."""
    position = np.int64(0)
    for i in range(rows.size):
        r = rows[i]
        size = sizes[i]
        word = _draw(epochs[r], places[r], total, key)
        start = _below(word & _LOW, pool.size - size)
        for k in range(size):
            out[position + k] = pool[start + k]
        position += size


@inline
def _write_word(out: Any, position: Any, size: Any, word: Any, blank: Any) -> Any:
    """Letters, and in one of 13 places a blank, but not at the ends."""
    bits = word
    for k in range(size):
        if k % 4 == 0:
            word = _mix(word + _GOLDEN)
            bits = word
        letter = np.uint8(97) + np.uint8((((bits >> _U8) & _BYTE) * np.uint64(26)) >> _U8)
        inside = 0 < k < size - 1
        if inside and ((bits & _BYTE) * np.uint64(13)) >> _U8 == np.uint64(0):
            letter = blank
        out[position + k] = letter
        bits >>= _U16
    return position + size


@kernel(f"void({_EVENTS}, uint64, int64[::1], uint8[::1])")
def write_words(
    epochs: Any, places: Any, rows: Any, total: Any, key: Any, sizes: Any, out: Any
) -> None:
    """Random words."""
    position = np.int64(0)
    for i in range(rows.size):
        r = rows[i]
        word = _draw(epochs[r], places[r], total, key)
        position = _write_word(out, position, sizes[i], word, np.uint8(32))


@kernel(f"int64({_EVENTS}, uint64, int64[::1])")
def email_sizes(epochs: Any, places: Any, rows: Any, total: Any, key: Any, sizes: Any) -> Any:
    """A word of 3 to 6 letters, @, one of 3 or 4, .com."""
    found = np.int64(0)
    for i in range(rows.size):
        r = rows[i]
        word = _draw(epochs[r], places[r], total, key)
        sizes[i] = 11 + _below(word >> _U32, np.int64(4)) + np.int64(word & np.uint64(1))
        found += sizes[i]
    return found


@kernel(f"void({_EVENTS}, uint64, int64[::1], uint8[::1])")
def write_emails(
    epochs: Any, places: Any, rows: Any, total: Any, key: Any, sizes: Any, out: Any
) -> None:
    """Email addresses."""
    position = np.int64(0)
    for i in range(rows.size):
        r = rows[i]
        word = _draw(epochs[r], places[r], total, key)
        name = WORD_MIN + _below(word >> _U32, np.int64(4))
        position = _write_word(out, position, name, word, np.uint8(97))
        out[position] = 64
        position = _write_word(out, position + 1, sizes[i] - name - 5, word + _FIRST, np.uint8(97))
        out[position] = 46
        out[position + 1] = 99
        out[position + 2] = 111
        out[position + 3] = 109
        position += 4


@kernel(f"void({_EVENTS}, uint64, uint8[::1])")
def write_cards(epochs: Any, places: Any, rows: Any, total: Any, key: Any, out: Any) -> None:
    """Numbers of credit cards: four groups of four digits."""
    position = np.int64(0)
    for i in range(rows.size):
        r = rows[i]
        word = _draw(epochs[r], places[r], total, key)
        for group in range(4):
            if group:
                out[position] = 32
                position += 1
            number = _below((word & np.uint64(0xFFFF)) << _U16, np.int64(10_000))
            word >>= _U16
            for digit in range(3, -1, -1):
                out[position + digit] = 48 + number % 10
                number //= 10
            position += 4

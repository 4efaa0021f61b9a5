"""Loops of ``lesto.state.row_table``: rows in segments, chains of rows by key, rows by content.

Everything but the batch at hand is given by address, so that it may lie in files.

``rows``: 32 bytes a row id: offset (8), key slot (4), next and previous row of the key (4 each, -1
for none), bytes (4), sequence number (8). An offset is segment << 20 | place; ``bases`` has the
address of each segment. At an offset lie the row's id (4), its size (4) and its bytes.

``keys``: 40 bytes a key slot: hash (8), first and last row (4 each), number of rows (4), first 20
bytes of the key. A longer key is compared with the first row, which begins with it.

``table``: the low 32 bits of a hash in the upper half, slot + 1 in the lower; 0 is empty. Linear
probing; removal shifts entries back. There is one for keys and, once a key has many rows, one by
the content of rows, whose equal rows hang together by ``twins``: 8 bytes a row, the next equal row
(-1 for none) and the one before; the first one's "before" is the last.

``state`` is int64[6]: ids ever used, free ids, key slots ever used, free slots, keys, next sequence
number.
"""

from typing import Any

import numpy as np

from lesto.kernels.compiled.decorator import inline, kernel
from lesto.kernels.compiled.hashing import hash_bytes
from lesto.kernels.compiled.memory import load32, load64, prefetch, store32, store64
from lesto.kernels.compiled.rowbytes import same

_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_NONE = np.uint64(0xFFFFFFFF)
_SEED = np.uint64(0x9E3779B97F4A7C15)
_AHEAD = 16
_IDS, _FREE_IDS, _SLOTS, _FREE_SLOTS, _KEYS, _SEQ = 0, 1, 2, 3, 4, 5
_ROW, _KEY = 32, 40
_LIVE, _STORED, _GOING = 1, 4, 8
_SEGMENT_BITS = np.uint64(20)
_SEGMENT_MASK = np.uint64((1 << 20) - 1)


@inline
def signed(value: Any) -> Any:
    """Four bytes as a signed number: -1 is none."""
    return np.int64(np.int32(np.uint32(value)))


@inline
def locate(rows: Any, bases: Any, row: Any) -> Any:
    """The address of a row's bytes."""
    offset = load64(rows + row * _ROW)
    base = np.int64(load64(bases + np.int64((offset >> _SEGMENT_BITS) << np.uint64(3))))
    return base + np.int64(offset & _SEGMENT_MASK) + 8


@kernel("int64(int64[::1], int64, int64, int64, int64[::1])")
def place_rows(sizes: Any, start: Any, offset: Any, room: Any, offsets: Any) -> Any:
    """Lay rows and their heads one behind the other; the first row that had no room."""
    for i in range(start, sizes.size):
        need = sizes[i] + 8
        if need > room:
            return i
        offsets[i] = offset
        offset += need
        room -= need
    return sizes.size


@kernel("int64(int64[::1], int64, int64, uint8[::1], int64[::1])")
def locate_rows(ids: Any, rows: Any, bases: Any, flags: Any, addresses: Any) -> Any:
    """Addresses of rows' bytes; the index of an id that is not in use, or -1."""
    for i in range(ids.size):
        if i + _AHEAD < ids.size:
            prefetch(rows + ids[i + _AHEAD] * _ROW)
        if not flags[ids[i]] & _LIVE:
            return i
        addresses[i] = locate(rows, bases, ids[i])
    return -1


@kernel("void(int64, int64, int64[::1], int64[::1])")
def take_ids(free: Any, start: Any, ids: Any, state: Any) -> None:
    """Ids for new rows: those that were freed last, then new ones."""
    for i in range(start, ids.size):
        if state[_FREE_IDS] > 0:
            state[_FREE_IDS] -= 1
            ids[i] = np.int64(load32(free + 4 * state[_FREE_IDS]))
        else:
            ids[i] = state[_IDS]
            state[_IDS] += 1


@inline
def key_words(at: Any, n: Any) -> Any:
    """The first 20 bytes of a key of ``n`` bytes, zeros behind it."""
    a, b, c = load32(at), load64(at + 4), load64(at + 12)
    if n < 20:
        if n >= 12:
            c &= (_ONE << np.uint64(8 * (n - 12))) - _ONE
        else:
            c = _ZERO
            if n >= 4:
                b &= (_ONE << np.uint64(8 * (n - 4))) - _ONE
            else:
                b = _ZERO
                a &= (_ONE << np.uint64(8 * n)) - _ONE
    return a, b, c


@inline
def put(table: Any, p: Any, entry: Any) -> None:
    """Write an entry of a table."""
    store64(table + np.int64(p << np.uint64(3)), entry)


@inline
def find_key(
    table: Any, mask: Any, keys: Any, rows: Any, bases: Any, h: Any, at: Any, n: Any
) -> Any:
    """Where in the table a key is or belongs, and its slot or -1."""
    a, b, c = key_words(at, n)
    tag = h & _LOW
    p = tag & mask
    while True:
        entry = load64(table + np.int64(p << np.uint64(3)))
        if entry == _ZERO:
            return p, np.int64(-1)
        if entry >> _32 == tag:
            s = np.int64(entry & _LOW) - 1
            k = keys + s * _KEY
            alike = load64(k) == h and load64(k + 24) == b and load64(k + 32) == c
            if alike and load32(k + 20) == a:
                if n <= 20:
                    return p, s
                first = np.int64(load32(k + 8))
                if same(locate(rows, bases, first) + 20, at + 20, n - 20):
                    return p, s
        p = (p + _ONE) & mask


@inline
def ask_for(table: Any, mask: Any, keys: Any, hashes: Any, i: Any) -> None:
    """Ask for what the next probes will look at."""
    if i + _AHEAD < hashes.size:
        p = (hashes[i + _AHEAD] & mask) << np.uint64(3)
        prefetch(table + np.int64(p))
        entry = load64(table + np.int64((hashes[i + (_AHEAD >> 1)] & mask) << np.uint64(3)))
        if entry != _ZERO:
            prefetch(keys + (np.int64(entry & _LOW) - 1) * _KEY)


@kernel(
    "void(uint64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64, int64,"
    " int64, int64, int64, int64, uint8[::1], int64, int64[::1])"
)
def link(
    hashes: Any,
    ids: Any,
    offsets: Any,
    sizes: Any,
    key_sizes: Any,
    sequence: Any,
    table: Any,
    mask: Any,
    keys: Any,
    free: Any,
    rows: Any,
    bases: Any,
    flags: Any,
    flag: Any,
    state: Any,
) -> None:
    """Enter rows, whose bytes lie at their offsets, at the ends of their keys' chains.

    Args:
        key_sizes: bytes of each row's key, or one number for all.
        sequence: of each row; empty to count on.
        free: the key slots that are free.
        flag: of the rows, in a byte each.
    """
    mask = np.uint64(mask)
    one_size = key_sizes.size == 1
    for i in range(hashes.size):
        ask_for(table, mask, keys, hashes, i)
        row = ids[i]
        r = rows + row * _ROW
        store64(r, np.uint64(offsets[i]))
        at = locate(rows, bases, row)
        store32(at - 8, np.uint64(row))
        store32(at - 4, np.uint64(sizes[i]))
        n = key_sizes[0] if one_size else key_sizes[i]
        p, s = find_key(table, mask, keys, rows, bases, hashes[i], at, n)
        if s < 0:
            if state[_FREE_SLOTS] > 0:
                state[_FREE_SLOTS] -= 1
                s = np.int64(load32(free + 4 * state[_FREE_SLOTS]))
            else:
                s = state[_SLOTS]
                state[_SLOTS] += 1
            state[_KEYS] += 1
            put(table, p, ((hashes[i] & _LOW) << _32) | np.uint64(s + 1))
            k = keys + s * _KEY
            a, b, c = key_words(at, n)
            store64(k, hashes[i])
            store32(k + 8, np.uint64(row))
            store32(k + 16, _ONE)
            store32(k + 20, a)
            store64(k + 24, b)
            store64(k + 32, c)
            store32(r + 16, _NONE)
        else:
            k = keys + s * _KEY
            last = load32(k + 12)
            store32(rows + np.int64(last) * _ROW + 12, np.uint64(row))
            store32(r + 16, last)
            store32(k + 16, load32(k + 16) + _ONE)
        store32(k + 12, np.uint64(row))
        store32(r + 8, np.uint64(s))
        store32(r + 12, _NONE)
        store32(r + 20, np.uint64(sizes[i]))
        number = sequence[i] if sequence.size else state[_SEQ]
        store64(r + 24, np.uint64(number))
        state[_SEQ] = max(state[_SEQ], number + 1)
        flags[row] = flag


@kernel("int64(uint64[::1], int64[::1], int64[::1], int64, int64, int64, int64, int64, int64[::1])")
def probe(
    hashes: Any,
    places: Any,
    sizes: Any,
    table: Any,
    mask: Any,
    keys: Any,
    rows: Any,
    bases: Any,
    slots: Any,
) -> Any:
    """Key slots of keys that lie at addresses, -1 for none; returns how many rows they have."""
    mask = np.uint64(mask)
    one_size = sizes.size == 1
    total = np.int64(0)
    for i in range(hashes.size):
        ask_for(table, mask, keys, hashes, i)
        n = sizes[0] if one_size else sizes[i]
        _, s = find_key(table, mask, keys, rows, bases, hashes[i], places[i], n)
        slots[i] = s
        if s >= 0:
            total += np.int64(load32(keys + s * _KEY + 16))
    return total


@kernel("void(int64[::1], int64, int64, int64[::1], int64[::1])")
def walk(slots: Any, keys: Any, rows: Any, numbers: Any, ids: Any) -> None:
    """The rows of key slots, in the order of the chains."""
    at = np.int64(0)
    for i in range(slots.size):
        if i + _AHEAD < slots.size and slots[i + _AHEAD] >= 0:
            prefetch(keys + slots[i + _AHEAD] * _KEY + 8)
            half = slots[i + (_AHEAD >> 1)]
            if half >= 0:
                prefetch(rows + np.int64(load32(keys + half * _KEY + 8)) * _ROW)
        if slots[i] < 0:
            continue
        k = keys + slots[i] * _KEY
        row = signed(load32(k + 8))
        for _ in range(np.int64(load32(k + 16))):
            numbers[at] = i
            ids[at] = row
            at += 1
            row = signed(load32(rows + row * _ROW + 12))


@kernel(
    "int64(int64[::1], int64[::1], int64[::1], int64, int64, int64, int64, int64, int64,"
    " int64[::1])"
)
def find_in_chains(
    slots: Any,
    places: Any,
    sizes: Any,
    keys: Any,
    rows: Any,
    bases: Any,
    stamps: Any,
    stamp: Any,
    longest: Any,
    found: Any,
) -> Any:
    """The oldest row of the key with the same bytes that this call has not given yet.

    Args:
        slots: key slots.
        places: addresses of the rows looked for.
        sizes: their bytes.
        keys: see above.
        rows: see above.
        bases: see above.
        stamps: address of 4 bytes a row: the call that gave it.
        stamp: the number of this call.
        longest: chains of more rows are not walked.
        found: filled with ids, -1 for none.

    Returns:
        The index at which a chain was too long, or -1.
    """
    for i in range(slots.size):
        found[i] = -1
        if slots[i] < 0:
            continue
        k = keys + slots[i] * _KEY
        count = np.int64(load32(k + 16))
        if count > longest:
            return i
        row = signed(load32(k + 8))
        for _ in range(count):
            r = rows + row * _ROW
            fits = np.int64(load32(r + 20)) == sizes[i]
            fresh = load32(stamps + 4 * row) != np.uint64(stamp)
            if fits and fresh and same(locate(rows, bases, row), places[i], sizes[i]):
                store32(stamps + 4 * row, np.uint64(stamp))
                found[i] = row
                break
            row = signed(load32(r + 12))
    return -1


# -- rows by content ------------------------------------------------------------------------------


@inline
def content_hash(at: Any, n: Any) -> Any:
    """The hash of a row's bytes."""
    return hash_bytes(at, n, _SEED)


@inline
def find_content(table: Any, mask: Any, rows: Any, bases: Any, h: Any, at: Any, n: Any) -> Any:
    """Where in the table a row's content is or belongs, and the oldest such row or -1."""
    tag = h & _LOW
    p = tag & mask
    while True:
        entry = load64(table + np.int64(p << np.uint64(3)))
        if entry == _ZERO:
            return p, np.int64(-1)
        if entry >> _32 == tag:
            row = np.int64(entry & _LOW) - 1
            fits = np.int64(load32(rows + row * _ROW + 20)) == n
            if fits and same(locate(rows, bases, row), at, n):
                return p, row
        p = (p + _ONE) & mask


@kernel("int64(int64[::1], int64, int64, int64, int64, int64)")
def enter_content(ids: Any, table: Any, mask: Any, twins: Any, rows: Any, bases: Any) -> Any:
    """Enter rows, oldest first; returns how many contents are new."""
    mask = np.uint64(mask)
    new = np.int64(0)
    for i in range(ids.size):
        row = ids[i]
        at = locate(rows, bases, row)
        n = np.int64(load32(rows + row * _ROW + 20))
        h = content_hash(at, n)
        p, first = find_content(table, mask, rows, bases, h, at, n)
        store32(twins + 8 * row, _NONE)
        if first < 0:
            store64(table + np.int64(p << np.uint64(3)), ((h & _LOW) << _32) | np.uint64(row + 1))
            store32(twins + 8 * row + 4, np.uint64(row))
            new += 1
        else:
            last = load32(twins + 8 * first + 4)
            store32(twins + 8 * np.int64(last), np.uint64(row))
            store32(twins + 8 * row + 4, last)
            store32(twins + 8 * first + 4, np.uint64(row))
    return new


@kernel("void(int64[::1], int64[::1], int64, int64, int64, int64, int64, int64, int64, int64[::1])")
def find_by_content(
    places: Any,
    sizes: Any,
    table: Any,
    mask: Any,
    twins: Any,
    rows: Any,
    bases: Any,
    stamps: Any,
    stamp: Any,
    found: Any,
) -> None:
    """As ``find_in_chains``, by content.

    Args:
        places: addresses of the rows looked for.
        sizes: their bytes.
        table: see above.
        mask: its size less one.
        twins: see above.
        rows: see above.
        bases: see above.
        stamps: address of 8 bytes a row: the call that gave it and, if it is the first of its
            content, the one to give next (-1 for none).
        stamp: the number of this call.
        found: filled with ids, -1 for none.
    """
    mask = np.uint64(mask)
    for i in range(places.size):
        h = content_hash(places[i], sizes[i])
        row = find_content(table, mask, rows, bases, h, places[i], sizes[i])[1]
        if row >= 0:
            at = stamps + 8 * row
            if load32(at) == np.uint64(stamp):
                row = signed(load32(at + 4))
            store32(at, np.uint64(stamp))
            if row >= 0:
                store32(at + 4, load32(twins + 8 * row))
        found[i] = row


@inline
def shift_back(table: Any, mask: Any, p: Any) -> None:
    """Take an entry out: those behind it move up."""
    q = p
    while True:
        q = (q + _ONE) & mask
        entry = load64(table + np.int64(q << np.uint64(3)))
        if entry == _ZERO:
            break
        home = (entry >> _32) & mask
        if ((q - home) & mask) >= ((q - p) & mask):
            store64(table + np.int64(p << np.uint64(3)), entry)
            p = q
    store64(table + np.int64(p << np.uint64(3)), _ZERO)


@kernel("int64(int64[::1], int64, int64, int64, int64, int64)")
def leave_content(ids: Any, table: Any, mask: Any, twins: Any, rows: Any, bases: Any) -> Any:
    """Take rows out of the table by content; returns how many contents are gone."""
    mask = np.uint64(mask)
    gone = np.int64(0)
    for i in range(ids.size):
        row = ids[i]
        at = locate(rows, bases, row)
        n = np.int64(load32(rows + row * _ROW + 20))
        p, first = find_content(table, mask, rows, bases, content_hash(at, n), at, n)
        after = load32(twins + 8 * row)
        before = load32(twins + 8 * row + 4)
        if first != row:
            store32(twins + 8 * np.int64(before), after)
            keeper = np.int64(after) if after != _NONE else first
            store32(twins + 8 * keeper + 4, before)
        elif after == _NONE:
            shift_back(table, mask, p)
            gone += 1
        else:
            place = table + np.int64(p << np.uint64(3))
            store64(place, (load64(place) & ~_LOW) | (after + _ONE))
            store32(twins + 8 * np.int64(after) + 4, before)
    return gone


# -- removal --------------------------------------------------------------------------------------


@kernel("int64(int64[::1], uint8[::1])")
def claim(ids: Any, flags: Any) -> Any:
    """Mark rows that are about to go; the index of one not in use or given twice, or -1."""
    for i in range(ids.size):
        if i + _AHEAD < ids.size:
            prefetch(flags.ctypes.data + ids[i + _AHEAD])
        flag = flags[ids[i]]
        if not flag & _LIVE or flag & _GOING:
            for j in range(i):
                flags[ids[j]] &= 255 - _GOING
            return i
        flags[ids[i]] = flag | _GOING
    return -1


@kernel(
    "int64(int64[::1], int64, int64, int64, int64, int64, int64, uint8[::1], int64[::1],"
    " int64[::1], int64[::1], uint64[::1], int64[::1])"
)
def unlink(
    ids: Any,
    table: Any,
    mask: Any,
    keys: Any,
    free_slots: Any,
    rows: Any,
    free_ids: Any,
    flags: Any,
    held: Any,
    state: Any,
    stored: Any,
    hashes: Any,
    sequence: Any,
) -> Any:
    """Take claimed rows out of their chains; keys without rows go. Bytes that the rows had.

    Args:
        ids: the rows; ``flags`` has a byte, ``held`` the bytes of living rows of each segment.
        stored: int64[1], counts the rows that a backend has.
        hashes: filled with their keys' hashes.
        sequence: filled with their sequence numbers.
    """
    mask = np.uint64(mask)
    freed = np.int64(0)
    for i in range(ids.size):
        if i + _AHEAD < ids.size:
            prefetch(rows + ids[i + _AHEAD] * _ROW)
        row = ids[i]
        flag = flags[row]
        flags[row] = 0
        r = rows + row * _ROW
        s = np.int64(load32(r + 8))
        after, before = load32(r + 12), load32(r + 16)
        k = keys + s * _KEY
        if flag & _STORED:
            hashes[stored[0]] = load64(k)
            sequence[stored[0]] = np.int64(load64(r + 24))
            stored[0] += 1
        if before != _NONE:
            store32(rows + np.int64(before) * _ROW + 12, after)
        else:
            store32(k + 8, after)
        if after != _NONE:
            store32(rows + np.int64(after) * _ROW + 16, before)
        else:
            store32(k + 12, before)
        left = load32(k + 16) - _ONE
        store32(k + 16, left)
        if left == _ZERO:
            h = load64(k)
            p = h & mask
            while load64(table + np.int64(p << np.uint64(3))) & _LOW != np.uint64(s + 1):
                p = (p + _ONE) & mask
            shift_back(table, mask, p)
            store32(free_slots + 4 * state[_FREE_SLOTS], np.uint64(s))
            state[_FREE_SLOTS] += 1
            state[_KEYS] -= 1
        store32(free_ids + 4 * state[_FREE_IDS], np.uint64(row))
        state[_FREE_IDS] += 1
        size = np.int64(load32(r + 20)) + 8
        held[np.int64(load64(r) >> _SEGMENT_BITS)] -= size
        freed += size
    return freed


@kernel("int64(int64, int64, int64, int64, uint8[::1], int64[::1], int64[::1])")
def living(base: Any, used: Any, segment: Any, rows: Any, flags: Any, ids: Any, sizes: Any) -> Any:
    """The rows in use of a segment, in order; returns how many."""
    at = np.int64(0)
    count = np.int64(0)
    while at < used:
        row = np.int64(load32(base + at))
        n = np.int64(load32(base + at + 4))
        if flags[row] & _LIVE:
            offset = (np.uint64(segment) << _SEGMENT_BITS) | np.uint64(at)
            if load64(rows + row * _ROW) == offset:
                ids[count] = row
                sizes[count] = n
                count += 1
        at += 8 + n
    return count


@kernel("void(int64[::1], int64, int64, uint64[::1])")
def key_hashes(ids: Any, rows: Any, keys: Any, out: Any) -> None:
    """The hashes of rows' keys."""
    for i in range(ids.size):
        if i + _AHEAD < ids.size:
            prefetch(rows + ids[i + _AHEAD] * _ROW)
        s = np.int64(load32(rows + ids[i] * _ROW + 8))
        out[i] = load64(keys + s * _KEY)

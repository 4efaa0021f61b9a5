"""The sweep that removes expired state in the background, a bounded number of entries at a time.

A round goes once through each state that expires: what is in memory, then what lies in RocksDB
alone. A look at an entry costs about a microsecond, of one that RocksDB has a few. While a round
finds nothing due for some time, the next one waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, Final, Protocol

from lesto.common.elements import MIN_TIMESTAMP
from lesto.state import codec
from lesto.state.entry_keys import take_sized
from lesto.state.ttl import Lifetime

if TYPE_CHECKING:
    from lesto.state.cells import Cells

#: Entries looked at in one turn of the mailbox: 1 to 10 ms.
STEP_ENTRIES: Final = 1_000
#: Elements of a list that count as one entry more.
ITEMS_A_LOOK: Final = 8
#: Pause between two turns of one round, ms: at most a twentieth of the slot's time.
STEP_PAUSE_MS: Final = 200
#: Shortest and longest pause between two rounds, ms.
ROUND_PAUSE_MIN_MS: Final = 1_000
ROUND_PAUSE_MAX_MS: Final = 60_000


class SweptBackend(Protocol):
    """What the sweep needs of a backend."""

    current_key: Any

    def expiring(self) -> Iterable[tuple[Cells, Any, Lifetime]]:
        """States that expire: cells, a raw state object for them, and their lifetime."""
        ...

    def stored_cells(self, cells: Cells) -> Iterator[tuple[bytes, bytes]]:
        """Entries that lie on disk, perhaps not in memory: entry key behind the prefix, value."""
        ...


class Sweep:
    """Rounds through the states that expire."""

    def __init__(self, backend: SweptBackend) -> None:
        self._backend = backend
        self._round: Iterator[None] | None = None
        self._soonest: int | None = None
        self.removed = 0

    def step(self, entries: int = STEP_ENTRIES) -> bool:
        """Look at some entries; True when the round is over."""
        backend = self._backend
        if self._round is None:
            self._soonest = None
            self._round = self._go_round()
        key = backend.current_key
        try:
            looked = sum(1 for _ in islice(self._round, entries))
        finally:
            backend.current_key = key
        if looked < entries:
            self._round = None
            return True
        return False

    def pause_ms(self) -> int:
        """How long the next round may wait, of the wall clock.

        In event time nobody knows: the shortest pause, unless the watermark has not moved.
        """
        soonest = self._soonest
        ttls = [life.ttl_ms for _, _, life in self._backend.expiring() if not life.event]
        waits = [ROUND_PAUSE_MAX_MS, *ttls]
        if soonest is not None:
            waits.append(soonest)
        if any(life.event for _, _, life in self._backend.expiring()):
            waits.append(ROUND_PAUSE_MIN_MS)
        return max(ROUND_PAUSE_MIN_MS, min(waits))

    def _go_round(self) -> Iterator[None]:
        for cells, state, life in list(self._backend.expiring()):
            if not life.sweeps or (life.event and life.horizon() == MIN_TIMESTAMP):
                continue
            yield from self._in_memory(cells, state, life)
            yield from self._on_disk(cells, state, life)

    def _in_memory(self, cells: Cells, state: Any, life: Lifetime) -> Iterator[None]:
        kind = cells.descriptor.kind
        for namespace in list(cells.spaces):
            # One list of references a round, 8 bytes a key, 6 ms a million of them.
            for key in list(cells.spaces.get(namespace, ())):
                self._move(state, namespace, key)
                if kind != "map":
                    looked = self._look(kind, state, life)
                    yield from repeat(None, looked)
                    continue
                for map_key, entry in state.loaded():
                    self._move(state, namespace, key)
                    self._look_at_entry(state, life, map_key, entry)
                    yield

    def _on_disk(self, cells: Cells, state: Any, life: Lifetime) -> Iterator[None]:
        kind = cells.descriptor.kind
        for where, data in self._backend.stored_cells(cells):
            if kind == "list":
                yield from self._stored_part(state, life, where, data)
                continue
            stamp = first_stamp(data)
            if stamp is None or stamp == MIN_TIMESTAMP or life.over(stamp):
                key, at = take_sized(where, 0)
                namespace, at = take_sized(where, at)
                self._move(state, codec.decode(namespace), codec.decode(key))
                if kind == "map":  # what is in memory, not what was read, is right
                    map_key = codec.decode(where[at:])
                    self._look_at_entry(state, life, map_key, state.get(map_key))
                else:
                    self._look(kind, state, life)
            else:
                self._due_at(life, stamp)
            yield

    def _stored_part(self, state: Any, life: Lifetime, where: bytes, data: bytes) -> Iterator[None]:
        """A list, or a part of one."""
        part = codec.decode(data)
        items = part[1] if isinstance(part, tuple) else part
        if any(stamp == MIN_TIMESTAMP or life.over(stamp) for stamp, _ in items):
            key, at = take_sized(where, 0)
            namespace, _ = take_sized(where, at)
            self._move(state, codec.decode(namespace), codec.decode(key))
            self._look_at_list(state, life)
        elif items:
            self._due_at(life, min(stamp for stamp, _ in items))
        yield from repeat(None, 1 + len(items) // ITEMS_A_LOOK)

    def _move(self, state: Any, namespace: Any, key: Any) -> None:
        """To a cell; others may have used the state since."""
        self._backend.current_key = key
        state.set_namespace(namespace)

    def _look(self, kind: str, state: Any, life: Lifetime) -> int:
        """Look at a cell; gives how many entries that counts for."""
        if kind == "list":
            return 1 + self._look_at_list(state, life) // ITEMS_A_LOOK
        self._look_at_value(state, life)
        return 1

    def _look_at_value(self, state: Any, life: Lifetime) -> None:
        found = state.value()
        if found is None:
            return
        stamp, value = found
        if stamp == MIN_TIMESTAMP:
            state.update((life.horizon(), value))
        elif life.over(stamp):
            state.update(None)
            self.removed += 1
        else:
            self._due_at(life, stamp)

    def _look_at_list(self, state: Any, life: Lifetime) -> int:
        items = list(state.get())
        live = [item for item in items if not life.over(item[0])]
        unknown = any(stamp == MIN_TIMESTAMP for stamp, _ in live)
        if unknown:
            now = life.horizon()
            live = [(now if stamp == MIN_TIMESTAMP else stamp, value) for stamp, value in live]
        if unknown or len(live) < len(items):
            state.update(live)
            self.removed += len(items) - len(live)
        if live:
            self._due_at(life, min(stamp for stamp, _ in live))
        return len(items)

    def _look_at_entry(self, state: Any, life: Lifetime, map_key: Any, entry: Any) -> None:
        if entry is None:
            return
        stamp, value = entry
        if stamp == MIN_TIMESTAMP:
            state.put(map_key, (life.horizon(), value))
        elif life.over(stamp):
            state.remove(map_key)
            self.removed += 1
        else:
            self._due_at(life, stamp)

    def _due_at(self, life: Lifetime, stamp: int) -> None:
        if life.event:
            return
        wait = stamp + life.ttl_ms - life.horizon()
        if self._soonest is None or wait < self._soonest:
            self._soonest = wait


def first_stamp(data: bytes) -> int | None:
    """The stamp of an encoded pair (stamp, value); None for anything else (a list of pairs).

    >>> first_stamp(codec.encode((1 << 40, "x"))) == 1 << 40
    True
    """
    if data[0] != 0x92:
        return None
    if data[1] == 0xCF:  # unsigned, 64 bits: ms since 1970 are such
        return int.from_bytes(data[2:10], "big")
    stamp: int = codec.decode(data)[0]
    return stamp

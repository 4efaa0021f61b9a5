"""The quick engine of sessions: windows that merge, by key, that fire at their end.

The sessions of a key are objects in memory. A record that falls into its key's one open session,
which nearly all do, costs a look-up and two comparisons; anything else goes a slower way that
merges, drops or fires. Which session a record belongs to is found first, then all are folded in
one loop. Ends lie in buckets of time; a session that has grown since it was put into one is put
into a later one when its time comes, so that records move nothing.

At a snapshot the sessions of each key that has changed are one value in the keyed state.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from lesto.common.elements import MAX_TIMESTAMP, Timestamps
from lesto.common.windowing import TimeWindow, session_gap_of
from lesto.state.descriptors import ValueStateDescriptor
from lesto.taskmanager.operators.user_functions import (
    current_row,
    function_error,
    function_name,
    user_errors,
)
from lesto.taskmanager.operators.window_contents import EMPTY
from lesto.taskmanager.operators.window_engine import FIRED_KEYS_MAX, EngineParts, WindowEngine

#: Value state of a key: (start, end, whether it has fired, content) of each of its sessions.
SESSIONS_STATE: Final = "_sessions"
#: Width of the buckets of ends where the gap is not fixed, ms.
BUCKET_MS: Final = 256


class Session:
    """A session of a key, as long as it is kept.

    Attributes:
        key: of its records.
        start, end: bounds in ms, the end exclusive.
        content: of its records, as the window's contents are kept.
        fired: it has given a result and no record has come since.
        alive: it is kept; False once it is over or part of another.
    """

    __slots__ = ("alive", "content", "end", "fired", "key", "start")

    def __init__(self, key: Any, start: int, end: int) -> None:
        self.key = key
        self.start = start
        self.end = end
        self.content: Any = EMPTY
        self.fired = False
        self.alive = True


class RowSessions(WindowEngine):
    """Sessions of rows.

    Args:
        assigner: sessions with a fixed or dynamic gap.
        lateness_ms: how long a session of event time stays after its end.
        parts: what engines work with.
    """

    def __init__(self, assigner: Any, lateness_ms: int, parts: EngineParts) -> None:
        self.by_clock = not assigner.is_event_time()
        self._lateness = 0 if self.by_clock else lateness_ms
        self._assigner = assigner
        self._gap: int | None = getattr(assigner, "session_gap", None)
        self._parts = parts
        self._state: Any = None
        #: The latest session of each key, if it has not ended.
        self._latest: dict[Any, Session] = {}
        #: All sessions of the keys that have others.
        self._several: dict[Any, list[Session]] = {}
        self._width = BUCKET_MS if self._gap is None else max(1, self._gap // 16)
        self._buckets: dict[int, list[Session]] = {}
        self._order: list[int] = []
        #: Keys whose sessions differ from the keyed state; None: nothing was ever saved.
        self._unsaved: set[Any] | None = None
        # Of the batch in hand: sessions of its first rows, and how many of them are folded.
        self._assigned: list[Session | None] = []
        self._folded = 0
        self._values: list[Any] = []

    # -- records

    def process(self, keys: list[Any], values: list[Any], timestamps: Timestamps) -> None:
        """Add a batch to the sessions."""
        if self.by_clock:
            timestamps = np.full(len(values), self._parts.timers.now_ms(), np.int64)
        if self._gap is None:
            ends: list[int] = self._dynamic_ends(values, timestamps)
        else:
            ends = (timestamps + self._gap).tolist()
        assigned: list[Session | None] = []
        self._assigned = assigned
        self._folded = 0
        self._values = values
        append, latest, place = assigned.append, self._latest.get, self._place
        for key, start, end in zip(keys, timestamps.tolist(), ends, strict=True):
            session = latest(key)
            # Nothing lies behind the latest: to grow there, it need not be compared with others.
            if session is not None and session.start <= start <= session.end:
                session.end = max(session.end, end)
                append(session)
                continue
            append(place(key, start, end))
            if self._lateness and self._fires_at_once(assigned[-1]):
                self._refire(assigned[-1])
        self._fold()
        if self._unsaved is not None:
            self._unsaved.update(keys)
        if None in assigned:
            late = np.array([i for i, s in enumerate(assigned) if s is None], np.int64)
            self._parts.late.take(late, values, timestamps)
        self._assigned, self._values = [], []
        self._parts.results.flush()

    def _dynamic_ends(self, values: list[Any], timestamps: Timestamps) -> list[int]:
        name = function_name(self._assigner.session_window_time_gap_extractor)
        extractor = self._assigner.session_window_time_gap_extractor
        rows = iter(values)
        try:
            gaps = [session_gap_of(extractor, value) for value in rows]
        except Exception as error:
            at = current_row(rows, len(values))
            raise function_error(self._parts.operator, name, error, at) from error
        return [time + gap for time, gap in zip(timestamps.tolist(), gaps, strict=True)]

    def _place(self, key: Any, start: int, end: int) -> Session | None:
        """The session of a record that does not begin in its key's latest; None: too late."""
        sessions = self._all_of(key)
        touched = [s for s in sessions if start <= s.end and s.start <= end]
        for session in touched:
            start, end = min(start, session.start), max(end, session.end)
        if not self.by_clock and self._is_over(end):
            return None
        if not touched:
            target = Session(key, start, end)
            sessions = [*sessions, target]
            self._enter(target)
        else:
            touched.sort(key=lambda s: s.start)
            target = touched[0]
            if len(touched) > 1:
                self._join(target, touched[1:])
                sessions = [s for s in sessions if s.alive]
            if target.fired or len(touched) > 1:  # else it waits for an earlier time already
                target.fired = False
                self._enter(target, end)
            target.start, target.end = start, end
        self._keep(key, sessions)
        return target

    def _keep(self, key: Any, sessions: list[Session]) -> None:
        """These are a key's sessions."""
        last = None
        for session in sessions:
            if last is None or session.start > last.start:
                last = session
        # Behind a restore one that has fired may not have ended: no watermark has come yet.
        if last is None or last.fired or self._has_ended(last):
            self._latest.pop(key, None)
        else:
            self._latest[key] = last
            if len(sessions) == 1:
                self._several.pop(key, None)
                return
        if sessions:
            self._several[key] = sessions
        else:
            self._several.pop(key, None)

    def _has_ended(self, session: Session) -> bool:
        return not self.by_clock and session.end - 1 <= self._parts.timers.current_watermark

    def _is_over(self, end: int) -> bool:
        """Whether a session with this end is not kept any more."""
        cleanup = min(end - 1 + self._lateness, MAX_TIMESTAMP)
        return cleanup <= self._parts.timers.current_watermark

    def _join(self, target: Session, others: list[Session]) -> None:
        """Sessions become one with the earliest of them."""
        self._fold()
        contents = self._parts.contents
        for other in others:
            other.alive = False
            target.fired = target.fired and other.fired
            with user_errors(self._parts.operator, f"{function_name(contents.function)}.merge"):
                target.content = contents.join(target.content, other.content)

    def _fold(self) -> None:
        """Fold the records whose sessions are known."""
        assigned, start = self._assigned, self._folded
        self._folded = len(assigned)
        some = assigned[start:] if start else assigned
        values = self._values[start : len(assigned)]
        index: list[int] | None = None
        if None in some:
            index = [i for i, s in enumerate(some) if s is not None]
            values = [values[i] for i in index]
        sessions: Any = some if index is None else [some[i] for i in index]
        rows = iter(values)
        contents = self._parts.contents
        try:
            contents.fold_objects(sessions, rows)
        except Exception as error:
            at = current_row(rows, len(values))
            row = start + (at if index is None else index[at])
            raise function_error(self._parts.operator, contents.name, error, row) from error

    def _fires_at_once(self, session: Session | None) -> bool:
        return session is not None and self._has_ended(session)

    def _refire(self, session: Session | None) -> None:
        """A late record has come into a session that has ended and is kept: a result at once."""
        assert session is not None
        self._fold()
        self._give([session])

    # -- time

    def _enter(self, session: Session, end: int | None = None) -> None:
        """Look at a session when its end (of ``end``) has come."""
        self._enter_at(session, (session.end if end is None else end) - 1)

    def _enter_at(self, session: Session, time: int) -> None:
        number = time // self._width
        bucket = self._buckets.get(number)
        if bucket is None:
            self._buckets[number] = [session]
            insort(self._order, number)
        else:
            bucket.append(session)

    def due_at(self) -> int | None:
        """When to look for sessions that end by the wall clock."""
        if not self._order:
            return None
        bucket = self._buckets[self._order[0]]
        return min(s.end - 1 for s in bucket)

    def advance(self, time: int) -> Iterator[None]:
        """Fire the sessions that have ended; forget those past their lateness."""
        if not self.by_clock:
            self._parts.timers.current_watermark = time
        due, over = self._take_due(time)
        for at in range(0, len(due), FIRED_KEYS_MAX):
            some = due[at : at + FIRED_KEYS_MAX]
            if at:  # records may have come since the first were given
                changed = [s for s in some if s.alive and s.end - 1 > time]
                for session in changed:
                    self._enter(session)
                some = [s for s in some if s.alive and not s.fired and s.end - 1 <= time]
            self._give(some)
            self._settle(some, time)
            yield
        self._settle(over, time)

    def _take_due(self, time: int) -> tuple[list[Session], list[Session]]:
        """Sessions that are to fire, by end, and those that have fired and may be over."""
        count = bisect_right(self._order, time // self._width)
        due: dict[int, Session] = {}
        over: dict[int, Session] = {}
        wait: dict[int, tuple[Session, int]] = {}
        for number in self._order[:count]:
            for session in self._buckets.pop(number):
                if not session.alive:
                    continue
                at = session.end - 1
                if session.fired:
                    at = min(at + self._lateness, MAX_TIMESTAMP)
                if at > time:
                    wait[id(session)] = session, at
                elif session.fired:
                    over[id(session)] = session
                else:
                    due[id(session)] = session
        del self._order[:count]
        for session, at in wait.values():
            self._enter_at(session, at)
        return sorted(due.values(), key=lambda s: s.end), list(over.values())

    def _give(self, sessions: list[Session]) -> None:
        """Results of sessions, which have fired then."""
        parts = self._parts
        results, backend = parts.results, parts.backend
        unsaved = self._unsaved
        for session in sessions:
            elements = self._elements(session.content)
            window = TimeWindow(session.start, session.end)
            backend.current_key = session.key
            session.fired = True
            results.fire(session.key, window, elements)
            if unsaved is not None:
                unsaved.add(session.key)

    def _elements(self, content: Any) -> list[Any]:
        contents = self._parts.contents
        try:
            return contents.elements(content)
        except Exception as error:
            raise function_error(self._parts.operator, contents.result_name, error) from error

    def _settle(self, sessions: list[Session], time: int) -> None:
        """Forget fired sessions that are over, keep the others for late records."""
        for session in sessions:
            key = session.key
            kept = self._all_of(key)
            cleanup = min(session.end - 1 + self._lateness, MAX_TIMESTAMP)
            if cleanup <= time:
                session.alive = False
                kept = [s for s in kept if s is not session]
            else:
                self._enter_at(session, cleanup)
            self._keep(key, kept)
            if self._unsaved is not None:
                self._unsaved.add(key)

    # -- state

    def _all_of(self, key: Any) -> list[Session]:
        sessions = self._several.get(key)
        if sessions is None:
            only = self._latest.get(key)
            return [] if only is None else [only]
        return sessions

    def save(self) -> dict[str, list[bytes]]:
        """Write the sessions of the keys that have changed."""
        backend, contents, state = self._parts.backend, self._parts.contents, self._open_state()
        keys = {**self._latest, **self._several} if self._unsaved is None else self._unsaved
        for backend.current_key in keys:
            sessions = self._all_of(backend.current_key)
            stored = [(s.start, s.end, s.fired, contents.checked(s.content)) for s in sessions]
            state.update(stored or None)
        self._unsaved = set()
        return {}

    def _open_state(self) -> Any:
        if self._state is None:
            self._state = self._parts.backend.get_state(ValueStateDescriptor(SESSIONS_STATE))
        return self._state

    def restore(self, windows: list[bytes]) -> None:
        """Load what was saved, by this engine or the general one."""
        from lesto.taskmanager.operators.window_merging import take_merging_windows

        parts, backend = self._parts, self._parts.backend
        found = take_merging_windows(
            backend, parts.timers, parts.contents, by_clock=self.by_clock, lateness=self._lateness
        )
        stored = list(backend.keys(SESSIONS_STATE))
        if stored:
            state = self._open_state()
            for backend.current_key in stored:
                found.setdefault(backend.current_key, []).extend(state.value())
        for key, sessions in found.items():
            kept = [_loaded(key, *session) for session in sessions]
            self._keep(key, kept)
            for session in kept:
                last = session.end - 1
                self._enter_at(session, last + self._lateness if session.fired else last)
        if found:
            self._unsaved = set(found)


def _loaded(key: Any, start: int, end: int, fired: bool, content: Any) -> Session:
    session = Session(key, start, end)
    session.fired, session.content = fired, content
    return session

"""Which states an operator has: name, kind and number of each, as stored in ``states_meta``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from lesto.state.errors import CorruptFileError, StateMismatchError
from lesto.state.ttl import EVENT, PROCESSING
from lesto.state.typed import has_record

STATES_MAX: Final = 1 << 16
_VERSION: Final = 1
#: What ``extra`` says of the form of values: see :mod:`lesto.state.formats`.
FORM: Final = ("ttl", "value", "map_key")


@dataclass(frozen=True, slots=True)
class StateMeta:
    """What a snapshot says about one state.

    Attributes:
        name: unique in the operator.
        kind: value, list, map, reducing, aggregating, table or timers.
        types: type information as text, for people.
        extra: a table's own description.
    """

    name: str
    kind: str
    types: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


class StateRegistry:
    """Numbers the states of one backend. A number, once given, is never given to another state."""

    def __init__(self) -> None:
        self._by_id: dict[int, StateMeta] = {}
        self._ids: dict[str, int] = {}

    def register(self, meta: StateMeta) -> int:
        """The number of a state, new or known.

        Raises:
            StateMismatchError: the name is taken by another kind.
        """
        state_id = self._ids.get(meta.name)
        if state_id is None:
            state_id = len(self._by_id)
            if state_id >= STATES_MAX:
                msg = f"an operator may have {STATES_MAX} states"
                raise StateMismatchError(msg, remedy="use a map state instead of many states")
            self._ids[meta.name] = state_id
        elif self._by_id[state_id].kind != meta.kind:
            known = self._by_id[state_id].kind
            msg = f"state '{meta.name}' is of kind {known}, not {meta.kind}"
            raise StateMismatchError(
                msg, remedy=f"declare it as {known} state, or give the new state another name"
            )
        self._by_id[state_id] = meta
        return state_id

    def get(self, name: str) -> StateMeta | None:
        """What is known of a state."""
        state_id = self._ids.get(name)
        return None if state_id is None else self._by_id[state_id]

    def id_of(self, name: str) -> int | None:
        """The number of a state."""
        return self._ids.get(name)

    def states(self) -> dict[int, StateMeta]:
        """All states by number."""
        return dict(self._by_id)

    def adopt(self, states: Mapping[int, StateMeta]) -> dict[int, int]:
        """Register restored states; gives stored number -> own number.

        An empty registry keeps the stored numbers.

        Raises:
            StateMismatchError: a name is known with another kind.
        """
        if not self._by_id and sorted(states) == list(range(len(states))):
            states = dict(sorted(states.items()))
        for meta in states.values():
            self._check_form(meta)
        return {stored: self.register(meta) for stored, meta in states.items()}

    def _check_form(self, meta: StateMeta) -> None:
        known = self.get(meta.name)
        if known is None or all(_alike(known.extra.get(k), meta.extra.get(k)) for k in FORM):
            return
        msg = (
            f"subtasks have kept state '{meta.name}' in different forms, before and after a change"
        )
        raise StateMismatchError(
            msg,
            remedy="restore at the parallelism of the snapshot, and ask for the state in open()",
        )


def _alike(one: Any, other: Any) -> bool:
    """Whether values of two forms can lie side by side: types that only name them can."""
    if one == other:
        return True
    return not any(has_record(form) or form in (PROCESSING, EVENT) for form in (one, other))


def encode_states(states: Mapping[int, StateMeta]) -> bytes:
    """``states_meta`` of a handle."""
    body = [
        {"id": i, "name": m.name, "kind": m.kind, "types": list(m.types), "extra": dict(m.extra)}
        for i, m in sorted(states.items())
    ]
    return msgspec.msgpack.encode({"version": _VERSION, "states": body})


def decode_states(data: bytes) -> dict[int, StateMeta]:
    """The states of a handle's ``states_meta``.

    Raises:
        CorruptFileError: the bytes are not such.
    """
    try:
        content = msgspec.msgpack.decode(data)
        if content["version"] != _VERSION:
            msg = f"keyed state of format version {content['version']}, this Lesto reads {_VERSION}"
            raise CorruptFileError(
                msg, remedy="restore with the Lesto that wrote it, or a newer one"
            )
        return {
            s["id"]: StateMeta(s["name"], s["kind"], tuple(s["types"]), s["extra"])
            for s in content["states"]
        }
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        msg = f"the description of keyed state in a checkpoint is damaged: {error!r}"
        raise CorruptFileError(msg, remedy="restore from another checkpoint") from error

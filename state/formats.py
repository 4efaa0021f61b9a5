"""How a state's values lie in its cells: typed or by their own types, with stamps or without.

A snapshot says so for each state. When a job declares a state otherwise than the snapshot has it,
:func:`change_of` checks whether one becomes the other, and gives what does it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.types as pat

from lesto.common.types import TypeInformation
from lesto.state.errors import StateMigrationError, StateMismatchError
from lesto.state.evolution import evolve
from lesto.state.typed import (
    Convert,
    FieldType,
    Spec,
    adopt,
    arrow_word,
    field_type,
    has_record,
    record_type,
    show,
)

if TYPE_CHECKING:
    from lesto.state.descriptors import StateDescriptor
    from lesto.state.registry import StateMeta

TTL: Final = "ttl"
VALUE: Final = "value"
MAP_KEY: Final = "map_key"


@dataclass(frozen=True, slots=True)
class StateFormat:
    """How a state's values are kept.

    Attributes:
        value: type of the value, of a list's elements, of a map's values; None: by their own types.
        map_key: type of a map's keys.
        ttl: the clock by which they expire; None: never.
    """

    value: FieldType | None = None
    map_key: FieldType | None = None
    ttl: str | None = None

    def describe(self) -> dict[str, Any]:
        """What a snapshot says."""
        said: dict[str, Any] = {} if self.ttl is None else {TTL: self.ttl}
        for name, kind in ((VALUE, self.value), (MAP_KEY, self.map_key)):
            if kind is not None:
                said[name] = kind.spec
        return said


def declared_type(given: Any) -> FieldType | None:
    """The type that a descriptor was given; None when it says nothing about values."""
    if given is None:
        return None
    if isinstance(given, TypeInformation):
        kind = given.to_arrow()
        return None if kind is None else FieldType(_arrow_spec(kind))
    if isinstance(given, pa.DataType) and not isinstance(given, pa.StructType):
        return FieldType(_arrow_spec(given))
    record = record_type(given)
    if record is not None:
        return FieldType(record.spec, record.pack, record.unpack, record)
    hints = (type, types.GenericAlias, types.UnionType, typing._GenericAlias)  # type: ignore[attr-defined]
    return field_type(given) if isinstance(given, hints) else None


def _arrow_spec(kind: pa.DataType) -> Spec:
    return {"arrow": str(kind)} if pat.is_nested(kind) else arrow_word(kind)


def stored_specs(meta: StateMeta) -> dict[str, Spec]:
    """The types a snapshot says a state's values have."""
    extra: Mapping[str, Any] = meta.extra
    found = {name: extra[name] for name in (VALUE, MAP_KEY) if name in extra}
    if found or "arrow" not in extra:
        return found
    # Written before snapshots said it themselves.
    for field in pa.ipc.read_schema(pa.py_buffer(extra["arrow"])):
        kind = field.type
        if meta.kind == "list":
            if not pat.is_list(kind):
                continue
            kind = kind.value_type
        found[field.name] = _arrow_spec(kind)
    return found


#: Turns what a cell holds, of a map what an entry holds, into another format.
CellChange = Callable[[Any], Any]


def change_of(
    stored: StateMeta, descriptor: StateDescriptor, now: Callable[[str], int]
) -> CellChange | None:
    """What turns stored cells into those a descriptor declares; None: they are such.

    Args:
        stored: what the snapshot says.
        descriptor: what the job says.
        now: time of a clock (of TTL), for stamps that are not there.

    Raises:
        StateMigrationError: one does not become the other.
    """
    name, kind = stored.name, descriptor.kind
    declared = descriptor.format
    specs = stored_specs(stored)
    what = {"list": "element", "map": "map value"}.get(kind, "value")
    if kind == "map":
        _check_map_key(name, specs.get(MAP_KEY), declared.map_key)
    convert = _conversion(name, what, specs.get(VALUE), declared.value)
    before, after = stored.extra.get(TTL), declared.ttl
    if convert is None and before == after:
        return None
    change = _change_of_item(convert, before, after, now)
    return (lambda items: [change(item) for item in items]) if kind == "list" else change


def _change_of_item(
    convert: Convert | None, before: str | None, after: str | None, now: Callable[[str], int]
) -> CellChange:
    at = now(after) if after is not None and after != before else None

    def change(item: Any) -> Any:
        stamp, value = (at, item) if before is None else item
        if convert is not None and value is not None:
            value = convert(value)
        if after is None:
            return value
        return (stamp if at is None else at, value)

    return change


def _check_map_key(name: str, old: Spec | None, new: FieldType | None) -> None:
    if old is None and (new is None or new.pack is None):
        return
    if new is not None and old == new.spec:
        return
    before, now = "untyped" if old is None else show(old), "untyped"
    if new is not None:
        now = show(new.spec)
        plain = old is not None and not has_record(old) and new.pack is None
        if plain and evolve(name, "map key", old, new) is None:
            return
    elif not has_record(old):
        return
    msg = f"state '{name}': the keys of the map were stored as {before} and are {now} now"
    raise StateMigrationError(
        msg, remedy="keys of a map cannot change: use a state of another name for the new ones"
    )


def _conversion(name: str, what: str, old: Spec | None, new: FieldType | None) -> Convert | None:
    if old is not None and has_record(old):
        if new is None:
            msg = f"state '{name}': the {what} was stored as {show(old)} and has no type now"
            raise StateMigrationError(msg, remedy=f"declare the state with {show(old)}")
        return evolve(name, what, old, new)
    if new is None:
        return None
    if new.pack is not None:  # what is stored are objects by their own types
        return partial(adopt, new)
    return None if old is None else evolve(name, what, old, new)


def check_same(name: str, known: StateFormat, other: StateFormat) -> None:
    """Whether two descriptors of one name in one operator agree.

    Raises:
        StateMismatchError: they do not.
    """
    if known is other or known.describe() == other.describe():
        return
    msg = f"two descriptors of state '{name}' in one operator differ in type or time-to-live"
    raise StateMismatchError(msg, remedy="make one descriptor, and use it everywhere")

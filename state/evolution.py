"""What becomes of stored state when the type its descriptor declares has changed.

Checked, and done to all stored values, when the restored state is asked for the first time. A field
may come (with a default), go, be renamed (with a declared alias) or be widened; anything else is
refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lesto.state.errors import StateMigrationError
from lesto.state.typed import Convert, FieldType, RecordType, Spec, show

#: Numbers that fit into others without loss, narrowest first. ``int`` and ``float`` are Python's.
_WIDENING: Final = (
    ("int8", "int16", "int32", "int64", "int"),
    ("uint8", "uint16", "uint32", "uint64", "int"),
    ("uint8", "int16"),
    ("uint16", "int32"),
    ("uint32", "int64"),
    ("float16", "float32", "float"),
    ("date32[day]", "date64[ms]"),
)
_INTEGERS: Final = frozenset(
    f"{sign}int{bits}" for sign in ("", "u") for bits in ("", 8, 16, 32, 64)
) - {"uint"}


class _Refused(Exception):
    """The stored type does not become the new one.

    Attributes:
        path: names of the fields that lead there.
    """

    def __init__(self, old: Spec, new: Spec, path: tuple[str, ...] = (), why: str = "") -> None:
        super().__init__(why)
        self.old = old
        self.new = new
        self.path = path
        self.why = why


def evolve(state: str, what: str, old: Spec, new: FieldType) -> Convert | None:
    """What turns stored values of one type into those of another; None: nothing need be done.

    Args:
        state: name of the state, for errors.
        what: which of its types it is: value, element, map key, ...
        old: the stored type.
        new: the declared one.

    Raises:
        StateMigrationError: there is no way; names the field and both types.
    """
    try:
        return _evolve(old, new)
    except _Refused as refused:
        field = ".".join(refused.path)
        if refused.why:
            place = f"field '{field}'" if field else f"the {what}"
            msg = f"state '{state}': {place} {refused.why}"
            remedy = (
                f"give '{field}' a default, or name the field it was before: "
                'Annotated[..., Alias("old_name")]'
            )
        else:
            place = f"field '{field}'" if field else f"the {what}"
            msg = (
                f"state '{state}': {place} was stored as {show(refused.old)} and is declared as "
                f"{show(refused.new)} now"
            )
            remedy = (
                f"declare it as {show(refused.old)}, keep the new one under another name with a "
                "default, or convert the savepoint with SavepointWriter"
            )
        raise StateMigrationError(msg, remedy=remedy) from None


def _evolve(old: Spec, new: FieldType) -> Convert | None:
    if new.record is not None and isinstance(old, dict) and "record" in old:
        return _evolve_record(old, new.record)
    if new.spec in (old, "any"):
        return None
    if isinstance(old, str) and isinstance(new.spec, str):
        return _widen(old, new.spec)
    if isinstance(new.spec, dict):
        found: Convert | None = _evolve_parts(old, new)
        if found is not _NO_WAY:
            return found
    raise _Refused(old, new.spec)


_NO_WAY: Final[Any] = object()


def _evolve_parts(old: Spec, new: FieldType) -> Any:
    spec = new.spec
    if "optional" in spec:
        inner = old["optional"] if isinstance(old, dict) and "optional" in old else old
        if inner == "none":
            return None
        convert = _evolve(inner, new.parts[0])
        return None if convert is None else lambda v: None if v is None else convert(v)
    if "union" in spec:
        members = old["union"] if isinstance(old, dict) and "union" in old else [old]
        return None if all(member in spec["union"] for member in members) else _NO_WAY
    if not isinstance(old, dict):
        return _NO_WAY
    for word, make in (("list", list), ("set", set)):
        if word in spec and word in old:
            convert = _evolve(old[word], new.parts[0])
            return None if convert is None else _each(make, convert)
    if "dict" in spec and "dict" in old and old["dict"][0] == spec["dict"][0]:
        convert = _evolve(old["dict"][1], new.parts[1])
        return None if convert is None else lambda d: {k: convert(v) for k, v in d.items()}
    if "tuple" in spec and "tuple" in old and len(spec["tuple"]) == len(old["tuple"]):
        parts = [_evolve(o, n) for o, n in zip(old["tuple"], new.parts, strict=True)]
        if not any(parts):
            return None
        return lambda t: tuple(v if c is None else c(v) for c, v in zip(parts, t, strict=True))
    return _NO_WAY


def _each(make: Callable[[Any], Any], convert: Convert) -> Convert:
    return lambda items: make(map(convert, items))


def _widen(old: str, new: str) -> Convert | None:
    for steps in _WIDENING:
        if old in steps and new in steps and steps.index(old) <= steps.index(new):
            return None
    if old in _INTEGERS and new == "float":
        return float
    if old == "bool" and new in _INTEGERS:
        return int
    if old in {"int64", "int"} and new in {"int64", "int"}:  # Arrow's and Python's
        return None
    raise _Refused(old, new)


def _evolve_record(old: Spec, new: RecordType) -> Convert | None:
    """Fields of the stored tuple to those of the new one."""
    stored = {name: (i, spec) for i, (name, spec) in enumerate(old["fields"])}
    now = {field.name for field in new.fields}
    steps: list[tuple[int, Convert | None]] = []
    for field in new.fields:
        names = [field.name, *(name for name in field.aliases if name not in now)]
        found = next((stored[name] for name in names if name in stored), None)
        if found is None:
            if field.default is None:
                fields = ", ".join(stored) or "none"
                why = (
                    f"({show(field.type.spec)}) is not in the stored {old['record']}, which has "
                    f"{fields}, and has no default"
                )
                raise _Refused(None, field.type.spec, (field.name,), why)
            steps.append((-1, _default_of(field.default, field.type.pack)))
            continue
        at, spec = found
        try:
            steps.append((at, _evolve(spec, field.type)))
        except _Refused as refused:
            raise _Refused(
                refused.old, refused.new, (field.name, *refused.path), refused.why
            ) from None
    if [at for at, _ in steps] == list(range(len(stored))) and not any(c for _, c in steps):
        return None

    def convert(fields: tuple[Any, ...]) -> tuple[Any, ...]:
        made = []
        for at, change in steps:
            if at < 0:
                assert change is not None
                made.append(change(None))
            else:
                made.append(fields[at] if change is None else change(fields[at]))
        return tuple(made)

    return convert


def _default_of(make: Callable[[], Any], pack: Convert | None) -> Convert:
    return lambda _: make() if pack is None else pack(make())

"""Typed state: dataclasses, pydantic models, NamedTuples and Arrow schemas as values of state.

Such a value is stored as the tuple of its fields, in the order of the class, and the snapshot says
once what the fields are called and of what types. So state is no pickle, outlives the class that
wrote it, and can follow a class that changes: :mod:`lesto.state.evolution`.
"""

from __future__ import annotations

import dataclasses
import json
import operator
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.types as pat

from lesto.common.row import Row
from lesto.state.errors import StateTypeError

#: What snapshots say of a type: a word, or one of ``{"list": t}``, ``{"set": t}``,
#: ``{"optional": t}``, ``{"dict": [k, v]}``, ``{"tuple": [t, ...]}``, ``{"union": [t, ...]}``,
#: ``{"record": name, "fields": [[name, t], ...]}``.
Spec = Any
Convert = Callable[[Any], Any]

_WORDS: Final = {
    int: "int",
    float: "float",
    str: "str",
    bytes: "bytes",
    bool: "bool",
    type(None): "none",
    Any: "any",
    object: "any",
}


@dataclass(frozen=True, slots=True)
class Alias:
    """An older name of a field: ``amount: Annotated[float, Alias("price")]``.

    >>> Alias("price", "cost").names
    ('price', 'cost')
    """

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


@dataclass(frozen=True, slots=True)
class FieldType:
    """A field's type.

    Attributes:
        spec: what snapshots say of it.
        pack: value to what is stored; None: as it is.
        unpack: back.
        record: the record type the field holds (perhaps in a container), or None.
        parts: types of a container's parts.
    """

    spec: Spec
    pack: Convert | None = None
    unpack: Convert | None = None
    record: RecordType | None = None
    parts: tuple[FieldType, ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record.

    Attributes:
        name: present name.
        type: its type.
        default: makes the value where the field is missing in older state; None: there is none.
        aliases: older names.
    """

    name: str
    type: FieldType
    default: Callable[[], Any] | None
    aliases: tuple[str, ...]


class RecordType:
    """A class or schema whose values are kept field by field.

    Attributes:
        name: of the class.
        fields: in order.
        accepts: the class of its values.
    """

    def __init__(
        self,
        name: str,
        fields: tuple[Field, ...],
        accepts: type,
        take: Callable[[Any], tuple[Any, ...]],
        build: Callable[[tuple[Any, ...]], Any],
    ) -> None:
        self.name = name
        self.fields = fields
        self.accepts = accepts
        self._take = take
        self._build = build
        self._packs = [(i, f.type.pack) for i, f in enumerate(fields) if f.type.pack is not None]
        self._unpacks = [
            (i, f.type.unpack) for i, f in enumerate(fields) if f.type.unpack is not None
        ]
        self.unpack: Convert = build if not self._unpacks else self._unpack_parts

    @property
    def spec(self) -> Spec:
        """What snapshots say of it."""
        return {"record": self.name, "fields": [[f.name, f.type.spec] for f in self.fields]}

    def pack(self, value: Any) -> tuple[Any, ...]:
        """The stored form of a value.

        Raises:
            StateTypeError: the value is of another class.
        """
        if type(value) is not self.accepts:
            found = type(value).__qualname__
            msg = f"state declared as {self.name} was given a {found}: {value!r:.200}"
            raise StateTypeError(
                msg, remedy=f"give it values of {self.name}, or declare the state as {found}"
            )
        fields = self._take(value)
        if not self._packs:
            return fields
        parts = list(fields)
        for i, pack in self._packs:
            parts[i] = pack(parts[i])
        return tuple(parts)

    def _unpack_parts(self, fields: tuple[Any, ...]) -> Any:
        parts = list(fields)
        for i, unpack in self._unpacks:
            parts[i] = unpack(parts[i])
        return self._build(tuple(parts))

    def adopt(self, value: Any) -> tuple[Any, ...]:
        """The stored form of a value that was kept before the state was typed, or was written as a
        row or mapping.

        Raises:
            StateTypeError: it has not the fields.
        """
        if type(value) is self.accepts and not isinstance(value, dict):
            return self.pack(value)
        if isinstance(value, Row) and value.get_field_names() is not None:
            value = value.as_dict()
        if isinstance(value, Mapping):
            missing = [f.name for f in self.fields if f.name not in value and f.default is None]
            if not missing:
                return tuple(
                    adopt(f.type, value[f.name])
                    if f.name in value
                    else _packed(f.type, _call(f.default))
                    for f in self.fields
                )
        msg = f"untyped state holds a {type(value).__qualname__}, which is no {self.name}"
        raise StateTypeError(msg, remedy="declare the state without a type, or start without it")


def adopt(kind: FieldType, value: Any) -> Any:
    """The stored form of a value that was not kept as this type; see :meth:`RecordType.adopt`."""
    if kind.pack is None or value is None:
        return value
    if kind.record is not None:
        return kind.record.adopt(value)
    (word,) = kind.spec
    if word == "optional":
        return adopt(kind.parts[0], value)
    if word == "dict":
        return {key: adopt(kind.parts[1], item) for key, item in value.items()}
    make = list if word == "list" else set
    return make(adopt(kind.parts[0], item) for item in value)


def _packed(kind: FieldType, value: Any) -> Any:
    return value if kind.pack is None else kind.pack(value)


def _call(make: Callable[[], Any] | None) -> Any:
    assert make is not None
    return make()


_known: dict[Any, RecordType] = {}
_making: set[Any] = set()


def record_type(given: Any) -> RecordType | None:
    """The record type of a class or schema; None for anything else.

    Raises:
        StateTypeError: it is one, but a field's type cannot be told.
    """
    if isinstance(given, pa.Schema):
        given = pa.struct(list(given))
    make: Callable[[Any], RecordType]
    if isinstance(given, pa.StructType):
        make = _of_arrow
    elif not isinstance(given, type):
        return None
    elif dataclasses.is_dataclass(given):
        make = _of_dataclass
    elif issubclass(given, tuple) and hasattr(given, "_fields"):
        make = _of_named_tuple
    elif _is_model(given):
        make = _of_model
    else:
        return None
    found = _known.get(given)
    if found is None and given not in _making:
        _making.add(given)
        try:
            found = _known[given] = make(given)
        finally:
            _making.discard(given)
    return found


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except Exception as error:  # noqa: BLE001 - an annotation is any expression
        msg = f"the types of the fields of {cls.__qualname__} cannot be found: {error}"
        raise StateTypeError(
            msg, remedy="import what its annotations name, at the top of its module"
        ) from None  # its frames are of the text of an annotation


def _aliases(hint: Any, declared: Any = ()) -> tuple[str, ...]:
    if isinstance(declared, str):
        declared = (declared,)
    metadata = getattr(hint, "__metadata__", ())
    return (*(n for m in metadata if isinstance(m, Alias) for n in m.names), *(declared or ()))


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda value: ()
    get = operator.attrgetter(*names)
    return get if len(names) > 1 else lambda value: (get(value),)


def _of_dataclass(cls: Any) -> RecordType:
    hints = _hints(cls)
    made = []
    for field in dataclasses.fields(cls):
        default: Callable[[], Any] | None = None
        if field.default is not dataclasses.MISSING:
            default = _constant(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory
        hint = hints[field.name]
        aliases = _aliases(hint, field.metadata.get("aliases"))
        made.append(Field(field.name, field_type(hint), default, aliases))
    names = [field.name for field in made]
    plain = not hasattr(cls, "__post_init__") and all(
        field.init and not field.kw_only for field in dataclasses.fields(cls)
    )
    own_init = "__init__" in vars(cls) and cls.__dataclass_params__.init
    build: Callable[[tuple[Any, ...]], Any]
    if plain and own_init:
        build = lambda fields: cls(*fields)  # noqa: E731
    else:
        build = _without_init(cls, names)
    return RecordType(cls.__qualname__, tuple(made), cls, _getter(names), build)


def _without_init(cls: Any, names: list[str]) -> Callable[[tuple[Any, ...]], Any]:
    """Makes a value as it was, without running what a constructor does beside setting fields."""
    new, put = cls.__new__, object.__setattr__

    def build(fields: tuple[Any, ...]) -> Any:
        value = new(cls)
        for name, field in zip(names, fields, strict=True):
            put(value, name, field)
        return value

    return build


def _of_named_tuple(cls: Any) -> RecordType:
    hints = _hints(cls)
    made = []
    for name in cls._fields:
        hint = hints.get(name, Any)
        defaults = cls._field_defaults
        default = _constant(defaults[name]) if name in defaults else None
        made.append(Field(name, field_type(hint), default, _aliases(hint)))
    return RecordType(cls.__qualname__, tuple(made), cls, tuple, cls._make)


def _is_model(cls: type) -> bool:
    module = sys.modules.get("pydantic")  # a model's class cannot be there without it
    return module is not None and issubclass(cls, module.BaseModel)


def _of_model(cls: Any) -> RecordType:
    made = []
    for name, info in cls.model_fields.items():
        default: Callable[[], Any] | None = None
        if info.default_factory is not None:
            default = info.default_factory
        elif not info.is_required():
            default = _constant(info.default)
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        declared = [n for m in info.metadata if isinstance(m, Alias) for n in m.names]
        declared += list(extra.get("aliases") or ())
        choices = getattr(info.validation_alias, "choices", [info.validation_alias])
        declared += [choice for choice in choices if isinstance(choice, str)]
        made.append(Field(name, field_type(info.annotation), default, tuple(declared)))
    names = [field.name for field in made]
    construct = cls.model_construct

    def build(fields: tuple[Any, ...]) -> Any:
        value = construct(**dict(zip(names, fields, strict=True)))
        return value

    return RecordType(cls.__qualname__, tuple(made), cls, _getter(names), build)


def _of_arrow(struct: pa.StructType) -> RecordType:
    made = []
    for field in struct:
        metadata = field.metadata or {}
        default: Callable[[], Any] | None = _constant(None) if field.nullable else None
        if b"default" in metadata:
            default = _constant(json.loads(metadata[b"default"]))
        names = metadata.get(b"aliases", b"").decode()
        kind = arrow_field_type(field.type, nullable=field.nullable)
        aliases = tuple(name.strip() for name in names.split(",") if name.strip())
        made.append(Field(field.name, kind, default, aliases))
    names = [field.name for field in made]

    def take(value: dict[str, Any]) -> tuple[Any, ...]:
        if len(value) > len(names) or not value.keys() <= set(names):
            unknown = ", ".join(sorted(map(str, value.keys() - set(names))))
            msg = f"state declared by an Arrow schema was given fields it has not: {unknown}"
            raise StateTypeError(msg, remedy=f"its fields are {', '.join(names)}")
        return tuple(map(value.get, names))

    return RecordType("struct", tuple(made), dict, take, lambda f: dict(zip(names, f, strict=True)))


# ------------------------------------------------------------------------------------ field types


def field_type(hint: Any) -> FieldType:
    """The type an annotation names."""
    if hint in (Any, object):
        return FieldType("any")
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return field_type(typing.get_args(hint)[0])
    if origin in (typing.ClassVar, typing.Final, typing.Required):
        return field_type(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return _union(typing.get_args(hint))
    if origin is not None:
        return _container(origin, typing.get_args(hint))
    if isinstance(hint, type):
        if hint in _WORDS:
            return FieldType(_WORDS[hint])
        record = record_type(hint)
        if record is not None:
            return FieldType(record.spec, record.pack, record.unpack, record)
        if hint in (list, set, frozenset, dict, tuple):
            return FieldType(hint.__name__)
        return FieldType(f"{hint.__module__}.{hint.__qualname__}")
    if isinstance(hint, typing.NewType):
        return field_type(hint.__supertype__)
    return FieldType(str(hint))


def _union(members: tuple[Any, ...]) -> FieldType:
    others = [member for member in members if member is not type(None)]
    if len(others) == 1:
        return optional(field_type(others[0]))
    specs = sorted((field_type(member).spec for member in members), key=repr)
    return FieldType({"union": specs})


def optional(inner: FieldType) -> FieldType:
    """The type, or None."""
    pack, unpack = inner.pack, inner.unpack
    return FieldType(
        {"optional": inner.spec},
        None if pack is None else lambda v: None if v is None else pack(v),
        None if unpack is None else lambda v: None if v is None else unpack(v),
        parts=(inner,),
    )


def _container(origin: Any, arguments: tuple[Any, ...]) -> FieldType:
    if origin in (list, set, frozenset) and len(arguments) == 1:
        return _items(origin, field_type(arguments[0]))
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        parts = tuple(map(field_type, arguments))
        if any(part.pack for part in parts):
            return FieldType(str(origin[arguments]))
        return FieldType({"tuple": [part.spec for part in parts]}, parts=parts)
    if origin is dict and len(arguments) == 2:
        key, value = map(field_type, arguments)
        if key.pack is None:
            return _dict(key, value)
    return FieldType(f"{getattr(origin, '__qualname__', origin)}[{', '.join(map(str, arguments))}]")


def _items(kind: Any, item: FieldType) -> FieldType:
    pack, unpack = item.pack, item.unpack
    word = "list" if kind is list else "set"
    return FieldType(
        {word: item.spec},
        None if pack is None else lambda items: kind(map(pack, items)),
        None if unpack is None else lambda items: kind(map(unpack, items)),
        parts=(item,),
    )


def _dict(key: FieldType, value: FieldType) -> FieldType:
    pack, unpack = value.pack, value.unpack
    return FieldType(
        {"dict": [key.spec, value.spec]},
        None if pack is None else lambda d: {k: pack(v) for k, v in d.items()},
        None if unpack is None else lambda d: {k: unpack(v) for k, v in d.items()},
        parts=(key, value),
    )


def arrow_field_type(kind: pa.DataType, *, nullable: bool) -> FieldType:
    """The type of an Arrow field; values of a struct are dicts."""
    if pat.is_struct(kind):
        record = record_type(kind)
        assert record is not None
        made = FieldType(record.spec, record.pack, record.unpack, record)
    elif pat.is_list(kind) or pat.is_large_list(kind):
        inner = arrow_field_type(kind.value_type, nullable=kind.value_field.nullable)
        made = _items(list, inner)
    elif pat.is_map(kind):
        key = arrow_field_type(kind.key_type, nullable=False)
        made = _dict(key, arrow_field_type(kind.item_type, nullable=kind.item_field.nullable))
    else:
        made = FieldType(arrow_word(kind))
    return optional(made) if nullable else made


def arrow_word(kind: pa.DataType) -> str:
    """An Arrow type as snapshots name it."""
    if pat.is_string(kind) or pat.is_large_string(kind):
        return "str"
    if pat.is_binary(kind) or pat.is_large_binary(kind):
        return "bytes"
    return {"double": "float", "halffloat": "float16", "float": "float32"}.get(str(kind), str(kind))


def has_record(spec: Spec) -> bool:
    """Whether values of a type are kept field by field, somewhere in them."""
    if not isinstance(spec, dict):
        return False
    if "record" in spec:
        return True
    inner = next(iter(spec.values()))
    return any(map(has_record, inner if isinstance(inner, list) else [inner]))


def show(spec: Spec) -> str:
    """A type as people write it.

    >>> show({"optional": {"list": "int"}})
    'list[int] | None'
    """
    if isinstance(spec, str):
        return spec
    if "record" in spec:
        return str(spec["record"])
    ((word, inner),) = spec.items()
    if word == "arrow":
        return str(inner)
    if word == "optional":
        return f"{show(inner)} | None"
    if word == "union":
        return " | ".join(map(show, inner))
    inside = [inner] if word in ("list", "set") else inner
    return f"{word}[{', '.join(map(show, inside))}]"

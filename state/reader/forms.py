"""Values as a job sees them, from cells with stamps and from records kept field by field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lesto.common.row import row_class
from lesto.state.errors import CorruptFileError
from lesto.state.formats import MAP_KEY, TTL, VALUE
from lesto.state.reader.decoding import Cells
from lesto.state.registry import FORM, StateMeta
from lesto.state.typed import Spec, has_record

Show = Callable[[Any], Any]


def unwrap(meta: StateMeta, cells: Cells) -> None:
    """Take stamps off values, to ``cells.last_access``, and name the fields of records.

    Raises:
        CorruptFileError: they have not the form the snapshot says.
    """
    if cells.values is None or not any(name in meta.extra for name in FORM):
        return
    try:
        _unwrap(meta, cells, cells.values)
    except (TypeError, ValueError, IndexError) as error:
        msg = f"values of state '{meta.name}' have not the form the snapshot says: {error}"
        raise CorruptFileError(msg, remedy="read another checkpoint") from error


def _unwrap(meta: StateMeta, cells: Cells, values: list[Any]) -> None:
    is_list = meta.kind == "list"
    if meta.extra.get(TTL) is not None:
        if is_list:
            cells.last_access = [[stamp for stamp, _ in items] for items in values]
            values = [[value for _, value in items] for items in values]
        else:
            cells.last_access = [stamp for stamp, _ in values]
            values = [value for _, value in values]
    show = shown(meta.extra.get(VALUE))
    if show is not None:
        if is_list:
            values = [list(map(show, items)) for items in values]
        else:
            values = [None if value is None else show(value) for value in values]
    cells.values = values
    key_show = shown(meta.extra.get(MAP_KEY))
    if key_show is not None and cells.map_keys is not None:
        cells.map_keys = list(map(key_show, cells.map_keys))


def shown(spec: Spec) -> Show | None:
    """What makes a named row of a stored record, in whatever it lies; None: values are as stored.

    >>> shown({"record": "Item", "fields": [["name", "str"]]})(("a",))
    Row(name='a')
    """
    if not has_record(spec):
        return None
    if "record" in spec:
        return _record(spec)
    ((word, inner),) = spec.items()
    item = shown(inner[1] if word == "dict" else inner) if word in _SHOWN else None
    return None if item is None else _SHOWN[word](item)


def _optional(item: Show) -> Show:
    return lambda value: None if value is None else item(value)


def _items(item: Show) -> Show:
    # Rows are not hashable: a set of them is shown as a list.
    return lambda values: list(map(item, values))


def _dict(item: Show) -> Show:
    return lambda values: {key: item(value) for key, value in values.items()}


_SHOWN: Final[dict[str, Callable[[Show], Show]]] = {
    "optional": _optional,
    "list": _items,
    "set": _items,
    "dict": _dict,
}


def _record(spec: Spec) -> Show:
    made = row_class(tuple(name for name, _ in spec["fields"]))
    found = ((i, shown(kind)) for i, (_, kind) in enumerate(spec["fields"]))
    parts = [(i, convert) for i, convert in found if convert is not None]

    def show(fields: Any) -> Any:
        values = list(fields)
        for i, convert in parts:
            values[i] = convert(values[i])
        return made(values)

    return show

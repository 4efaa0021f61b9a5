"""Operator state (lists of bytes, enumerators) as Arrow tables."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import pyarrow as pa

from lesto.proto.checkpoint_pb2 import OperatorState, OperatorSubtaskState

#: Texts of items are for people; longer ones are cut.
TEXT_MAX: Final = 4_096
#: Items nested in items are opened so deep.
_NESTED_MAX: Final = 4

SCHEMA: Final = pa.schema(
    [("subtask", pa.int32()), ("index", pa.int64()), ("value", pa.binary()), ("text", pa.string())]
)


def list_table(state: OperatorState, name: str, *, union: bool, limit: int | None) -> pa.Table:
    """Items of a list: subtask, index in it, bytes, and a text when they are msgpack or UTF-8."""
    rows: list[tuple[int | None, int, bytes]] = [
        (subtask.subtask, index, item)
        for subtask in sorted(state.subtasks, key=_number)
        for lst in subtask.lists
        if lst.name == name and lst.union == union
        for index, item in enumerate(lst.items)
    ]
    return _table(rows if limit is None else rows[:limit])


def enumerator_table(state: OperatorState) -> pa.Table:
    """The enumerator's state of a source: one row."""
    return _table([(None, 0, state.coordinator_state)])


def _number(subtask: OperatorSubtaskState) -> int:
    return int(subtask.subtask)


def _table(rows: list[tuple[int | None, int, bytes]]) -> pa.Table:
    columns: Iterable[Any] = zip(*rows, strict=True) if rows else ((), (), ())
    subtasks, indexes, items = columns
    texts = [text_of(item) for item in items]
    return pa.table([list(subtasks), list(indexes), list(items), texts], schema=SCHEMA)


def text_of(item: bytes) -> str | None:
    """What bytes mostly say: Lesto's own items are msgpack, users' often text. For people only.

    >>> text_of(msgspec.msgpack.encode((1, msgspec.msgpack.encode([2, "a"]))))
    '[1, [2, "a"]]'
    """
    content = _opened(item, 0)
    if content is item:
        return None
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}... ({len(text)} characters)"


def _opened(item: bytes, depth: int) -> Any:
    try:
        content = msgspec.msgpack.decode(item)
    except (msgspec.DecodeError, RecursionError, ValueError):
        content = None
    # A number or a text in msgpack is as likely a chance: bytes of other forms begin alike.
    if isinstance(content, (list, dict)):
        return _shown(content, depth)
    try:
        text = item.decode()
    except UnicodeDecodeError:
        return item
    return text if text.isprintable() or "\n" in text else item


def _shown(content: Any, depth: int) -> Any:
    if isinstance(content, bytes):
        opened = _opened(content, depth + 1) if depth < _NESTED_MAX else content
        return base64.b64encode(content).decode() if opened is content else opened
    if isinstance(content, list):
        return [_shown(part, depth) for part in content]
    if isinstance(content, dict):
        return {str(_shown(k, depth)): _shown(v, depth) for k, v in content.items()}
    if isinstance(content, (str, int, float, bool)) or content is None:
        return content
    return repr(content)

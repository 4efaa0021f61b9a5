"""Finds users' functions in what an operator was made of, so that they are opened and closed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pyarrow as pa

from lesto.sql.types import SqlType
from lesto.sql.users.calling import UserCall

_LEAVES = (str, bytes, int, float, bool, type(None), SqlType, pa.DataType, pa.Schema)


def users_in(value: Any) -> Iterator[UserCall]:
    """Each function once, in order of appearance: within expressions, calls, tuples, lists, dicts.

    >>> from lesto.sql import types as t
    >>> from lesto.sql.users.scalars import ScalarCall
    >>> one = ScalarCall("one", lambda: 1, [], t.INT())
    >>> list(users_in([(one,), {"again": one}]))
    [one()]
    """
    seen: set[int] = set()
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, _LEAVES) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, UserCall):
            yield item
        elif isinstance(item, (tuple, list, set, frozenset)):
            pending.extend(reversed(list(item)))
        elif isinstance(item, dict):
            pending.extend(reversed(list(item.values())))
        elif is_dataclass(item) and not isinstance(item, type):
            pending.extend(getattr(item, f.name) for f in reversed(fields(item)))

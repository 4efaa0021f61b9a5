"""Options of functions that wait: ``table.exec.async-scalar.*``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from lesto.client.table.plan import logical as p
from lesto.common import options
from lesto.common.option_types import ConfigOption
from lesto.sql.expressions import Call, Case, Cast, walk
from lesto.sql.users.async_scalars import AsyncScalarCall

_MILLISECOND: Final = timedelta(milliseconds=1)


def set_async_options(node: p.Node, settings: Mapping[str, str]) -> None:
    """Tell the asynchronous functions that a node calls what the session wants of them.

    Args:
        node: its inputs are left alone.
        settings: ``table.*`` options that are set, as texts.
    """
    for call in _calls(node):
        call.concurrent = _value(settings, options.TABLE_ASYNC_CALLS)
        call.timeout_ms = _value(settings, options.TABLE_ASYNC_TIMEOUT) // _MILLISECOND
        call.attempts = _value(settings, options.TABLE_ASYNC_ATTEMPTS)
        call.retry_delay_ms = _value(settings, options.TABLE_ASYNC_DELAY) // _MILLISECOND


def _value(settings: Mapping[str, str], option: ConfigOption[Any]) -> Any:
    given = settings.get(option.key)
    return option.default if given is None else option.parse(given)


def _calls(node: p.Node) -> Iterator[AsyncScalarCall]:
    for field in dataclasses.fields(node):  # type: ignore[arg-type]
        for expression in _expressions(getattr(node, field.name)):
            for part in walk(expression):
                if isinstance(part, Call) and isinstance(part.user, AsyncScalarCall):
                    yield part.user


def _expressions(value: Any) -> Iterator[Any]:
    """Expressions in a field of a node, also in tuples and in aggregates."""
    if isinstance(value, tuple):
        for item in value:
            yield from _expressions(item)
    elif isinstance(value, (Call, Case, Cast)):
        yield value
    elif isinstance(value, p.AggregateCall):
        yield from _expressions((*value.args, value.condition))

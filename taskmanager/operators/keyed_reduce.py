"""Running aggregates a key: reduce, and sum / min / max / min_by / max_by of a field."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from lesto.common.elements import Batch, RowBatch
from lesto.common.keys import KeySpec
from lesto.state.backend import KeyedStateBackend
from lesto.state.descriptors import ValueStateDescriptor
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.errors import InvalidFunctionError
from lesto.taskmanager.operators.field_access import key_function
from lesto.taskmanager.operators.runtime_context import OperatorRuntimeContext
from lesto.taskmanager.operators.stateless import UserFunctionOperator
from lesto.taskmanager.operators.user_functions import bound_method, user_errors

REDUCE_STATE = "_reduced"


class KeyedReduceOperator(UserFunctionOperator):
    """Emits, for each record, the reduction of its key's records so far.

    Args:
        function: ``reduce(accumulated, value)``, a callable or a ReduceFunction.
        key: how records are keyed.
    """

    _backend: KeyedStateBackend
    _state: Any

    def __init__(self, function: Any, key: KeySpec) -> None:
        super().__init__(function)
        self._reduce: Callable[[Any, Any], Any] = bound_method(function, "reduce")
        self._keys_of = key_function(key)

    def open(self) -> None:
        """Get the restored state and open the function."""
        self._backend = self.context.keyed_backend()
        self._state = self._backend.get_state(ValueStateDescriptor(REDUCE_STATE))
        super().open()

    def _runtime_context(self) -> OperatorRuntimeContext:
        return OperatorRuntimeContext(self.context, self._backend)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Reduce each record into its key's value; one result a record, with its event time."""
        assert isinstance(batch, RowBatch)
        values = batch.values
        with user_errors(self.context.operator_name, "the key selector"):
            keys = self._keys_of(values)
        backend = self._backend
        backend.prefetch(keys)
        read, write = self._state.value, self._state.update
        fn = self._reduce
        rows = iter(values)
        results: list[Any] = []
        append = results.append
        try:
            for backend.current_key, value in zip(keys, rows, strict=False):
                old = read()
                new = value if old is None else fn(old, value)
                write(new)
                append(new)
        except Exception as error:
            raise self._row_error(error, rows, len(values)) from error
        self.output.emit(RowBatch(results, batch.timestamps))

    def process_watermark(self, timestamp: int) -> None:
        """Event time moves on, also for state that expires by it."""
        self._backend.event_time = timestamp
        self.output.emit_watermark(timestamp)

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """State by the keyed backend."""
        return OperatorSnapshot(self._backend.snapshot(checkpoint_id, canonical=canonical))


class KeyedFieldAggregateOperator(KeyedReduceOperator):
    """Running aggregate of one field, as Flink's ``sum``, ``min``, ``max``, ``min_by``, ``max_by``.

    ``sum``, ``min`` and ``max`` keep the other fields of the key's first record; ``min_by`` and
    ``max_by`` give the whole record that has the extreme, the first one of equals.

    Args:
        kind: one of ``sum min max min_by max_by``.
        field: position or name of the field. A record that is a plain number is its own field 0.
        key: how records are keyed.
    """

    def __init__(self, kind: str, field: int | str, key: KeySpec) -> None:
        super().__init__(_FieldReduce(kind, field), key)


_REPLACING: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda a, b: a + b,
    "min": lambda a, b: b if b < a else a,
    "max": lambda a, b: b if b > a else a,
}


class _FieldReduce:
    """The reduce function of a field aggregate."""

    def __init__(self, kind: str, field: int | str) -> None:
        self._field = field
        if kind in {"min_by", "max_by"}:
            self._choose: Callable[..., Any] = min if kind == "min_by" else max
            self.reduce: Callable[[Any, Any], Any] = self._by
        elif kind in _REPLACING:
            self._combine = _REPLACING[kind]
            self.reduce = self._replace
        else:
            msg = f"unknown aggregate {kind!r}; known: sum, min, max, min_by, max_by"
            raise InvalidFunctionError(msg)
        # What errors call it: an instance attribute, so that it names the aggregate.
        self.__qualname__ = f"{kind}({field!r})"

    def _read(self, record: Any) -> Any:
        field = self._field
        if isinstance(record, int | float) and field == 0:
            return record
        if isinstance(field, int) or hasattr(record, "__getitem__"):
            return record[field]
        return getattr(record, field)

    def _by(self, old: Any, new: Any) -> Any:
        # min and max give the first of equals.
        return self._choose(old, new, key=self._read)

    def _replace(self, old: Any, new: Any) -> Any:
        field = self._field
        if type(old) is tuple and isinstance(field, int):
            value = self._combine(old[field], new[field])
            at = field if field >= 0 else len(old) + field
            return (*old[:at], value, *old[at + 1 :])
        value = self._combine(self._read(old), self._read(new))
        if isinstance(old, int | float):
            return value
        # The old record has been emitted: it must not change under those who hold it.
        record = copy.copy(old)
        if isinstance(field, int) or hasattr(record, "__setitem__"):
            record[field] = value
        else:
            setattr(record, field, value)
        return record

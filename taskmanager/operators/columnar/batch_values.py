"""Batches as users' functions take them, and what they return as columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.convert import SchemaMismatchError, conform
from lesto.common.elements import ColumnarBatch
from lesto.common.function_forms import BatchForm, FunctionForm
from lesto.taskmanager.operators.errors import InvalidResultError

#: The column of a single array that a function returns without a declared type.
RESULT_COLUMN = "value"


def arguments(form: FunctionForm, columns: Sequence[str]) -> Callable[[pa.RecordBatch], list[Any]]:
    """From a batch to the function's arguments.

    Args:
        form: what it takes.
        columns: the columns of its parameters; not looked at when it takes a whole batch.
    """
    if form.whole:
        make = _WHOLE[form.parameters[0][1]]
        return lambda batch: [make(batch)]
    makers = [
        (name, _COLUMN[kind]) for name, (_, kind) in zip(columns, form.parameters, strict=True)
    ]
    return lambda batch: [make(batch.column(name)) for name, make in makers]


_WHOLE: dict[BatchForm, Callable[[pa.RecordBatch], Any]] = {
    BatchForm.RECORD_BATCH: lambda batch: batch,
    BatchForm.TABLE: lambda batch: pa.Table.from_batches([batch]),
    BatchForm.DATA_FRAME: lambda batch: batch.to_pandas(),
}
_COLUMN: dict[BatchForm, Callable[[pa.Array], Any]] = {
    BatchForm.ARRAY: lambda column: column,
    BatchForm.SERIES: lambda column: column.to_pandas(),
    BatchForm.NDARRAY: lambda column: column.to_numpy(zero_copy_only=False),
}


class Results:
    """Turns what a function returned into columns, and names the function when it cannot.

    Args:
        form: what the function takes.
        operator: name of the operator, for errors.
        schema: declared columns; None: as they come.
    """

    def __init__(self, form: FunctionForm, operator: str, schema: pa.Schema | None) -> None:
        self._form = form
        self._operator = operator
        self._schema = schema

    def wrong(self, what: str, remedy: str) -> NoReturn:
        """Say what is wrong with a result.

        Raises:
            InvalidResultError: always.
        """
        form = self._form
        msg = f"{form.name}({form.describe()}) of operator {self._operator!r} {what}"
        raise InvalidResultError(msg, remedy=remedy)

    def columns(self, result: Any) -> pa.RecordBatch:
        """A whole batch, some arrays by name, or one array.

        Raises:
            InvalidResultError: it is nothing of these, or does not fit the declared columns.
        """
        batch = self._batch(result)
        if self._schema is None:
            return batch
        if batch.num_columns == len(self._schema) == 1:
            batch = batch.rename_columns(self._schema.names)
        elif {*batch.schema.names} == {*self._schema.names}:
            batch = batch.select(self._schema.names)
        try:
            return conform(ColumnarBatch(batch), self._schema).data
        except SchemaMismatchError as error:
            self.wrong(f"returned other columns than declared: {error.message}", error.remedy)

    def _batch(self, result: Any) -> pa.RecordBatch:
        if isinstance(result, pa.RecordBatch):
            return result
        if isinstance(result, pa.Table):
            return _joined(result)
        if _is_pandas(result, "DataFrame"):
            return self._guarded(lambda: _from_frame(result, self._schema))
        if isinstance(result, Mapping):
            arrays = {name: self.array(value) for name, value in result.items()}
            return self._guarded(
                lambda: pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))
            )
        if isinstance(result, tuple) and self._schema is not None:
            names = self._schema.names
            if len(result) != len(names):
                self.wrong(
                    f"returned {len(result)} arrays for the columns {names}",
                    "return one array a declared column",
                )
            made = [self.array(value) for value in result]
            return self._guarded(lambda: pa.RecordBatch.from_arrays(made, names))
        return pa.RecordBatch.from_arrays([self.array(result)], [RESULT_COLUMN])

    def array(self, result: Any) -> pa.Array:
        """One array.

        Raises:
            InvalidResultError: it is none, or not of one dimension.
        """
        if isinstance(result, pa.Array):
            return result
        if isinstance(result, pa.ChunkedArray):
            return result.combine_chunks() if result.num_chunks != 1 else result.chunk(0)
        if isinstance(result, np.ndarray) and result.ndim != 1:
            self.wrong(
                f"returned an array of {result.ndim} dimensions",
                "return one value a record, or several arrays by name",
            )
        if isinstance(result, np.ndarray | list) or _is_pandas(result, "Series"):
            return self._guarded(lambda: pa.array(result, from_pandas=_is_pandas(result, "Series")))
        shown = type(result).__name__
        self.wrong(
            f"returned a {shown}",
            "return a batch (pyarrow.RecordBatch, pandas.DataFrame), an array, or a dict of arrays",
        )

    def mask(self, result: Any, rows: int) -> npt.NDArray[np.bool_]:
        """True for each record to keep; null counts as false.

        Raises:
            InvalidResultError: no array of truth values, or not one a record.
        """
        array = self.array(result)
        self.check_rows(len(array), rows)
        if not pa.types.is_boolean(array.type):
            self.wrong(f"returned {array.type} values", "return true or false for each record")
        mask: npt.NDArray[np.bool_] = array.fill_null(False).to_numpy(zero_copy_only=False)
        return mask

    def check_rows(self, given: int, rows: int) -> None:
        """One result a record.

        Raises:
            InvalidResultError: more or fewer.
        """
        if given != rows:
            self.wrong(
                f"returned {given} values for a batch of {rows} records",
                "return one for each record; for any number there is flat_map",
            )

    def _guarded(self, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            self.wrong(f"returned what is no column: {error}", "give it a type that Arrow has")


def _joined(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    if batches:
        return batches[0]
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in table.schema], table.schema)


def _from_frame(frame: Any, schema: pa.Schema | None) -> pa.RecordBatch:
    fits = schema is not None and {*schema.names} == {*map(str, frame.columns)}
    made = pa.RecordBatch.from_pandas(frame, schema=schema if fits else None, preserve_index=False)
    return made.replace_schema_metadata(None)


def _is_pandas(value: Any, name: str) -> bool:
    kind = type(value)
    return kind.__name__ == name and kind.__module__.partition(".")[0] == "pandas"

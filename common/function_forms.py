"""What a user's function takes: records one by one, or whole batches, by its type hints.

A function whose first parameter is hinted ``pa.RecordBatch``, ``pa.Table`` or ``pd.DataFrame``
takes a batch; one whose parameters are hinted ``np.ndarray``, ``pa.Array`` or ``pd.Series`` takes
columns, each by its parameter's name (a stream of one column gives it whatever the name). Anything
else takes records.

>>> import numpy as np
>>> def area(width: np.ndarray, height: np.ndarray) -> np.ndarray:
...     return width * height
>>> form_of(area).describe()
'width: numpy.ndarray, height: numpy.ndarray'
>>> form_of(lambda record: record) is None
True
"""

from __future__ import annotations

import enum
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from lesto.common.errors import did_you_mean


class BatchForm(enum.Enum):
    """A form in which data reaches a function; the values are how people call them."""

    RECORD_BATCH = "pyarrow.RecordBatch"
    TABLE = "pyarrow.Table"
    DATA_FRAME = "pandas.DataFrame"
    ARRAY = "pyarrow.Array"
    SERIES = "pandas.Series"
    NDARRAY = "numpy.ndarray"

    @property
    def whole(self) -> bool:
        """All columns together, not one of them."""
        return self in _WHOLE

    @property
    def library(self) -> str:
        """The package it belongs to."""
        return self.value.partition(".")[0]


_WHOLE: Final = {BatchForm.RECORD_BATCH, BatchForm.TABLE, BatchForm.DATA_FRAME}
_BY_TYPE: Final = {
    ("pyarrow", "RecordBatch"): BatchForm.RECORD_BATCH,
    ("pyarrow", "Table"): BatchForm.TABLE,
    ("pyarrow", "Array"): BatchForm.ARRAY,
    ("pandas", "DataFrame"): BatchForm.DATA_FRAME,
    ("pandas", "Series"): BatchForm.SERIES,
    ("numpy", "ndarray"): BatchForm.NDARRAY,
}
#: Hints as text whose names cannot be looked up, as under ``if TYPE_CHECKING``.
_BY_TEXT: Final = {
    **{
        f"{alias}.{name}": form
        for (library, name), form in _BY_TYPE.items()
        for alias in (library, {"pyarrow": "pa", "pandas": "pd", "numpy": "np"}[library])
    },
    "RecordBatch": BatchForm.RECORD_BATCH,
    "DataFrame": BatchForm.DATA_FRAME,
    "NDArray": BatchForm.NDARRAY,
    "npt.NDArray": BatchForm.NDARRAY,
    "ndarray": BatchForm.NDARRAY,
}


@dataclass(frozen=True, slots=True)
class FunctionForm:
    """A function of batches.

    Attributes:
        name: of the function, for errors.
        parameters: names and forms of what it takes, in order.
    """

    name: str
    parameters: tuple[tuple[str, BatchForm], ...]

    @property
    def whole(self) -> bool:
        """It takes all columns together."""
        return self.parameters[0][1].whole

    def describe(self) -> str:
        """The hints, for errors."""
        return ", ".join(f"{name}: {form.value}" for name, form in self.parameters)

    def columns(self, names: list[str]) -> list[str]:
        """The columns that its parameters name; none when it takes them all.

        Raises:
            ValueError: a parameter names none; tells the nearest.
        """
        if self.whole:
            return []
        if len(self.parameters) == 1 == len(names):
            return names
        found = []
        for parameter, _ in self.parameters:
            if parameter not in names:
                near = did_you_mean(parameter, names)
                msg = (
                    f"{self.name}({self.describe()}) takes columns by the names of its parameters, "
                    f"and there is no column '{parameter}'{near} in {names}"
                )
                raise ValueError(msg)
            found.append(parameter)
        return found


def form_of(function: Callable[..., Any], *, context: bool = False) -> FunctionForm | None:
    """How a function takes batches, by its hints; None: it takes records.

    Args:
        function: a callable, or a bound method.
        context: its last parameter is a context, not data.

    Raises:
        ValueError: the hints do not go together.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C
        return None
    plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    given = [p for p in plain if p.default is p.empty]
    if context:
        given = given[:-1]
    if not given or given[0].annotation is inspect.Parameter.empty:
        return None
    hints = _hints(function)
    forms = [(p.name, _form(hints.get(p.name, p.annotation))) for p in given]
    if forms[0][1] is None:
        return None
    name = getattr(function, "__qualname__", type(function).__qualname__)
    known = tuple((parameter, form) for parameter, form in forms if form is not None)
    made = FunctionForm(name, known)
    if len(known) < len(forms) or (made.whole and len(known) > 1):
        shown = ", ".join(f"{n}: {f.value if f else 'no batch'}" for n, f in forms)
        msg = (
            f"{name}({shown}) takes either one whole batch or columns: hint one parameter with "
            "pyarrow.RecordBatch or pandas.DataFrame, or each with an array"
        )
        raise ValueError(msg)
    return made


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(target)
    except (NameError, TypeError, AttributeError):  # names that only a type checker knows
        return {}


def _form(annotation: Any) -> BatchForm | None:
    if isinstance(annotation, str):
        return _BY_TEXT.get(annotation.partition("[")[0].strip())
    kind = typing.get_origin(annotation) or annotation
    if not isinstance(kind, type):
        return None
    library = kind.__module__.partition(".")[0]
    return _BY_TYPE.get((library, kind.__name__))

"""Watermarks of an expression, for sources that make them split by split."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels.timestamps import millis
from lesto.sql.errors import SqlEvaluationError
from lesto.sql.evaluator import CompiledExpressions, compile_expressions
from lesto.sql.expressions import Expression
from lesto.sql.values import EvaluationContext

_NO_TIME: Final = -(2**63)


class WatermarkTimes:
    """The watermark that follows from each row of a batch; a timestamp assigner of batches.

    Args:
        time: the row's event time.
        watermark: the expression of WATERMARK FOR.
        name: of the time's column, for messages.
        time_zone: the session's.
    """

    #: It is given Arrow batches, and costs little a row.
    takes_batches = True
    steady = True

    def __init__(self, time: Expression, watermark: Expression, name: str, time_zone: str) -> None:
        self._expressions = (time, watermark)
        self._name = name
        self._time_zone = time_zone
        self._compiled: CompiledExpressions | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_compiled": None}

    def __call__(self, batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
        """int64[n] ms; a NULL watermark counts as none.

        Raises:
            SqlEvaluationError: a row has no event time.
        """
        if self._compiled is None:
            self._compiled = compile_expressions(self._expressions)
        times, marks = self._compiled.evaluate(batch, EvaluationContext(self._time_zone))
        if times.null_count:
            msg = f"a row has no event time: its '{self._name}' is NULL"
            raise SqlEvaluationError(
                msg, remedy=f"filter such rows out before, or make '{self._name}' NOT NULL"
            )
        if not marks.null_count:
            return millis(marks)
        found = millis(marks).copy()
        found[marks.is_null().to_numpy(zero_copy_only=False)] = _NO_TIME
        return found

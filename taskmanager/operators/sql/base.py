"""What SQL's operators share.

Batches are columnar, their columns are addressed by position, ``kinds`` says what each row does
(None: all insert), and ``timestamps`` are not used: event time is a column.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.elements import MIN_TIMESTAMP, ColumnarBatch, Form, RowKind, RowKinds
from lesto.sql.settings import SqlSettings
from lesto.sql.users.finding import users_in
from lesto.sql.values import EvaluationContext
from lesto.state.backend import KeyedStateBackend
from lesto.taskmanager.operators.base import Operator, OperatorContext, OperatorSnapshot, Output
from lesto.taskmanager.operators.columnar.columns import input_schema
from lesto.taskmanager.operators.runtime_context import OperatorRuntimeContext

Signs = npt.NDArray[np.int8]

#: +1 for kinds that add a row, -1 for those that take one back, by kind.
SIGN_OF_KIND = np.array([1, -1, 1, -1], np.int8)
UPDATE_BEFORE = int(RowKind.UPDATE_BEFORE)
UPDATE_AFTER = int(RowKind.UPDATE_AFTER)
INSERT = int(RowKind.INSERT)
DELETE = int(RowKind.DELETE)


def signs(kinds: RowKinds | None, rows: int) -> Signs:
    """int8[n]: 1 where a row is added, -1 where it is taken back.

    >>> signs(np.array([0, 1, 2, 3], np.int8), 4).tolist()
    [1, -1, 1, -1]
    """
    return np.ones(rows, np.int8) if kinds is None else SIGN_OF_KIND[kinds]


class SqlOperator(Operator):
    """Base of SQL's operators.

    Args:
        settings: of the session.
    """

    input_form = Form.COLUMNAR

    def __init__(self, settings: SqlSettings) -> None:
        self.settings = settings
        #: ms of the last watermark.
        self.watermark = MIN_TIMESTAMP
        self._backend: KeyedStateBackend | None = None

    def setup(self, context: OperatorContext, output: Output) -> None:
        """Wire the operator, and tell users' functions among its arguments where they run."""
        self._users = tuple(users_in(dict(vars(self))))
        self.steady = not self._users
        super().setup(context, output)
        for call in self._users:
            call.attach(OperatorRuntimeContext(context))

    def open(self) -> None:
        """Open users' functions; the first call does so at the latest."""
        for call in self._users:
            call.open()

    def close(self) -> None:
        """Close users' functions; who overrides this calls it."""
        for call in getattr(self, "_users", ()):
            call.close()

    def input_schema(self, index: int = 0) -> pa.Schema:
        """Columns of an input."""
        return input_schema(self.context, index)

    @property
    def backend(self) -> KeyedStateBackend:
        """The operator's keyed state, restored; for operators behind a hash exchange."""
        if self._backend is None:
            self._backend = self.context.keyed_backend()
        return self._backend

    def evaluation(self) -> EvaluationContext:
        """What expressions may know now."""
        watermark = None if self.watermark == MIN_TIMESTAMP else self.watermark
        return EvaluationContext(self.settings.time_zone, self.context.clock.now_ms(), watermark)

    def emit(self, data: pa.RecordBatch, kinds: RowKinds | None = None) -> None:
        """Give rows; nothing happens when there are none."""
        if data.num_rows:
            self.output.emit(ColumnarBatch(data, None, kinds))

    def process_watermark(self, timestamp: int) -> None:
        """Remember and pass it on; who overrides this calls it last."""
        self.watermark = timestamp
        self.output.emit_watermark(timestamp)

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """Keyed state, if the operator has asked for it."""
        if self._backend is None:
            return OperatorSnapshot()
        return OperatorSnapshot(self._backend.snapshot(checkpoint_id, canonical=canonical))

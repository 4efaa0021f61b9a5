"""What columnar operators share: the schema of their input, and the check that it only inserts."""

from __future__ import annotations

import pyarrow as pa

from lesto.common.elements import ColumnarBatch
from lesto.common.errors import InternalError
from lesto.taskmanager.operators.base import OperatorContext
from lesto.taskmanager.operators.columnar.errors import ChangelogInputError


def input_schema(context: OperatorContext, index: int = 0) -> pa.Schema:
    """Schema of an input, which the graph guarantees for columnar operators."""
    schema = context.input_schemas[index]
    if schema is None:
        msg = f"'{context.operator_name}' takes columns but stands behind a stream without a schema"
        raise InternalError(msg)
    return schema


def require_insertions(batch: ColumnarBatch, operator: str) -> None:
    """Refuse updates and deletions.

    Raises:
        ChangelogInputError: the batch has a kind other than INSERT.
    """
    if batch.kinds is not None and batch.kinds.any():
        msg = f"'{operator}' takes insertions only, but its input has updates or deletions"
        raise ChangelogInputError(
            msg, remedy="aggregate before the operator that updates, or use a row function"
        )

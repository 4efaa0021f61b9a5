"""What the rule of groups refuses."""

import pyarrow as pa
import pytest

from lesto.client.table.errors import InvalidQueryError, UnsupportedSqlError
from tests.support.sql_runner import ChangelogTable, run_sql

_TABLES = {
    "t": ChangelogTable("a ARRAY<INT>", pa.table({"a": pa.array([[1]], pa.list_(pa.int32()))}))
}


def test_nested_keys_are_refused() -> None:
    with pytest.raises(UnsupportedSqlError, match="cannot be grouped by a, a ARRAY<INT>"):
        run_sql(_TABLES, "SELECT a, COUNT(*) FROM t GROUP BY a")


def test_mini_batches_need_a_latency() -> None:
    options = {"table.exec.mini-batch.enabled": "true"}
    with pytest.raises(InvalidQueryError, match="allow-latency"):
        run_sql(_TABLES, "SELECT COUNT(*) FROM t", options=options)

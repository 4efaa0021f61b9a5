"""Columns for an operator on rows: in pieces, each done with before the next is made."""

import numpy as np
import pyarrow as pa
import pytest

from lesto.common.convert import SchemaMismatchError
from lesto.common.elements import ColumnarBatch, Form, RowBatch
from lesto.taskmanager.runtime import chain

SCHEMA = pa.schema([("n", pa.int64())])


def columns(rows):
    numbers = np.arange(rows, dtype=np.int64)
    return ColumnarBatch(pa.record_batch([pa.array(numbers)], schema=SCHEMA), numbers * 10)


@pytest.mark.parametrize("rows", [1, 4, 5, 8, 11])
def test_rows_come_in_pieces_with_order_times_and_number_kept(monkeypatch, rows):
    monkeypatch.setattr(chain, "CONVERTED_ROWS_MAX", 4)
    pieces = list(chain.converted(columns(rows), SCHEMA, "op"))
    assert [len(p) for p in pieces] == [4] * (rows // 4) + ([rows % 4] if rows % 4 else [])
    assert [row.n for p in pieces for row in p.values] == list(range(rows))
    assert [t for p in pieces for t in p.timestamps.tolist()] == [10 * n for n in range(rows)]


def test_a_piece_is_made_only_when_the_one_before_is_done_with(monkeypatch):
    monkeypatch.setattr(chain, "CONVERTED_ROWS_MAX", 4)
    made = []
    real = chain.to_rows
    monkeypatch.setattr(chain, "to_rows", lambda batch: made.append(len(batch)) or real(batch))
    for number, _ in enumerate(chain.converted(columns(12), SCHEMA, "op"), 1):
        assert len(made) == number


def test_rows_become_columns_in_one_piece_and_need_a_schema():
    rows = RowBatch([(1,), (2,)])
    (piece,) = chain.converted(rows, SCHEMA, "op")
    assert piece.data.column(0).to_pylist() == [1, 2]
    with pytest.raises(SchemaMismatchError, match="'op' takes columns"):
        next(chain.converted(rows, None, "op"))


def test_what_an_operator_takes_as_it_is():
    rows = RowBatch([1])
    assert chain.takes(Form.ANY, rows)
    assert chain.takes(Form.ROWS, rows)
    assert not chain.takes(Form.COLUMNAR, rows)
    assert chain.takes(Form.COLUMNAR, columns(1))
    assert not chain.takes(Form.ROWS, columns(1))

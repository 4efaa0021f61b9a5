"""Records of a declared row type are Rows with its names, chained or not, whatever was returned."""

import pyarrow as pa
import pytest

from lesto.common import Row, RowKind
from lesto.common.convert import SchemaMismatchError, to_columnar, to_named_rows, to_rows
from lesto.common.elements import RowBatch

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])


@pytest.mark.parametrize(
    "record",
    [Row(1, "a"), (1, "a"), [1, "a"], {"name": "a", "id": 1}, Row(id=1, name="a")],
)
def test_any_record_becomes_a_row_with_the_declared_names(record):
    named = to_named_rows(RowBatch([record]), SCHEMA).values[0]
    assert named == Row(id=1, name="a")
    assert (named.id, named.name) == (1, "a")
    assert to_rows(to_columnar(RowBatch([record]), SCHEMA)).values == [named]


def test_fields_of_a_named_row_go_by_name():
    batch = RowBatch([Row(name="a", id=1), Row(id=2, name="b")])
    assert to_columnar(batch, SCHEMA).data.column(0).to_pylist() == [1, 2]
    assert [row.id for row in to_named_rows(batch, SCHEMA).values] == [1, 2]


def test_kinds_are_kept():
    batch = RowBatch([Row.of_kind(RowKind.DELETE, 1, "a"), Row(2, "b")])
    named = to_named_rows(batch, SCHEMA)
    assert [row.get_row_kind() for row in named.values] == [RowKind.DELETE, RowKind.INSERT]
    assert named.kinds.tolist() == [3, 0]


def test_a_row_of_other_fields_is_an_error_that_names_them():
    with pytest.raises(SchemaMismatchError, match=r"fields \['id', 'nmae'\].*\['id', 'name'\]"):
        to_columnar(RowBatch([Row(id=1, nmae="a")]), SCHEMA)


def test_rows_that_are_named_already_are_not_touched():
    batch = RowBatch([Row(id=1, name="a")])
    assert to_named_rows(batch, SCHEMA) is batch


@pytest.mark.parametrize("first", [(1, "a"), [1, "a"], Row(1, "a")])
def test_kinds_of_rows_behind_a_tuple_are_kept(first):
    row = Row(2, "b")
    row.set_row_kind(RowKind.DELETE)
    batch = RowBatch([first, row])
    assert to_columnar(batch, SCHEMA).kinds.tolist() == [0, 3]
    named = to_named_rows(batch, SCHEMA)
    assert named.kinds.tolist() == [0, 3]
    assert named.values[1].get_row_kind() is RowKind.DELETE

"""Every example of the function table holds: as a constant, and over columns of several rows."""

import pyarrow as pa
import pytest
from sql_columns import as_constant, folded, over_columns
from sql_text import parse

from lesto.common.errors import LestoError
from lesto.sql.functions import table

GROUPS = sorted({f.group for f in table.functions()})


@pytest.mark.parametrize("form", [as_constant, folded, over_columns], ids=lambda f: f.__name__)
@pytest.mark.parametrize("group", GROUPS)
def test_the_examples_give_what_the_table_says(group, form):
    wrong = []
    for entry in table.functions():
        for sql, expected in entry.examples if entry.group == group else ():
            try:
                found = form(parse(sql), sql)
            except (LestoError, pa.ArrowException, AssertionError) as error:
                found = f"{type(error).__name__}: {error}"
            if found != [expected]:
                wrong.append(f"{entry.name}: {sql}: {found}, not {expected!r}")
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_function_has_an_example():
    assert [f.name for f in table.functions() if not f.examples] == []


def test_the_names_that_can_be_called():
    names = table.callable_names()
    assert {"UPPER", "SUBSTR", "SUBSTRING", "TIMESTAMPDIFF"} <= set(names)
    assert not {"SPLIT PARTS", "IS NULL", "AND", "+"} & set(names)

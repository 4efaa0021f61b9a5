"""Values come back from bytes exactly: same types, same structure."""

import collections
import datetime as dt
import enum
import math
import subprocess
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.common.elements import RowKind
from lesto.common.row import Row
from lesto.state import codec
from lesto.state.entries import canonical_key, cell_tail
from lesto.state.errors import CorruptFileError, UnencodableStateError

Point = collections.namedtuple("Point", "x y")


class Color(enum.Enum):
    RED = "red"


class Cloned:
    """Refuses to be pickled."""

    def __reduce__(self):
        raise RuntimeError


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(st.characters()),
    st.text(),
    st.binary(),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(scalars, st.tuples(scalars, scalars)), inner, max_size=3),
        st.sets(st.integers(), max_size=3),
        st.lists(inner, max_size=3).map(lambda fields: Row(*fields)),
        st.lists(inner, min_size=2, max_size=2).map(lambda f: Row(name=f[0], age=f[1])),
    ),
    max_leaves=12,
)


def same(a, b):
    """Equal with equal types at every level; NaN equals NaN, 0.0 differs from -0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (
            a == b and math.copysign(1, a) == math.copysign(1, b)
        )
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    return a == b


@given(values)
def test_a_value_comes_back_as_it_was(value):
    assert same(codec.decode(codec.encode(value)), value)


@given(st.lists(values, max_size=5))
def test_encoding_many_equals_encoding_each(several):
    assert codec.encode_all(several) == [codec.encode(value) for value in several]


@pytest.mark.parametrize(
    "value",
    [
        Decimal("1.50"),
        dt.datetime(2013, 1, 1, tzinfo=dt.UTC),
        dt.timedelta(days=3),
        Color.RED,
        Point(1, "a"),
        frozenset({("a", 1)}),
        bytearray(b"x"),
        [Color.RED, (1, [Color.RED])],
        "\ud800",
        {"\udfff": 1},
    ],
)
def test_values_beyond_msgpack_come_back_as_they_were(value):
    assert same(codec.decode(codec.encode(value)), value)


def test_a_row_keeps_its_kind_and_names():
    row = Row.of_kind(RowKind.DELETE, name="Ada", tags=["x"])
    back = codec.decode(codec.encode(row))
    assert back == row
    assert (back.get_row_kind(), back.name, type(back)) == (RowKind.DELETE, "Ada", type(row))


def test_a_value_that_contains_itself_comes_back():
    loop = [1]
    loop.append(loop)
    back = codec.decode(codec.encode(loop))
    assert back[0] == 1
    assert back[1] is back


def test_a_class_of_the_users_script_is_pickled_by_value():
    code = (
        "from lesto.state import codec\n"
        "class Mine:\n    def __init__(self): self.x = 7\n"
        "data = codec.encode(Mine())\n"
        "del Mine\n"
        "print(codec.decode(data).x if b'cloudpickle' in data else 'by reference')\n"
    )
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "exec(compile(" + repr(code) + ", 'job.py', 'exec'), {'__name__': 'gone'})",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.strip() == "7", ran.stderr


def test_what_cannot_be_encoded_is_a_named_error():
    with pytest.raises(UnencodableStateError, match="Cloned"):
        codec.encode(Cloned())


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x92\x01", b"\xd9\xffa"])
def test_bytes_that_are_no_value_are_a_named_error(data):
    with pytest.raises(CorruptFileError):
        codec.decode(data)


@pytest.mark.parametrize("key", [("a", "a"), Point("ab", "ab"), (Color.RED, "x"), frozenset("abc")])
def test_equal_keys_are_equal_bytes_even_when_their_parts_are_shared_differently(key):
    other = codec.decode(codec.encode_key(key))
    assert other == key
    assert codec.encode_key(other) == codec.encode_key(key)


def test_a_shared_part_of_a_key_does_not_change_its_bytes():
    word = "".join(["long", "er"])
    assert codec.encode_key(Point(word, word)) == codec.encode_key(
        Point(word, "".join(["long", "er"]))
    )


@pytest.mark.parametrize(
    ("a", "b"), [(1, True), (1, 1.0), (0.0, -0.0), ((1, 2), (1.0, 2)), (5, Decimal(5))]
)
def test_keys_equal_in_python_address_one_cell(a, b):
    assert a == b
    assert cell_tail(a, None) == cell_tail(b, None)
    assert canonical_key(a) == a


def test_a_key_and_its_text_address_different_cells():
    assert len({cell_tail(k, None) for k in (1, "1", b"1", (1,), None, 1.5)}) == 6

"""Typed state: fields come, go, are renamed and widened; what cannot be is refused by name."""

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import pyarrow as pa
import pytest
from pydantic import BaseModel

from lesto.common.types import Types
from lesto.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from lesto.state.errors import StateMigrationError, StateMismatchError, StateTypeError
from lesto.state.ttl import StateTtlConfig
from lesto.state.typed import Alias, record_type

BACKENDS = ["hashmap", "rocksdb"]


@dataclass
class Item:
    name: str
    count: int = 1


@dataclass(frozen=True)
class Order:
    id: int
    items: list[Item]
    best: Item | None = None
    tags: dict[str, Item] = field(default_factory=dict)


class Point(NamedTuple):
    x: int
    y: int = 0


class Model(BaseModel):
    id: int
    item: Item | None = None
    note: str = "none"


@dataclass(slots=True, kw_only=True)
class Odd:
    a: int
    b: list[int] = field(default_factory=list)
    made: int = field(init=False, default=0)

    def __post_init__(self):
        self.made += 1


ARROW = pa.schema([("id", pa.int64()), ("parts", pa.list_(pa.struct([("n", pa.int32())])))])

VALUES = [
    (Item, Item("a", 2)),
    (Order, Order(1, [Item("a"), Item("b", 3)], Item("c"), {"x": Item("d")})),
    (Point, Point(1, 2)),
    (Model, Model(id=1, item=Item("a"))),
    (Odd, Odd(a=1, b=[2])),
    (ARROW, {"id": 5, "parts": [{"n": 1}, {"n": 2}]}),
    (pa.struct(list(ARROW)), {"id": 5, "parts": []}),
]


@pytest.fixture
def again(make, store):
    """A backend that holds what another one had."""

    def restore(backend, kind, canonical=True):
        handle = backend.snapshot(1, canonical=canonical).finish(store)
        other = make(kind)
        other.restore([handle], store)
        other.current_key = "k"
        return other

    return restore


def opened(make, kind):
    backend = make(kind)
    backend.current_key = "k"
    return backend


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize(("of", "value"), VALUES, ids=lambda v: getattr(v, "__name__", None))
def test_values_come_back_as_they_were(make, again, kind, of, value):
    backend = opened(make, kind)
    ttl = StateTtlConfig.new_builder("1h").build()

    def descriptors():
        made = [
            ValueStateDescriptor("v", of),
            ListStateDescriptor("l", of),
            MapStateDescriptor("m", Types.STRING(), of),
            ReducingStateDescriptor("r", lambda a, b: b, of),
            ValueStateDescriptor("t", of),
        ]
        made[-1].enable_time_to_live(ttl)
        return made

    one, many, a_map, reduced, dying = map(backend.get_state, descriptors())
    one.update(value)
    many.add_all([value, value])
    a_map.put("a", value)
    reduced.add(value)
    dying.update(value)
    for other in (backend, again(backend, kind)):
        one, many, a_map, reduced, dying = map(other.get_state, descriptors())
        assert one.value() == value
        assert type(one.value()) is type(value)
        assert list(many) == [value, value]
        assert dict(a_map.items()) == {"a": value}
        assert reduced.get() == dying.value() == value
    assert getattr(one.value(), "made", 1) == 1  # not built by running __post_init__ again


def test_no_pickle_is_stored(make, store):
    backend = opened(make, "hashmap")
    backend.get_state(ValueStateDescriptor("v", Order)).update(VALUES[1][1])
    (raw,) = backend._cells["v"].spaces[None].values()
    assert raw == (1, [("a", 1), ("b", 3)], ("c", 1), {"x": ("d", 1)})


def test_keys_of_maps_may_be_typed(make, again):
    @dataclass(frozen=True)
    class Place:
        city: str

    backend = opened(make, "rocksdb")
    descriptor = MapStateDescriptor("m", Place, int)
    backend.get_state(descriptor).put(Place("Rome"), 1)
    state = again(backend, "rocksdb").get_state(MapStateDescriptor("m", Place, int))
    assert (state.get(Place("Rome")), list(state)) == (1, [Place("Rome")])
    assert Place("Rome") in state
    state.remove(Place("Rome"))
    assert state.is_empty()


def made(name, *fields, **namespace):
    return dataclasses.make_dataclass(name, fields, namespace=namespace)


def evolve(make, again, kind, before, value, after, form=ValueStateDescriptor):
    backend = opened(make, kind)
    old = backend.get_state(form("v", before))
    {"value": getattr(old, "update", None), "list": getattr(old, "add", None)}[form.kind](value)
    new = again(backend, kind, canonical=False).get_state(form("v", after))
    return new.value() if form.kind == "value" else list(new)


V1 = made("Account", ("id", int), ("price", int), ("gone", str))


@pytest.mark.parametrize("kind", BACKENDS)
def test_fields_come_go_are_renamed_widened_and_reordered(make, again, kind):
    v2 = made(
        "Account",
        ("amount", Annotated[float, Alias("cost", "price")]),
        ("id", int),
        ("tags", list[str], field(default_factory=lambda: ["new"])),
        ("level", int, field(default=7)),
        ("note", str | None, field(default=None)),
    )
    found = evolve(make, again, kind, V1, V1(1, 25, "x"), v2)
    assert found == v2(25.0, 1, ["new"], 7, None)
    assert type(found.amount) is float


@pytest.mark.parametrize("kind", BACKENDS)
def test_elements_of_lists_and_records_in_records_follow(make, again, kind):
    inner2 = made("Inner", ("a", float), ("b", int, field(default=2)))
    inner1 = made("Inner", ("a", int))
    v1 = made("Outer", ("one", inner1), ("many", list[inner1]), ("maybe", inner1))
    v2 = made("Outer", ("one", inner2), ("many", list[inner2]), ("maybe", inner2 | None))
    value = v1(inner1(1), [inner1(2)], inner1(3))
    expected = v2(inner2(1.0), [inner2(2.0)], inner2(3.0))
    assert evolve(make, again, kind, v1, value, v2) == expected
    found = evolve(make, again, kind, v1, value, v2, ListStateDescriptor)
    assert found == [expected]


def test_named_tuples_models_and_schemas_evolve_too(make, again):
    class Point3(NamedTuple):
        y: float
        x: int
        z: int = 9

    assert evolve(make, again, "hashmap", Point, Point(1, 2), Point3) == Point3(2.0, 1, 9)

    class Model2(BaseModel):
        number: Annotated[int, Alias("id")]
        note: str
        more: list[int] = [1]

    found = evolve(make, again, "rocksdb", Model, Model(id=4, note="n"), Model2)
    assert found == Model2(number=4, note="n")
    after = pa.schema(
        [
            pa.field("key", pa.int64(), metadata={"aliases": "id"}),
            pa.field("n", pa.int32(), metadata={"default": "3"}),
            pa.field("parts", pa.list_(pa.struct([("n", pa.int64()), ("m", pa.string())]))),
        ]
    )
    found = evolve(make, again, "hashmap", ARROW, VALUES[5][1], after)
    assert found == {
        "key": 5,
        "n": 3,
        "parts": [{"n": 1, "m": None}, {"n": 2, "m": None}],
    }


def test_a_changed_default_does_not_change_what_is_stored(make, again):
    v2 = made("Item", ("name", str), ("count", int, field(default=99)))
    assert evolve(make, again, "hashmap", Item, Item("a"), v2) == v2("a", 1)


@pytest.mark.parametrize(
    ("after", "says"),
    [
        (
            made("Account", ("id", int), ("price", int), ("fresh", str)),
            r"state 'v': field 'fresh' \(str\) is not in the stored Account, which has "
            r"id, price, gone, and has no default",
        ),
        (
            made("Account", ("id", str), ("price", int)),
            "state 'v': field 'id' was stored as int and is declared as str now",
        ),
        (made("Account", ("price", list[int])), "field 'price' was stored as int .* list"),
        (int, "state 'v': the value was stored as Account and is declared as int now"),
        (None, "state 'v': the value was stored as Account and has no type now"),
        (Types.STRING(), "the value was stored as Account and is declared as str now"),
    ],
)
@pytest.mark.parametrize("kind", BACKENDS)
def test_what_cannot_become_the_new_type_is_refused_by_name(make, again, kind, after, says):
    with pytest.raises(StateMigrationError, match=says) as caught:
        evolve(make, again, kind, V1, V1(1, 2, "x"), after)
    assert caught.value.code == "LESTO-5012"
    assert caught.value.remedy


def test_a_field_deep_inside_is_named_with_its_path(make, again):
    inner1, inner2 = made("Inner", ("a", float)), made("Inner", ("a", int))
    v1 = made("Outer", ("parts", list[inner1]))
    v2 = made("Outer", ("parts", list[inner2]))
    with pytest.raises(StateMigrationError, match=r"field 'parts\.a' was stored as float"):
        evolve(make, again, "hashmap", v1, v1([inner1(1.0)]), v2)


@pytest.mark.parametrize("kind", BACKENDS)
def test_declared_types_are_checked_where_nothing_else_is_typed(make, again, kind):
    with pytest.raises(StateMigrationError, match=r"value was stored as int32 and is .* str now"):
        evolve(make, again, kind, Types.INT(), 1, Types.STRING())
    with pytest.raises(StateMigrationError, match="element was stored as int64"):
        evolve(make, again, kind, Types.LONG(), 1, Types.STRING(), ListStateDescriptor)
    assert evolve(make, again, kind, Types.INT(), 1, Types.LONG()) == 1
    widened = evolve(make, again, kind, Types.INT(), 1, Types.DOUBLE())
    assert (widened, type(widened)) == (1.0, float)
    assert evolve(make, again, kind, None, 1, Types.STRING()) == 1  # nothing is known of it
    assert evolve(make, again, kind, Types.INT(), 1, None) == 1
    with pytest.raises(StateMismatchError, match="of kind value, not list"):
        again(opened_with(make, kind), kind).get_state(ListStateDescriptor("v"))


def opened_with(make, kind):
    backend = opened(make, kind)
    backend.get_state(ValueStateDescriptor("v")).update(1)
    return backend


@pytest.mark.parametrize("kind", BACKENDS)
def test_objects_that_were_pickled_become_typed(make, again, kind):
    assert evolve(make, again, kind, None, Item("a", 4), Item) == Item("a", 4)
    assert evolve(make, again, kind, None, {"name": "b"}, Item) == Item("b", 1)
    with pytest.raises(StateTypeError, match="holds a int, which is no Item"):
        evolve(make, again, kind, None, 5, Item)


def test_keys_of_maps_cannot_change(make, again):
    key1, key2 = (made("K", ("a", kind), frozen=True) for kind in (int, str))
    key1 = dataclasses.make_dataclass("K", [("a", int)], frozen=True)
    key2 = dataclasses.make_dataclass("K", [("a", str)], frozen=True)
    backend = opened(make, "hashmap")
    backend.get_state(MapStateDescriptor("m", key1, int)).put(key1(1), 1)
    other = again(backend, "hashmap")
    with pytest.raises(StateMigrationError, match="the keys of the map"):
        other.get_state(MapStateDescriptor("m", key2, int))


def test_a_value_of_another_class_is_refused(make):
    backend = opened(make, "hashmap")
    state = backend.get_state(ValueStateDescriptor("v", Item))
    with pytest.raises(StateTypeError, match="declared as Item was given a Point"):
        state.update(Point(1))
    schema = backend.get_state(ValueStateDescriptor("s", ARROW))
    with pytest.raises(StateTypeError, match="fields it has not: nope"):
        schema.update({"nope": 1})


def test_two_descriptors_that_differ_are_refused(make):
    backend = opened(make, "hashmap")
    backend.get_state(ValueStateDescriptor("v", Item))
    backend.get_state(ValueStateDescriptor("v", Item))
    with pytest.raises(StateMismatchError, match="two descriptors of state 'v'"):
        backend.get_state(ValueStateDescriptor("v", Point))


def test_an_accumulator_may_be_typed(make, again):
    class Mean:
        def create_accumulator(self):
            return Point(0, 0)

        def add(self, value, accumulator):
            return Point(accumulator.x + value, accumulator.y + 1)

        def get_result(self, accumulator):
            return accumulator.x / accumulator.y

        def merge(self, a, b):
            return Point(a.x + b.x, a.y + b.y)

    backend = opened(make, "rocksdb")
    descriptor = AggregatingStateDescriptor("a", Mean(), Point)
    state = backend.get_state(descriptor)
    state.add(1)
    state.add(2)
    other = again(backend, "rocksdb").get_state(AggregatingStateDescriptor("a", Mean(), Point))
    other.add(6)
    assert other.get() == 3


def test_types_that_hold_themselves_are_kept_whole():
    class Node(NamedTuple):
        value: Any

    assert record_type(Node).spec == {"record": Node.__qualname__, "fields": [["value", "any"]]}
    assert record_type(int) is None

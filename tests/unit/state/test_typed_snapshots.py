"""Snapshots written by an older version of the job's classes, which are in this folder as files.

They were written by ``Order(id: int, lines: list[Line], coupon: str = "")`` with
``Line(sku: str, price: int)``: a value, a list with a time-to-live of an hour, and a map.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest

from lesto.common.clock import VirtualClock
from lesto.common.types import Types
from lesto.state import metadata_file
from lesto.state.descriptors import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from lesto.state.errors import StateMigrationError, StateMismatchError
from lesto.state.reader.savepoint import SavepointReader
from lesto.state.storage import SnapshotStore
from lesto.state.ttl import StateTtlConfig
from lesto.state.typed import Alias
from lesto.state.writer import OperatorBootstrap, SavepointWriter

DATA = Path(__file__).parent / "data"
WRITTEN = [DATA / "typed-v1-savepoint/savepoint-1", DATA / "typed-v1-checkpoint/job/chk-1"]
WRITTEN_AT = 1_700_000_000_000


@dataclass
class Line:
    sku: str
    amount: Annotated[float, Alias("price")]
    currency: str = "EUR"


@dataclass
class Order:
    id: int
    lines: list[Line]
    discounts: list[str] = field(default_factory=list)


@pytest.fixture
def restored(make):
    def restore(path, kind):
        metadata, _, root = metadata_file.locate(str(path))
        (operator,) = metadata.operators
        backend = make(kind)
        backend.clock = VirtualClock(WRITTEN_AT + 1_000)
        handles = [handle for subtask in operator.subtasks for handle in subtask.keyed]
        backend.restore(handles, SnapshotStore(root))
        backend.current_key = "customer-2"
        return backend

    return restore


@pytest.mark.parametrize("kind", ["hashmap", "rocksdb"])
@pytest.mark.parametrize("path", WRITTEN, ids=["savepoint", "checkpoint"])
def test_a_newer_version_of_the_classes_goes_on_from_it(restored, path, kind):
    backend = restored(path, kind)
    orders = backend.get_state(ValueStateDescriptor("order", Order))
    assert orders.value() == Order(2, [Line("a", 20.0), Line("b", 5.0)])
    lines = backend.get_state(MapStateDescriptor("lines", str, Line))
    assert dict(lines.items()) == {"last": Line("z", 2.0)}
    seen = ListStateDescriptor("seen")
    seen.enable_time_to_live(StateTtlConfig.new_builder("2s").build())
    items = backend.get_state(seen)
    assert list(items) == [2, 3]
    backend.clock.advance(1_000)
    assert list(items) == []


def test_a_version_that_does_not_follow_is_refused(restored):
    @dataclass
    class Wrong:
        id: str
        lines: list[Line]

    backend = restored(WRITTEN[0], "hashmap")
    says = "state 'order': field 'id' was stored as int and is declared as str now"
    with pytest.raises(StateMigrationError, match=says):
        backend.get_state(ValueStateDescriptor("order", Wrong))


@pytest.mark.parametrize("path", WRITTEN, ids=["savepoint", "checkpoint"])
def test_the_reader_shows_fields_by_name_and_values_without_stamps(path):
    reader = SavepointReader.read(str(path))
    orders = reader.read_keyed_state("orders", "order").read_all().sort_by("key").to_pylist()
    assert orders[2] == {
        "key": "customer-2",
        "value": {
            "id": 2,
            "lines": [{"sku": "a", "price": 20}, {"sku": "b", "price": 5}],
            "coupon": "spring",
        },
    }
    seen = reader.read_keyed_state("orders", "seen").read_all().sort_by("key")
    assert seen.column("value").to_pylist() == [[0, 1], [1, 2], [2, 3]]
    seen = reader.read_keyed_state("orders", "seen", last_access=True).read_all()
    assert seen.column("last_access").to_pylist() == [[WRITTEN_AT, WRITTEN_AT]] * 3
    plain = reader.read_keyed_state("orders", "lines", last_access=True).read_all()
    assert plain.column("last_access").to_pylist() == [None] * 3
    assert plain.column("map_key").to_pylist() == ["last"] * 3


@dataclass
class FirstLine:
    sku: str
    price: int


@dataclass
class FirstOrder:
    id: int
    lines: list[FirstLine]
    coupon: str | None = None


@pytest.mark.parametrize("kind", ["hashmap", "rocksdb"])
def test_what_the_reader_gave_and_the_writer_wrote_is_typed_again(restored, tmp_path, kind):
    reader = SavepointReader.read(str(WRITTEN[0]))
    table = reader.read_keyed_state("orders", "order").read_all()
    seen = reader.read_keyed_state("orders", "seen").read_all()
    dying = ListStateDescriptor("seen")
    dying.enable_time_to_live(StateTtlConfig.new_builder("1s").build())
    declared = ValueStateDescriptor("order", FirstOrder) if kind == "rocksdb" else "order"
    operator = OperatorBootstrap("Orders").value_state(declared, table).list_state(dying, seen)
    written = SavepointWriter.new_savepoint(128).with_operator("orders", operator)
    written = written.write(str(tmp_path / "written"))
    backend = restored(written, kind)
    orders = backend.get_state(ValueStateDescriptor("order", FirstOrder))
    assert orders.value() == FirstOrder(2, [FirstLine("a", 20), FirstLine("b", 5)], "spring")
    items = backend.get_state(dying)
    assert list(items) == [2, 3]
    backend.clock.advance(1_000)
    assert list(items) == []


@pytest.mark.parametrize("kind", ["hashmap", "rocksdb"])
def test_subtasks_that_have_not_asked_for_a_state_yet(make, store, kind):
    def part(start, end, descriptor):
        backend = make(kind, start=start, end=end)
        backend.get_state(descriptor)
        return backend.snapshot(1, canonical=True).finish(store)

    declared = ValueStateDescriptor("v", Types.LONG())
    handles = [part(0, 63, ValueStateDescriptor("v")), part(64, 127, declared)]
    make(kind).restore(handles, store)
    typed = [handles[0], part(64, 127, ValueStateDescriptor("v", Line))]
    with pytest.raises(StateMismatchError, match="in different forms"):
        make(kind).restore(typed, store)

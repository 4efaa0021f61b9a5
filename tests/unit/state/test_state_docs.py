"""docs/state.md: every snippet runs, in order, against a snapshot with what it speaks of."""

import dataclasses
import re
import shlex
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest
from savepoints import merge_snapshots, write_snapshot

from lesto.client.cli.main import main
from lesto.proto.checkpoint_pb2 import OperatorStateList
from lesto.state.descriptors import MapStateDescriptor, ValueStateDescriptor
from lesto.state.reader import SavepointReader

PAGE = Path(__file__).resolve().parents[3] / "docs/state.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


@dataclasses.dataclass
class Order:
    item: str
    pieces: int


def _counter(backend):
    for name, items in (("ada", 1), ("bob", 2)):
        backend.current_key = name
        backend.get_state(ValueStateDescriptor("count")).update(items)
        backend.get_state(MapStateDescriptor("carts")).put("pen", items)
        backend.get_state(ValueStateDescriptor("orders")).update(Order("pen", items))
        backend.timers("event").register(1_000, name)


def _windows(backend):
    state = backend.get_state(ValueStateDescriptor("_window_contents"))
    state.set_namespace((0, 100))
    backend.current_key = "ada"
    state.update(1)


@pytest.fixture
def savepoint(tmp_path):
    splits = OperatorStateList(name="splits", items=[msgspec.msgpack.encode(["0", 7])])
    return merge_snapshots(
        tmp_path / "merged",
        write_snapshot(tmp_path / "a", "rocksdb", _counter, canonical=True, uid="counter"),
        write_snapshot(tmp_path / "b", "hashmap", _windows, canonical=True, uid="windows"),
        write_snapshot(
            tmp_path / "c", "hashmap", lambda _: None, canonical=True, uid="numbers", lists=[splits]
        ),
    )


def test_every_snippet_of_the_page_runs(savepoint, tmp_path, capfdbinary, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(PAGE.read_text())
    assert [kind for kind, _ in blocks].count("python") == 4
    names = {"savepoint": savepoint, "folder": str(tmp_path)}
    for kind, text in blocks:
        if kind == "python":
            exec(compile(text, str(PAGE), "exec"), names)
            continue
        for line in text.splitlines():
            arguments = shlex.split(line.replace("SAVEPOINT", savepoint))
            assert arguments[0] == "lesto"
            assert main(arguments[1:]) == 0, (line, capfdbinary.readouterr())
    shown = capfdbinary.readouterr().out.decode()
    assert "carts" in shown
    assert "struct<item: string, pieces: int64>" in shown
    assert pq.read_table(tmp_path / "count.parquet").num_rows == 2
    made = SavepointReader.read(names["made"])
    totals = made.read_keyed_state("totals", "running_aggregate").read_all()
    assert {r["user"]: r["sum_0"] for r in totals.to_pylist()} == {"ada": 30, "bob": 50}
    assert made.read_keyed_state("counter", "carts").read_all().num_rows == 2
    changed = SavepointReader.read(names["changed"])
    counts = changed.read_keyed_state("counter", "count").read_all()
    assert sorted(counts["value"].to_pylist()) == [1_001, 1_002]
    assert changed.read_keyed_state("counter", "orders").read_all().num_rows == 2

"""`lesto state`: lists and reads snapshots, for people and for programs; mistakes by name."""

import dataclasses
import io
import json
import sys

import msgspec
import pyarrow.parquet as pq
import pytest
from savepoints import write_snapshot

from lesto.client.cli.main import main
from lesto.common.row import Row
from lesto.common.types import Types
from lesto.proto.checkpoint_pb2 import OperatorStateList
from lesto.state.descriptors import MapStateDescriptor, ValueStateDescriptor


@dataclasses.dataclass
class Point:
    x: int


def _fill(backend):
    count = backend.get_state(ValueStateDescriptor("count", Types.LONG()))
    rich = backend.get_state(MapStateDescriptor("rich"))
    for i in range(150):
        backend.current_key = f"k{i:03}"
        count.update(i)
    backend.current_key = ("a", 1)
    rich.put("row", Row(name="ü", tags=[b"\x00\xff"], at=None))
    rich.put("point", Point(1))
    rich.put("dict", {1: (2, 3.5), "x": set()})


@pytest.fixture
def snapshot(tmp_path):
    lists = [
        OperatorStateList(name="splits", items=[msgspec.msgpack.encode(["s", 7])]),
        OperatorStateList(name="windows", items=[b"\xff\x00"] * 2, union=True),
    ]
    return write_snapshot(tmp_path, "rocksdb", _fill, lists=lists)


@pytest.fixture
def lesto(monkeypatch):
    def run(*arguments):
        out, errors = io.BytesIO(), io.StringIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "utf-8", write_through=True))
        monkeypatch.setattr(sys, "stderr", errors)
        code = main(["state", *arguments])
        return code, out.getvalue(), errors.getvalue()

    return run


def test_list_names_operators_states_and_sizes(lesto, snapshot):
    code, out, _ = lesto("list", snapshot)
    text = out.decode()
    assert code == 0
    assert text.startswith("Checkpoint 1 of job 0000")
    for word in ("Counter", "uid", "count", "value", "Long", "splits", "union-list", "KiB"):
        assert word in text, word
    _, out, _ = lesto("list", snapshot, "-o", "json", "--operator", "Counter")
    records = json.loads(out)
    assert {r["state"]: r["kind"] for r in records} == {
        "count": "value",
        "rich": "map",
        "splits": "operator-list",
        "windows": "union-list",
    }
    assert {r["items"] for r in records if r["state"] == "windows"} == {2}


def test_read_as_table_says_when_there_is_more(lesto, snapshot):
    code, out, _ = lesto("read", snapshot, "--state", "count")
    lines = out.decode().splitlines()
    assert code == 0
    assert lines[0].split() == ["KEY", "VALUE"]
    assert len(lines) == 102
    assert "first 100 rows" in lines[-1]
    _, out, _ = lesto("read", snapshot, "--state", "count", "--limit", "150")
    assert len(out.decode().splitlines()) == 151
    _, out, _ = lesto("read", snapshot, "--state", "count", "--limit", "0")
    assert len(out.decode().splitlines()) == 1


def test_read_as_json_shows_values_as_people_write_them(lesto, snapshot):
    _, out, _ = lesto("read", snapshot, "--operator", "uid", "--state", "rich", "-o", "json")
    rows = {row["map_key"]: row for row in json.loads(out)}
    assert rows["row"]["key"] == ["a", 1]
    assert rows["row"]["value"] == {"name": "ü", "tags": ["AP8="], "at": None}
    assert rows["dict"]["value"] == {"1": [2, 3.5], "x": []}
    assert rows["point"]["value"].startswith("<pickle, ")
    _, out, _ = lesto("read", snapshot, "--state", "rich", "-o", "json", "--allow-pickle")
    rows = {row["map_key"]: row for row in json.loads(out)}
    assert rows["point"]["value"] == {"x": 1}
    _, out, _ = lesto("read", snapshot, "--state", "count", "-o", "json", "--limit", "0")
    assert json.loads(out) == []
    _, out, _ = lesto("read", snapshot, "--state", "splits", "-o", "json")
    assert json.loads(out)[0]["text"] == '["s", 7]'
    _, out, _ = lesto("read", snapshot, "--state", "windows")
    assert "ff 00" in out.decode()


def test_read_as_parquet(lesto, snapshot, tmp_path):
    target = tmp_path / "out.parquet"
    code, out, _ = lesto("read", snapshot, "--state", "count", "-o", "parquet", "--to", str(target))
    assert (code, out) == (0, b"")
    table = pq.read_table(target)
    assert sorted(table["value"].to_pylist()) == list(range(150))
    _, out, _ = lesto("read", snapshot, "--state", "rich", "-o", "parquet")
    assert pq.read_table(io.BytesIO(out)).num_rows == 3


def test_mistakes_are_named_and_leave_nothing_behind(lesto, snapshot, tmp_path):
    code, _, errors = lesto("read", snapshot, "--state", "cuont")
    assert code == 5
    assert "did you mean 'count'?" in errors
    code, _, errors = lesto("read", snapshot)
    assert "4 states: count, rich, splits, windows" in errors
    code, _, errors = lesto("read", snapshot, "--operator", "uidd", "--state", "count")
    assert "did you mean 'uid'?" in errors
    code, _, errors = lesto("read", snapshot, "--state", "count", "--limit", "-1")
    assert code == 2
    code, _, errors = lesto("list", snapshot, "-o", "parquet")
    assert code == 2
    code, _, errors = lesto("list", str(tmp_path / "none"))
    assert "LESTO-5003" in errors
    victim = next((tmp_path / "ck").rglob("*.sst"))
    victim.write_bytes(victim.read_bytes()[:-1])
    target = tmp_path / "x.parquet"
    code, _, errors = lesto(
        "read", snapshot, "--state", "count", "-o", "parquet", "--to", str(target)
    )
    assert "LESTO-5001" in errors
    assert not list(tmp_path.glob("*parquet*"))
    assert not list(tmp_path.glob(".x*"))

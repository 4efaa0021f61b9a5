"""Tables written from columns are RocksDB's: it ingests, reads, compacts and reopens them."""

import random
import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rocksdict import AccessType, Rdict

from lesto.state import rocks_files, sst
from lesto.state.errors import StorageError
from lesto.state.rocks_files import LocalDb

BINARY = pa.large_binary()
#: Few letters: long common beginnings, and bytes at both ends of the order.
letters = st.sampled_from(b"\x00\x01ab\xff")
runs = st.lists(
    st.dictionaries(
        st.lists(letters, min_size=1, max_size=12).map(bytes),
        st.none() | st.binary(max_size=40),
        max_size=60,
    ),
    min_size=1,
    max_size=4,
)


def ingest(db, entries):
    keys = sorted(entries)
    db.ingest(pa.array(keys, BINARY), pa.array([entries[key] for key in keys], BINARY))


def live(truth):
    return {key: value for key, value in truth.items() if value is not None}


@settings(max_examples=20, deadline=None)
@given(runs, st.sampled_from([0, rocks_files.FEW]))
def test_newer_runs_win_and_null_deletes(tmp_path_factory, several, few):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rocks_files, "FEW", few)
        check_runs(tmp_path_factory, several)


def check_runs(tmp_path_factory, several):
    folder = tmp_path_factory.mktemp("db")
    db = LocalDb(folder / "db", folder)
    truth = {}
    for run in several:
        ingest(db, run)
        truth |= run
        assert dict(db.scan(b"")) == live(truth)
        assert db.get_many(list(truth)) == list(truth.values())
    db.close()


@pytest.mark.parametrize("worth", [0, 2_048])
@pytest.mark.parametrize("size", [3, 3_000, 300_000])
def test_many_blocks_and_parts_survive_compaction_and_reopening(tmp_path, monkeypatch, size, worth):
    """Values that compress and values that do not, shorter and longer than a block."""
    monkeypatch.setattr(sst, "PART_BYTES", 100_000)
    monkeypatch.setattr(sst, "WORTH_OF_1024", worth)
    chance = random.Random(size)
    db = LocalDb(tmp_path / "db", tmp_path)
    truth = {}
    for _ in range(3):
        run = {}
        for n in chance.sample(range(100_000), 2_000_000 // (size + 200)):
            noise = chance.randbytes(size)
            run[b"key-%05d" % n] = chance.choice([noise, bytes(size), b"", None])
        ingest(db, run)
        truth |= run
    assert dict(db.scan(b"")) == live(truth)
    db._db.compact_range(None, None)
    assert dict(db.scan(b"key-5")) == {k: v for k, v in live(truth).items() if k[4:5] == b"5"}
    db.checkpoint(tmp_path / "copy")
    db.close()
    copy = Rdict(str(tmp_path / "copy"), access_type=AccessType.read_only(False))
    assert dict(copy.items()) == live(truth)
    copy.close()


def test_runs_are_merged_sooner_once_keys_are_looked_up(tmp_path):
    db = LocalDb(tmp_path / "db", tmp_path)
    runs = rocks_files.RUNS_READ_BY_KEY + 2

    def files():
        return len(list((tmp_path / "db").glob("*.sst")))

    for n in range(runs):
        ingest(db, {b"a": b"%d" % n, b"b%d" % n: b""})
    time.sleep(0.1)
    assert files() == runs
    db.read_by_key()
    ingest(db, {b"a": b"last"})
    ends = time.monotonic() + 10
    while files() >= rocks_files.RUNS_READ_BY_KEY and time.monotonic() < ends:
        time.sleep(0.01)
    assert files() < rocks_files.RUNS_READ_BY_KEY
    assert db.get(b"a") == b"last"
    db.close()


def test_only_what_becomes_half_as_large_is_compressed(tmp_path):
    chance = random.Random(1)
    sizes = []
    for share in (20, 60):  # of each value, in noise
        values = [chance.randbytes(share) + bytes(100 - share) for _ in range(2_000)]
        keys = pa.array([b"%05d" % n for n in range(len(values))], BINARY)
        sst.write_run(tmp_path / "run", keys, pa.array(values, BINARY))
        sizes.append((tmp_path / "run").stat().st_size)
    assert sizes[0] < 2_000 * 50
    assert sizes[1] > 2_000 * 100


def test_a_damaged_block_is_noticed(tmp_path):
    db = LocalDb(tmp_path / "db", tmp_path)
    ingest(db, {b"key-%04d" % n: b"value" for n in range(5_000)})
    db.close()
    (table,) = (tmp_path / "db").glob("*.sst")
    content = bytearray(table.read_bytes())
    content[100] ^= 1
    table.write_bytes(content)
    db = LocalDb(tmp_path / "db", tmp_path)
    with pytest.raises(Exception, match="checksum"):
        db.get(b"key-0001")
    db.close()


def test_a_full_disk_is_named(tmp_path):
    db = LocalDb(tmp_path / "db", tmp_path / "missing")
    with pytest.raises(StorageError, match="could not write"):
        ingest(db, {b"%02d" % n: b"b" for n in range(60)})
    db.close()

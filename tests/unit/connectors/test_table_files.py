"""Tables of files: formats, partitions, metadata, exactly once, looked up."""

import datetime as dt
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lesto.common.elements import ColumnarBatch
from lesto.common.sink import EndedWriter
from lesto.common.source import Boundedness, SourceBatch
from lesto.connectors.errors import (
    ConnectorConfigError,
    InvalidTableOptionError,
    MalformedRecordError,
    MissingTableOptionError,
    OutputError,
    SchemaMismatchError,
    UnknownConnectorError,
    UnknownTableOptionError,
    UnsupportedTableUseError,
)
from lesto.connectors.tables import factory as f
from tests.unit.connectors.contexts import (
    EnumeratorContext,
    ReaderContext,
    WriterContext,
    all_splits,
    read,
)
from tests.unit.connectors.table_helpers import fields, scan, sink

COLUMNS = "id BIGINT; name STRING; price DECIMAL(10, 2); t TIMESTAMP(3); day STRING; hour INT"
ROWS = pa.table(
    {
        "id": pa.array([1, 2, 3, 4], pa.int64()),
        "name": ['x,"y"', None, "", "ü"],
        "price": pa.array([1, None, 2, 3], pa.decimal128(10, 2)),
        "t": pa.array([0, 1, None, 1_500_000_000_123], pa.timestamp("ms")),
        "day": ["a/b", "a/b", None, "c"],
        "hour": pa.array([1, 1, 2, 3], pa.int32()),
    }
)


def options(path, format="csv", **more):
    return {"connector": "filesystem", "path": str(path), "format": format, **more}


def write(made, *tables, checkpoint=1, job=None):
    context = WriterContext()
    context.job_id = job or context.job_id
    writer = made.create_writer(context)
    for table in tables:
        writer.write(ColumnarBatch(table.combine_chunks().to_batches()[0]))
    committables = writer.prepare_commit(checkpoint)
    committer = made.create_committer()
    for _ in range(2):
        committer.commit(committables)
    committer.finish(EndedWriter(context.job_id, context.operator_uid, 0, 1, context.attempt))
    return committables


def visible(path):
    found = []
    for root, dirs, names in os.walk(path):
        dirs[:] = [d for d in dirs if not d.startswith(".")]
        found += [os.path.relpath(os.path.join(root, n), path) for n in names]
    return sorted(found)


def everything(plan):
    return read(plan.source, all_splits(plan.source))[0]


def by_id(rows):
    return sorted(rows, key=lambda r: r["id"])


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
@pytest.mark.parametrize("partitions", [(), ("day",), ("day", "hour")])
def test_what_is_written_is_read(tmp_path, format, partitions):
    made = sink(options(tmp_path, format), COLUMNS, partitions=partitions)
    write(made.sink, ROWS)
    rows = everything(scan(options(tmp_path, format), COLUMNS, partition_keys=partitions))
    expected = ROWS.to_pylist()
    if format == "csv":  # an empty text and NULL are one
        expected[1]["name"] = ""
        if "day" not in partitions:
            expected[2]["day"] = ""
    assert by_id(rows) == expected


def test_directories_are_named_by_the_partition(tmp_path):
    made = sink(options(tmp_path), COLUMNS, partitions=("day", "hour"))
    write(made.sink, ROWS)
    assert [os.path.dirname(p) for p in visible(tmp_path)] == [
        "day=__HIVE_DEFAULT_PARTITION__/hour=2",
        "day=a%2Fb/hour=1",
        "day=c/hour=3",
    ]


def test_nothing_is_visible_before_the_commit_and_twice_is_once(tmp_path):
    made = sink(options(tmp_path, "json"), COLUMNS, partitions=("hour",)).sink
    writer = made.create_writer(WriterContext())
    writer.write(ColumnarBatch(ROWS.to_batches()[0]))
    assert visible(tmp_path) == []
    committables = writer.prepare_commit(1)
    writer.write(ColumnarBatch(ROWS.to_batches()[0]))
    writer.close()
    assert visible(tmp_path) == []
    committer = made.create_committer()
    for _ in range(3):
        committer.commit(committables)
    assert len(visible(tmp_path)) == 3
    assert len(everything(scan(options(tmp_path, "json"), COLUMNS, partition_keys=("hour",)))) == 4


def test_more_partitions_than_open_files(tmp_path, monkeypatch):
    monkeypatch.setattr("lesto.connectors.files.partitioned.OPEN_FILES_MAX", 3)
    made = sink(options(tmp_path), "a BIGINT; b BIGINT", partitions=("b",)).sink
    table = pa.table({"a": np.arange(100), "b": np.arange(100) % 10})
    write(made, table, table)
    rows = everything(scan(options(tmp_path), "a BIGINT; b BIGINT", partition_keys=("b",)))
    expected = [(i, i % 10) for i in range(100)] * 2
    assert sorted((r["a"], r["b"]) for r in rows) == sorted(expected)


def test_a_size_closes_files(tmp_path):
    made = sink(options(tmp_path, **{"sink.rolling-policy.file-size": "1 b"}), "a BIGINT").sink
    table = pa.table({"a": [1, 2]})
    write(made, table, table)
    assert len(visible(tmp_path)) == 2


def test_a_success_file_says_that_a_partition_is_there(tmp_path):
    more = {"sink.partition-commit.policy.kind": "success-file"}
    write(sink(options(tmp_path, **more), COLUMNS, partitions=("hour",)).sink, ROWS)
    assert [p for p in visible(tmp_path) if p.endswith("_SUCCESS")] == [
        f"hour={h}/_SUCCESS" for h in (1, 2, 3)
    ]
    assert len(everything(scan(options(tmp_path), COLUMNS, partition_keys=("hour",)))) == 4


def test_overwrite_removes_what_other_jobs_wrote(tmp_path):
    table = pa.table({"a": pa.array([1, 2], pa.int64())})
    columns = "a BIGINT"
    write(sink(options(tmp_path), columns).sink, table, job="a" * 32)
    write(sink(options(tmp_path), columns, overwrite=True, bounded=True).sink, table, job="b" * 32)
    assert [r["a"] for r in everything(scan(options(tmp_path), columns))] == [1, 2]
    write(sink(options(tmp_path), columns, overwrite=True, bounded=True).sink, job="c" * 32)
    assert visible(tmp_path) == []
    with pytest.raises(UnsupportedTableUseError, match="OVERWRITE of table t is there for batches"):
        sink(options(tmp_path), columns, overwrite=True)


def test_columns_of_the_file_and_only_those_asked_for(tmp_path):
    (tmp_path / "a.csv").write_text("1,x\n2,y\n")
    columns = """a INT; b STRING; path STRING METADATA file.path; size BIGINT METADATA file.size
        name STRING METADATA file.name; at TIMESTAMP_LTZ(3) METADATA file.modification-time"""
    rows = everything(scan(options(tmp_path), columns, ["name", "b", "size", "path"]))
    assert rows[1] == {
        "name": "a.csv",
        "b": "y",
        "size": 8,
        "path": str(tmp_path / "a.csv"),
    }
    (found,) = {r["at"] for r in everything(scan(options(tmp_path), columns, ["at"]))}
    assert found.timestamp() == pytest.approx(os.path.getmtime(tmp_path / "a.csv"), abs=0.01)


def test_parquet_columns_by_name_cast_or_null(tmp_path):
    table = pa.table({"b": pa.array([1, 2], pa.int32()), "x": ["p", "q"]})
    pq.write_table(table, tmp_path / "a.parquet")
    rows = everything(scan(options(tmp_path, "parquet"), "x STRING; b BIGINT; c DOUBLE"))
    assert rows == [{"x": "p", "b": 1, "c": None}, {"x": "q", "b": 2, "c": None}]
    with pytest.raises(SchemaMismatchError, match="column 'x' is string, the table has int32"):
        everything(scan(options(tmp_path, "parquet"), "x INT"))


def test_a_directory_is_watched(tmp_path):
    plan = scan(options(tmp_path, **{"source.monitor-interval": "50 ms"}), "a INT")
    assert plan.source.boundedness is Boundedness.CONTINUOUS_UNBOUNDED
    context = EnumeratorContext()
    enumerator = plan.source.create_enumerator(context, None)
    enumerator.start()
    assert context.interval_ms == 50
    reader = plan.source.create_reader(ReaderContext())
    for number in (1, 2):
        (tmp_path / f"{number}.csv").write_text(f"{number}\n")
        enumerator.handle_split_request(0)
        enumerator.discover()
        reader.add_splits(context.assigned[0])
        context.assigned[0] = []
        result = reader.poll()
        assert isinstance(result, SourceBatch)
        assert result.batch.data.to_pylist() == [{"a": number}]
        reader.poll()
    with pytest.raises(UnsupportedTableUseError, match="is watched and never ends"):
        scan(options(tmp_path, **{"source.monitor-interval": "1 s"}), "a INT", bounded=True)


def test_a_pattern_chooses_files(tmp_path):
    for name in ("a.csv", "b.txt"):
        (tmp_path / name).write_text("1\n")
    more = {"source.path.regex-pattern": r".*\.csv"}
    assert len(everything(scan(options(tmp_path, **more), "a INT"))) == 1


def test_a_bad_line_is_named_or_left_out(tmp_path):
    (tmp_path / "a.csv").write_text("1,x\noops,y\n3,z\n4\n")
    columns = "a INT; b STRING"
    with pytest.raises(MalformedRecordError, match=r"column 'a': 'oops' is no INT") as raised:
        everything(scan(options(tmp_path), columns))
    assert raised.value.location.endswith("a.csv:2")
    rows = everything(scan(options(tmp_path, **{"csv.ignore-parse-errors": "true"}), columns))
    assert [(r["a"], r["b"]) for r in rows] == [(1, "x"), (None, "y"), (3, "z")]


def test_comments_and_other_characters(tmp_path):
    (tmp_path / "a.csv").write_text("# a comment\n1|'x|y'\n2|n/a\n")
    more = {
        "csv.field-delimiter": "|",
        "csv.quote-character": "'",
        "csv.allow-comments": "true",
        "csv.null-literal": "n/a",
    }
    rows = everything(scan(options(tmp_path, **more), "a INT; b STRING"))
    assert [(r["a"], r["b"]) for r in rows] == [(1, "x|y"), (2, None)]


def test_a_directory_that_names_no_value(tmp_path):
    (tmp_path / "h=x").mkdir()
    (tmp_path / "h=x" / "a.csv").write_text("1\n")
    with pytest.raises(SchemaMismatchError, match=r"'h=x' of .* is no INT"):
        everything(scan(options(tmp_path), "a INT; h INT", partition_keys=("h",)))
    (tmp_path / "a.csv").write_text("1\n")
    with pytest.raises(SchemaMismatchError, match="lies in no directory g="):
        everything(scan(options(tmp_path), "a INT; g INT", partition_keys=("g",)))


def test_line_ends_of_other_systems_and_empty_lines(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\r\n1,a\r\n2,b\r\n\r\n3,c")
    (tmp_path / "b.csv").write_bytes(b"4,d\r\n5,e\r\n")
    rows = everything(scan(options(tmp_path), "a INT; b STRING"))
    assert [(r["a"], r["b"]) for r in rows] == list(zip(range(1, 6), "abcde", strict=True))


def test_raw_lines(tmp_path):
    (tmp_path / "a.log").write_text("one\ntwo\n")
    assert everything(scan(options(tmp_path, "raw"), "line STRING")) == [
        {"line": "one"},
        {"line": "two"},
    ]


@pytest.mark.parametrize("keys", [["k"], ["k", "s"]])
def test_rows_are_looked_up(tmp_path, keys):
    (tmp_path / "a.csv").write_text("1,a,x\n2,b,y\n2,b,z\n,a,w\n3,c,v\n")
    columns = fields("k BIGINT; s STRING; v STRING")
    names = [c.name for c in columns]
    request = f.LookupRequest(options(tmp_path), columns, tuple(map(names.index, keys)), (2, 0))
    found = f.lookup("filesystem", request).function
    found.open()
    wanted = {"k": pa.array([2, 7, 1, 2], pa.int64()), "s": ["b", "b", "a", "q"]}
    numbers, rows = found.lookup(pa.record_batch({k: wanted[k] for k in keys}))
    got = list(zip(numbers.tolist(), rows.column(0).to_pylist(), strict=True))
    expected = [(0, "y"), (0, "z"), (2, "x")]
    assert got == (expected if keys == ["k", "s"] else [*expected, (3, "y"), (3, "z")])
    assert rows.schema.names == ["v", "k"]
    assert numbers.dtype == np.int64


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"path": None}, MissingTableOptionError, "needs the option 'path'"),
        ({"format": None}, MissingTableOptionError, "needs the option 'format'"),
        ({"format": "jsn"}, UnknownConnectorError, "no format 'jsn'.*did you mean 'json'"),
        ({"csv.field-delimter": ";"}, UnknownTableOptionError, "did you mean 'field-delimiter'"),
        ({"json.x": "1"}, UnknownTableOptionError, "filesystem has no option 'json.x'"),
        ({"csv.field-delimiter": "||"}, InvalidTableOptionError, "it is one character"),
        ({"source.path.regex-pattern": "("}, InvalidTableOptionError, "regex-pattern"),
        ({"source.monitor-interval": "soon"}, InvalidTableOptionError, "monitor-interval"),
        ({"sink.partition-commit.policy.kind": "metastore"}, InvalidTableOptionError, "metastore"),
    ],
)
def test_options_that_are_wrong(change, error, message):
    given = {k: v for k, v in {**options("/x"), **change}.items() if v is not None}
    with pytest.raises(error, match=message):
        f.check_options(given, table="t", columns=fields("a INT"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"sink.partition-commit.delay": "-1 h"}, "delay"),
        ({"partition.time-extractor.timestamp-formatter": "yyyy-bb"}, "timestamp-formatter"),
        ({"sink.partition-commit.watermark-time-zone": "Mars/Olympus"}, "watermark-time-zone"),
        ({"partition.time-extractor.kind": "custom"}, "time-extractor.kind"),
    ],
)
def test_partition_commits_that_there_are_not(tmp_path, more, message):
    given = options(
        tmp_path,
        **{
            "sink.partition-commit.policy.kind": "success-file",
            "sink.partition-commit.trigger": "partition-time",
            **more,
        },
    )
    with pytest.raises(InvalidTableOptionError, match=message):
        sink(given, COLUMNS, partitions=("hour",))


HOURS = pa.table(
    {
        "a": pa.array([1, 2, 3], pa.int64()),
        "dt": ["2024-01-01", "2024-01-01", "2024-01-02"],
        "hm": ["10:00", "11:00", "00:00"],
    }
)
BY_TIME = {
    "sink.partition-commit.policy.kind": "success-file",
    "sink.partition-commit.trigger": "partition-time",
    "sink.partition-commit.delay": "1 min",
    "partition.time-extractor.timestamp-pattern": "$dt $hm:00",
}


def succeeded(path):
    return [os.path.dirname(p) for p in visible(path) if p.endswith("_SUCCESS")]


def at(text):
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp() * 1000)


def by_time(path, **more):
    given = options(path, **{**BY_TIME, **more})
    return sink(given, "a BIGINT; dt STRING; hm STRING", partitions=("dt", "hm"))


def test_partitions_are_complete_when_event_time_has_passed_them(tmp_path):
    plan = by_time(tmp_path)
    assert plan.shuffle == (1, 2)  # one subtask writes a partition
    writer = plan.sink.create_writer(WriterContext())
    committer = plan.sink.create_committer()
    writer.write(ColumnarBatch(HOURS.to_batches()[0]))
    writer.process_watermark(at("2024-01-01 10:01:00"))
    committer.commit(writer.prepare_commit(1))
    assert len(visible(tmp_path)) == 3  # visible, but not complete: the delay is not over
    assert succeeded(tmp_path) == []
    writer.process_watermark(at("2024-01-01 10:01:00") + 1)
    committables = writer.prepare_commit(2)
    for _ in range(2):
        committer.commit(committables)
    assert succeeded(tmp_path) == ["dt=2024-01-01/hm=10%3A00"]

    after = by_time(tmp_path).sink.create_writer(WriterContext())
    after.restore_state(writer.snapshot_state(2))
    after.process_watermark(at("2024-01-01 23:00:00"))
    committer.commit(after.prepare_commit(3))
    assert len(succeeded(tmp_path)) == 2
    after.process_watermark(2**63 - 1)  # the end
    committer.commit(after.prepare_commit(4))
    assert len(succeeded(tmp_path)) == 3


def test_partitions_wait_after_their_first_row_by_the_clock(tmp_path):
    made = by_time(tmp_path, **{"sink.partition-commit.trigger": "process-time"}).sink
    context = WriterContext()
    writer, committer = made.create_writer(context), made.create_committer()
    writer.write(ColumnarBatch(HOURS.to_batches()[0]))
    committer.commit(writer.prepare_commit(1))
    assert succeeded(tmp_path) == []
    context.clock.advance(60_001)
    committer.commit(writer.prepare_commit(2))
    assert len(succeeded(tmp_path)) == 3


def test_a_partition_whose_time_cannot_be_read(tmp_path):
    given = {"partition.time-extractor.timestamp-pattern": "$hm"}
    writer = by_time(tmp_path, **given).sink.create_writer(WriterContext())
    with pytest.raises(OutputError, match=r"hm=10%3A00 has no time: '10:00' cannot be read"):
        writer.write(ColumnarBatch(HOURS.to_batches()[0]))


def test_metadata_that_files_do_not_have():
    with pytest.raises(ConnectorConfigError, match=r"no metadata 'file.owner'"):
        f.check_options(
            options("/x"), table="t", columns=fields("a INT; o STRING METADATA file.owner")
        )

"""The file source against files read whole, at any split border and any restart."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.connectors.errors import (
    ConnectorConfigError,
    InputNotFoundError,
    MalformedRecordError,
    SchemaMismatchError,
)
from lesto.connectors.files import (
    CsvFormat,
    FileSource,
    JsonLinesFormat,
    ParquetFormat,
    StreamFormat,
)
from lesto.connectors.files import readers as readers_module
from lesto.connectors.files import source as source_module
from tests.unit.connectors.contexts import EnumeratorContext, ReaderContext, all_splits, read

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])


def write_csv(path, rows, header=True):
    lines = [f"{i},{n}" for i, n in rows]
    path.write_text("\n".join((["id,name"] if header else []) + lines) + "\n")
    return str(path)


def restart(source, reader):
    """The splits of a snapshot, through their serialised form."""
    return [source.deserialize_split(source.serialize_split(s)) for s in reader.snapshot_state(1)]


@given(
    lines=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=20), max_size=30
    ),
    split_bytes=st.integers(1, 50),
    chunk_bytes=st.integers(1, 40),
    stop_after=st.integers(0, 20),
    newline_at_end=st.booleans(),
)
def test_text_is_read_once_whatever_the_borders(
    tmp_path_factory, lines, split_bytes, chunk_bytes, stop_after, newline_at_end
):
    path = tmp_path_factory.mktemp("text") / "data.txt"
    content = "\n".join(lines) + ("\n" if newline_at_end and lines else "")
    path.write_bytes(content.encode())
    expected = content.split("\n")
    if expected[-1] == "":
        expected.pop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_module, "SPLIT_BYTES", split_bytes)
        patch.setattr(readers_module, "CHUNK_BYTES", chunk_bytes)
        source = FileSource(str(path), format="text")
        splits = all_splits(source)
        first, reader = read(source, splits, steps=stop_after)
        rest, _ = read(source, restart(source, reader))
        reader.close()
    assert first + rest == expected


def test_csv_columns_header_and_nulls(tmp_path):
    path = write_csv(tmp_path / "a.csv", [(1, "x"), (2, "NA"), (3, "z")])
    source = FileSource(path)
    assert source.schema.names == ["id", "name"]
    records, _ = read(source, all_splits(source))
    assert records == [{"id": 1, "name": "x"}, {"id": 2, "name": None}, {"id": 3, "name": "z"}]


def test_a_quoted_text_is_never_null_so_that_what_the_sink_writes_is_read_again(tmp_path):
    rows = [(1, '""'), (2, ""), (3, '"NA"'), (4, "NA")]
    source = FileSource(write_csv(tmp_path / "a.csv", rows))
    records, _ = read(source, all_splits(source))
    assert [record["name"] for record in records] == ["", None, "NA", None]


def test_csv_without_header_needs_a_schema(tmp_path):
    with pytest.raises(ConnectorConfigError, match="needs a schema"):
        CsvFormat(header=False)
    path = write_csv(tmp_path / "a.csv", [(1, "x")], header=False)
    source = FileSource(path, format=CsvFormat(SCHEMA, header=False))
    assert read(source, all_splits(source))[0] == [{"id": 1, "name": "x"}]


def test_a_wrong_header_names_file_and_columns(tmp_path):
    path = write_csv(tmp_path / "a.csv", [(1, "x")])
    source = FileSource(
        path, format=CsvFormat(pa.schema([("id", pa.int64()), ("nome", pa.string())]))
    )
    with pytest.raises(SchemaMismatchError, match="missing: nome; unexpected: name") as error:
        read(source, all_splits(source))
    assert error.value.location == f"{path}:1"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("three,z", "column 'id' is int64: invalid value 'three'"),
        ("3,z,4", "expected 2 columns, got 3"),
    ],
)
def test_a_malformed_line_says_why_in_the_users_words(tmp_path, line, why):
    path = tmp_path / "a.csv"
    path.write_text(f"id,name\n1,x\n{line}\n")
    source = FileSource(str(path), format=CsvFormat(SCHEMA))
    with pytest.raises(MalformedRecordError) as error:
        read(source, all_splits(source))
    assert error.value.message == f"malformed record: {why}: {line!r}"


@pytest.mark.parametrize("split_bytes", [7, 1 << 20])
def test_a_malformed_line_fails_with_file_and_line(tmp_path, monkeypatch, split_bytes):
    monkeypatch.setattr(source_module, "SPLIT_BYTES", split_bytes)
    path = write_csv(tmp_path / "a.csv", [(1, "x"), (2, "y"), ("three", "z"), (4, "w")])
    source = FileSource(path, format=CsvFormat(SCHEMA))
    with pytest.raises(MalformedRecordError, match="three") as error:
        read(source, all_splits(source))
    assert error.value.location == f"{path}:4"
    assert not error.value.retryable


def test_malformed_lines_are_skipped_and_counted(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1}\nnonsense\n{"id": 2}\n[1]\n{"id": "x"}\n')
    source = FileSource(
        str(path), format=JsonLinesFormat(pa.schema([("id", pa.int64())])), on_error="skip"
    )
    records, reader = read(source, all_splits(source))
    assert records == [{"id": 1}, {"id": 2}]
    assert reader._context.errors == 3


def test_dead_letters_keep_place_reason_and_text_and_replays_do_not_double_them(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1}\nnonsense\n{"id": 2}\n')
    dead = tmp_path / "dead"
    source = FileSource(
        str(path),
        format=JsonLinesFormat(pa.schema([("id", pa.int64())])),
        on_error="dead-letter",
        dead_letter_path=str(dead),
    )
    for _ in range(2):
        assert read(source, all_splits(source))[0] == [{"id": 1}, {"id": 2}]
    letters = [json.loads(line) for f in dead.iterdir() for line in f.read_text().splitlines()]
    assert [(x["file"], x["line"], x["offset"], x["raw"]) for x in letters] == [
        (str(path), 2, 10, "nonsense")
    ]
    assert letters[0]["error"]


def test_dead_letter_options_go_together(tmp_path):
    path = write_csv(tmp_path / "a.csv", [(1, "x")])
    with pytest.raises(ConnectorConfigError, match="go together"):
        FileSource(path, on_error="dead-letter")
    with pytest.raises(ConnectorConfigError, match="not known"):
        FileSource(path, on_error="ignore")


def test_json_lines_infer_a_schema_or_give_python_values(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1, "b": {"c": [1, 2]}}\n{"a": 2}\n')
    columns = FileSource(str(path))
    assert columns.schema.names == ["a", "b"]
    assert read(columns, all_splits(columns))[0][1] == {"a": 2, "b": None}
    rows = FileSource(str(path), format=JsonLinesFormat(rows=True))
    assert rows.schema is None
    assert read(rows, all_splits(rows))[0] == [{"a": 1, "b": {"c": [1, 2]}}, {"a": 2}]


@pytest.mark.parametrize("stop_after", range(8))
def test_parquet_goes_on_within_a_row_group(tmp_path, stop_after):
    path = tmp_path / "a.parquet"
    table = pa.table({"id": range(25), "name": [str(i) for i in range(25)]})
    pq.write_table(table, path, row_group_size=10)
    source = FileSource(str(path), format=ParquetFormat(["id"]))
    assert source.schema.names == ["id"]
    splits = all_splits(source)
    assert len(splits) == 3
    first, reader = read(source, splits, batch_rows=4, steps=stop_after)
    rest, _ = read(source, restart(source, reader), batch_rows=4)
    reader.close()
    assert first + rest == [{"id": i} for i in range(25)]


def test_parquet_of_another_schema_is_refused_by_name(tmp_path):
    pq.write_table(pa.table({"id": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "b.parquet")
    source = FileSource(str(tmp_path))
    with pytest.raises(
        SchemaMismatchError, match=r"'id' is string, the job was built with int64"
    ) as error:
        read(source, all_splits(source))
    assert error.value.location.endswith("b.parquet")


def test_directories_globs_hidden_files_and_missing_paths(tmp_path):
    write_csv(tmp_path / "b.csv", [(2, "b")])
    write_csv(tmp_path / "a.csv", [(1, "a")])
    (tmp_path / ".pending").mkdir()
    write_csv(tmp_path / ".pending" / "c.csv", [(3, "c")])
    write_csv(tmp_path / "_hidden.csv", [(4, "d")])
    for path in (tmp_path, tmp_path / "[ab].csv"):
        source = FileSource(str(path), format=CsvFormat(SCHEMA))
        assert [r["id"] for r in read(source, all_splits(source))[0]] == [1, 2]
    with pytest.raises(InputNotFoundError, match="nowhere"):
        FileSource(str(tmp_path / "nowhere.csv"))
    (tmp_path / "f.xyz").write_text("")
    with pytest.raises(ConnectorConfigError, match="'xyz'"):
        FileSource(str(tmp_path / "f.xyz"))


def test_a_watched_directory_gives_each_file_once_also_after_a_restore(tmp_path):
    write_csv(tmp_path / "a.csv", [(1, "a")])
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(tmp_path))
    source = source.monitor_continuously(0.05).build()
    context = EnumeratorContext(2)
    enumerator = source.create_enumerator(context, None)
    enumerator.start()
    assert context.interval_ms == 50
    enumerator.handle_split_request(0)
    enumerator.handle_split_request(1)
    assert [len(context.assigned[i]) for i in (0, 1)] == [1, 0]
    assert not context.no_more

    write_csv(tmp_path / "b.csv", [(2, "b")])
    enumerator.discover()
    assert [s.path for s in context.assigned[1]] == [str(tmp_path / "b.csv")]
    state = enumerator.snapshot_state(1)

    write_csv(tmp_path / "c.csv", [(3, "c")])
    again = EnumeratorContext(1)
    restored = source.create_enumerator(again, state)
    restored.start()
    for _ in range(3):
        restored.handle_split_request(0)
    assert [s.path for s in again.assigned[0]] == [str(tmp_path / "c.csv")]


def test_a_reader_asks_for_work_only_when_it_has_none(tmp_path):
    source = FileSource(write_csv(tmp_path / "a.csv", [(1, "a")]))
    context = ReaderContext()
    reader = source.create_reader(context)
    reader.add_splits(all_splits(source))
    reader.start()
    assert context.requests == 0
    while context.requests == 0:
        reader.poll()
    reader.poll()
    assert context.requests == 1


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("csv", "write format='csv'"),
        (CsvFormat(), "write format=..."),
        (["b.txt"], "FileSource(*paths)"),
    ],
)
def test_a_format_in_the_place_of_a_path_is_named(tmp_path, given, hint):
    (tmp_path / "a.txt").write_text("a\n1\n")
    with pytest.raises(ConnectorConfigError, match="takes paths") as caught:
        FileSource(str(tmp_path / "a.txt"), given)
    assert hint in str(caught.value)


def test_splits_of_a_lost_reader_go_to_who_waits_first_and_once(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(name)
    source = FileSource(str(tmp_path), format="text", watch_interval=1)
    context = EnumeratorContext(2)
    enumerator = source.create_enumerator(context, None)
    enumerator.start()
    enumerator.handle_split_request(0)
    enumerator.handle_split_request(0)
    enumerator.handle_split_request(0)  # waits
    enumerator.handle_split_request(1)  # waits
    lost, context.assigned[0] = context.assigned[0], []
    enumerator.add_splits_back(lost, 0)
    assert context.assigned == {0: [], 1: [lost[0]]}
    enumerator.handle_split_request(0)
    assert context.assigned == {0: [lost[1]], 1: [lost[0]]}

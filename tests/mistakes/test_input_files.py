"""Files that are not what the job expects: fail with file and line, skip, put aside."""

import json

import pytest

FAILED = 1
pytestmark = pytest.mark.leaks_ok(
    "the shared cluster starts threads when first asked", only=("threads",)
)

LINES = {
    "csv": (
        "carrier,dep_delay\nUA,3\nAA,late\nDL,5\n",
        "column 'dep_delay' is int64: invalid value 'late'",
        3,
    ),
    "jsonl": ('{"carrier":"UA","dep_delay":3}\n{"carrier":"AA",\n{"carrier":"DL"}\n', '"AA"', 2),
}
JOB = """
    import pyarrow as pa
    schema = pa.schema([("carrier", pa.string()), ("dep_delay", pa.int64())])
    source = FileSource({path!r}, format={format}(schema){more})
    env.from_source(source, WatermarkStrategy.no_watermarks(), "files").sink_to(
        FileSink({out!r}, "jsonl"))
    env.execute("job")
"""
FORMATS = {"csv": "CsvFormat", "jsonl": "JsonLinesFormat"}


@pytest.fixture(params=["csv", "jsonl"])
def bad_file(request, tmp_path):
    text, shown, line = LINES[request.param]
    path = tmp_path / f"flights.{request.param}"
    path.write_text(text)
    return path, FORMATS[request.param], shown, line


@pytest.mark.cluster
def test_a_malformed_line_fails_the_job(submit, bad_file, nothing_published):
    path, form, shown, line = bad_file
    done = submit(JOB.format(path=str(path), format=form, more="", out=str(nothing_published)))
    done.is_clear(
        FAILED,
        "LESTO-3002",
        "malformed record",
        shown,
        remedy="on_error='skip'",
        at=f"{path}:{line}",
    )


def records(folder):
    files = sorted(folder.glob("part*"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.mark.cluster
def test_a_malformed_line_is_skipped(submit, bad_file, tmp_path):
    path, form, _, _ = bad_file
    out = tmp_path / "out"
    more = ", on_error='skip'"
    done = submit(JOB.format(path=str(path), format=form, more=more, out=str(out)))
    assert done.code == 0, done.err
    assert [record["carrier"] for record in records(out)] == ["UA", "DL"]


@pytest.mark.cluster
def test_a_malformed_line_is_put_aside(submit, bad_file, tmp_path):
    path, form, _, line = bad_file
    out, dead = tmp_path / "out", tmp_path / "dead"
    more = f", on_error='dead-letter', dead_letter_path={str(dead)!r}"
    done = submit(JOB.format(path=str(path), format=form, more=more, out=str(out)))
    assert done.code == 0, done.err
    assert [record["carrier"] for record in records(out)] == ["UA", "DL"]
    (letter,) = [json.loads(text) for f in dead.iterdir() for text in f.read_text().splitlines()]
    assert (letter["file"], letter["line"]) == (str(path), line)
    assert letter["raw"] == path.read_text().splitlines()[line - 1]


@pytest.mark.cluster
def test_a_header_that_does_not_fit_the_schema(submit, tmp_path, nothing_published):
    path = tmp_path / "flights.csv"
    path.write_text("carrier,delay\nUA,3\n")
    done = submit(
        JOB.format(path=str(path), format="CsvFormat", more="", out=str(nothing_published))
    )
    done.is_clear(
        FAILED,
        "LESTO-3003",
        "missing: dep_delay;",
        "unexpected: delay",
        remedy="carrier, dep_delay",
        at=f"{path}:1",
    )


def test_an_unknown_choice_for_malformed_lines(run, tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    done = run(f"FileSource({str(tmp_path / 'a.csv')!r}, on_error='ignore')  # HERE\n")
    done.is_clear(FAILED, "LESTO-3001", "'ignore'", remedy="'skip'")


def test_a_parquet_file_that_is_none(run, tmp_path):
    (tmp_path / "a.parquet").write_text("carrier,dep_delay\n")
    done = run(f"FileSource({str(tmp_path / 'a.parquet')!r})  # HERE\n")
    done.is_clear(FAILED, "LESTO-3007", "a.parquet", "Parquet", remedy="format=")


def test_a_column_that_the_parquet_file_does_not_have(run, tmp_path):
    done = run(
        f"""
        import pyarrow as pa, pyarrow.parquet as pq
        pq.write_table(pa.table({{"dep_delay": [1]}}), {str(tmp_path / "a.parquet")!r})
        FileSource({str(tmp_path / "a.parquet")!r}, format=ParquetFormat(["dep_dealy"]))  # HERE
        """
    )
    done.is_clear(2, "LESTO-2104", "did you mean 'dep_delay'", remedy="dep_delay")

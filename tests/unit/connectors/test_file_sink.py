"""The file sink: invisible before the commit, there once after any number of commits."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lesto.common.elements import ColumnarBatch, Form, RowBatch
from lesto.common.row import Row
from lesto.common.sink import EndedWriter
from lesto.connectors.errors import ConnectorConfigError, OutputError, PublishError
from lesto.connectors.files import (
    BucketAssigner,
    Encoder,
    FileSink,
    FileSource,
    OutputFileConfig,
    RollingPolicy,
)
from tests.unit.connectors.contexts import WriterContext

BATCH = ColumnarBatch(pa.record_batch({"a": [1, 2], "b": ["x", None]}))


def visible(path):
    return sorted(p.name for p in path.iterdir() if not p.name.startswith("."))


def ended(job_id=None, **context):
    c = WriterContext(**{"attempt": "1-1", **context})
    return EndedWriter(job_id or c.job_id, c.operator_uid, c.subtask, 2, c.attempt)


def prepare(sink, batches, checkpoint=1, **context):
    writer = sink.create_writer(WriterContext(**context))
    for batch in batches:
        writer.write(batch)
    committables = writer.prepare_commit(checkpoint)
    return writer, committables


def test_parquet_is_published_by_the_commit_only(tmp_path):
    sink = FileSink(str(tmp_path / "out"))
    _, committables = prepare(sink, [BATCH, BATCH])
    assert visible(tmp_path / "out") == []
    committer = sink.create_committer()
    for _ in range(3):
        committer.commit(committables)
    (name,) = visible(tmp_path / "out")
    assert pq.read_table(tmp_path / "out" / name).to_pylist() == BATCH.data.to_pylist() * 2
    assert FileSource(str(tmp_path / "out")).schema == BATCH.data.schema


@pytest.mark.parametrize("parent", ["/proc", "/sys"])
def test_a_place_where_no_directory_can_be_made_is_told_and_not_tried_again(parent):
    with pytest.raises(OutputError, match=f"'{parent}/none' cannot be made or written") as raised:
        FileSink(f"{parent}/none").create_writer(WriterContext())
    assert not raised.value.retryable
    assert "permissions" in raised.value.remedy


def test_a_job_that_goes_on_with_another_directory_publishes_the_rest_in_the_first(tmp_path):
    _, committables = prepare(FileSink(str(tmp_path / "old")), [BATCH])
    committer = FileSink(str(tmp_path / "new")).create_committer()
    for _ in range(2):
        committer.commit(committables)
    assert len(visible(tmp_path / "old")) == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("format_", "expected"),
    [("jsonl", '{"a":1,"b":"x"}\n{"a":2,"b":null}\n'), ("csv", '"a","b"\n1,"x"\n2,\n')],
)
def test_text_formats_of_columns(tmp_path, format_, expected):
    sink = FileSink(str(tmp_path), format_)
    _, committables = prepare(sink, [BATCH])
    sink.create_committer().commit(committables)
    assert (tmp_path / visible(tmp_path)[0]).read_text() == expected


def test_json_lines_of_python_values(tmp_path):
    class Thing:
        def as_dict(self):
            return {"k": 1}

    sink = FileSink(str(tmp_path), "jsonl")
    records = RowBatch([{"a": 1}, (1, "x"), "s", Thing(), Row(b=2), Row(3)])
    _, committables = prepare(sink, [records])
    sink.create_committer().commit(committables)
    lines = (tmp_path / visible(tmp_path)[0]).read_text().splitlines()
    assert [json.loads(x) for x in lines] == [{"a": 1}, [1, "x"], "s", {"k": 1}, {"b": 2}, [3]]


def test_a_value_that_json_cannot_hold_is_a_named_error(tmp_path):
    writer = FileSink(str(tmp_path), "jsonl").create_writer(WriterContext())
    with pytest.raises(ConnectorConfigError, match="type object"):
        writer.write(RowBatch([object()]))
    writer.close()


def test_flinks_builder(tmp_path):
    config = OutputFileConfig.builder().with_part_prefix("words").with_part_suffix(".log").build()
    sink = FileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder())
    sink = sink.with_output_file_config(config).build()
    assert sink.input_form is Form.ROWS
    _, committables = prepare(sink, [RowBatch([("to", 2), "be"])])
    sink.create_committer().commit(committables)
    (name,) = visible(tmp_path)
    assert name.startswith("words-")
    assert name.endswith(".log")
    assert (tmp_path / name).read_text() == "('to', 2)\nbe\n"


def test_each_checkpoint_has_its_files_and_empty_ones_have_none(tmp_path):
    sink = FileSink(str(tmp_path))
    writer, first = prepare(sink, [BATCH], checkpoint=1)
    assert writer.prepare_commit(2) == []
    writer.write(BATCH)
    third = writer.prepare_commit(3)
    sink.create_committer().commit([*first, *third])
    assert len(visible(tmp_path)) == 2


def test_a_pending_file_that_is_gone_is_an_error_not_a_silent_loss(tmp_path):
    sink = FileSink(str(tmp_path))
    _, committables = prepare(sink, [BATCH])
    for pending in (tmp_path / ".pending").iterdir():
        pending.unlink()
    with pytest.raises(PublishError, match="neither pending nor published"):
        sink.create_committer().commit(committables)


def test_the_end_removes_leftovers_of_earlier_attempts_only(tmp_path):
    sink = FileSink(str(tmp_path))
    prepare(sink, [BATCH], attempt="1-0")
    _, mine = prepare(sink, [BATCH], attempt="1-1")
    _, other = prepare(sink, [BATCH], attempt="1-1", subtask=1)
    committer = sink.create_committer()
    committer.commit(mine)
    committer.finish(ended())
    committer.commit(other)
    assert len(visible(tmp_path)) == 2
    assert list((tmp_path / ".pending").glob("*")) == []
    committer.finish(ended(subtask=1))
    assert not (tmp_path / ".pending").exists()


def test_writers_of_other_attempts_lose_nothing_and_those_that_are_gone_leave_nothing(tmp_path):
    """Regions restart alone, so that writers of one job are of several attempts."""
    sink = FileSink(str(tmp_path))
    _, other = prepare(sink, [BATCH], attempt="1-1", subtask=1)  # never restarted
    prepare(sink, [BATCH], attempt="1-1", subtask=2)  # gone since the job was rescaled
    prepare(sink, [BATCH], attempt="1-2", subtask=3)
    _, mine = prepare(sink, [BATCH], attempt="1-3")
    committer = sink.create_committer()
    committer.commit(mine)
    committer.finish(ended(attempt="1-3"))
    committer.commit(other)
    committer.finish(ended(attempt="1-1", subtask=1))
    assert len(visible(tmp_path)) == 2
    assert not (tmp_path / ".pending").exists()


def test_closing_removes_what_no_checkpoint_knows_and_keeps_the_rest(tmp_path):
    writer, committables = prepare(FileSink(str(tmp_path)), [BATCH])
    (known,) = (tmp_path / ".pending").iterdir()
    writer.write(BATCH)  # after a stop's barrier: the restored job writes it again
    writer.close()
    assert list((tmp_path / ".pending").iterdir()) == [known]
    FileSink(str(tmp_path)).create_committer().commit(committables)
    assert len(visible(tmp_path)) == 1


def test_a_subtask_that_has_finished_takes_nothing_from_one_that_writes_on(tmp_path):
    sink = FileSink(str(tmp_path))
    writer = sink.create_writer(WriterContext())
    sink.create_committer().finish(ended(job_id="other"))
    writer.write(BATCH)
    sink.create_committer().commit(writer.prepare_commit(1))
    assert len(visible(tmp_path)) == 1


def test_an_unknown_format_is_named(tmp_path):
    with pytest.raises(ConnectorConfigError, match="'orc'"):
        FileSink(str(tmp_path), "orc")
    writer = FileSink(str(tmp_path), "parquet").create_writer(WriterContext())
    with pytest.raises(ConnectorConfigError, match="need columns"):
        writer.write(RowBatch([1]))
    writer.close()


def test_a_job_that_finishes_does_not_disturb_another_that_writes_beside_it(tmp_path):
    sink = FileSink(str(tmp_path), "jsonl")
    writer = sink.create_writer(WriterContext())
    sink.create_committer().finish(ended(job_id="f" * 32))
    assert not (tmp_path / ".pending").exists()
    writer.write(RowBatch([{"a": 1}]))
    sink.create_committer().commit(writer.prepare_commit(1))
    assert len(visible(tmp_path)) == 1


def test_a_rolling_policy_closes_files_between_checkpoints(tmp_path):
    sink = (
        FileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder())
        .with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=4))
        .with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
        .with_bucket_check_interval(1_000)
        .build()
    )
    _, committables = prepare(sink, [RowBatch(["one"]), RowBatch(["two"]), RowBatch(["3"])])
    assert len(committables) == 3
    sink.create_committer().commit(committables)
    texts = [(tmp_path / name).read_text() for name in visible(tmp_path)]
    assert texts == ["one\n", "two\n", "3\n"]


def test_what_a_file_sink_cannot_do_is_refused(tmp_path):
    with pytest.raises(ConnectorConfigError, match="directories by time"):
        BucketAssigner.date_time_bucket_assigner()
    with pytest.raises(ConnectorConfigError, match="part_bytes"):
        FileSink(str(tmp_path), part_bytes=0)

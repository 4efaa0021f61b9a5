"""Statements and their results: bounded, in pages, each of which may be asked for twice."""

import json
import threading

import pyarrow as pa
import pytest

from lesto.client.submission import operations
from lesto.client.submission.operations import (
    BUFFER_ROWS,
    PAGE_ROWS,
    Buffer,
    Operation,
    Status,
    pieces,
)
from lesto.client.table.plan.schema import Column
from lesto.client.table.results import Batches, TableResult, local_result
from lesto.common.errors import LestoError
from lesto.jobmanager.server.submission.errors import (
    ResultTokenError,
    ResultTooLargeError,
    SqlOperationStateError,
)
from lesto.sql import types as t


def batch(rows, text=None):
    values = list(range(rows)) if text is None else [text] * rows
    return pa.record_batch({"a": values})


def test_a_buffer_holds_a_producer_back_and_gives_pages():
    buffer = Buffer()
    put = []

    def produce():
        for number in range(30):
            if not buffer.put((None, batch(PAGE_ROWS))):
                return
            put.append(number)
        buffer.end()

    thread = threading.Thread(target=produce)
    thread.start()
    taken = 0
    while (page := buffer.take(5)) is not None:
        rows = sum(piece.num_rows for _, piece in page)
        assert 0 < rows <= PAGE_ROWS
        taken += rows
        assert len(put) * PAGE_ROWS - taken <= BUFFER_ROWS + PAGE_ROWS
    thread.join()
    assert taken == 30 * PAGE_ROWS


def test_a_closed_buffer_lets_its_producer_go():
    buffer = Buffer()
    results = []

    def produce():
        while buffer.put((None, batch(PAGE_ROWS))):
            pass
        results.append("went")

    thread = threading.Thread(target=produce)
    thread.start()
    buffer.close()
    thread.join(5)
    assert results == ["went"]
    assert buffer.take(0) is None


def test_a_failure_comes_behind_the_rows():
    buffer = Buffer()
    buffer.put((None, batch(1)))
    buffer.end(LestoError("broken"))
    assert buffer.take(0)
    with pytest.raises(LestoError, match="broken"):
        buffer.take(0)


@pytest.mark.parametrize(("rows", "text"), [(2_500, None), (40, "x" * 200_000), (0, None)])
def test_pieces_are_no_larger_than_a_page(rows, text):
    found = pieces(None, batch(rows, text))
    assert sum(piece.num_rows for _, piece in found) == rows
    assert all(piece.num_rows <= PAGE_ROWS for _, piece in found)
    assert all(piece.nbytes <= 2 * operations.PAGE_BYTES for _, piece in found)


def operation(work, jobs=None):
    return Operation(lambda _: work(), lambda job, running: (jobs or []).append((job, running)))


def numbers(rows):
    return local_result([Column("n", t.INT())], [(n,) for n in range(rows)])


def fetch(op, token, row_format="JSON"):
    return json.loads(op.fetch(token, row_format, lambda n: f"/{n}"))


def test_pages_follow_one_another_and_the_last_comes_again():
    op = operation(lambda: numbers(2_500))
    op.run()
    found = [fetch(op, n) for n in range(4)]
    assert [len(page["results"]["data"]) for page in found] == [1000, 1000, 500, 0]
    assert [page.get("nextResultUri") for page in found] == ["/1", "/2", "/3", None]
    assert [page["resultType"] for page in found] == ["PAYLOAD"] * 3 + ["EOS"]
    assert fetch(op, 2) == found[2]
    assert fetch(op, 3) == found[3]
    for token in (0, 1, 4):
        with pytest.raises(ResultTokenError):
            fetch(op, token)
    assert op.read


def test_one_that_is_not_through_is_not_ready():
    op = operation(lambda: numbers(1))
    assert fetch(op, 0) == {"resultType": "NOT_READY", "nextResultUri": "/0"}
    assert op.status is Status.PENDING


@pytest.mark.parametrize(
    "error", [LestoError("named"), ZeroDivisionError("named"), SystemExit("named")]
)
def test_what_is_raised_is_told_to_whoever_asks(error):
    def work():
        raise error

    op = operation(work)
    op.run()
    assert op.status is Status.ERROR
    with pytest.raises(LestoError, match="named"):
        fetch(op, 0)


def test_one_that_was_cancelled_is_never_begun():
    op = operation(lambda: pytest.fail("it was begun"))
    op.stop(Status.CANCELED)
    op.run()
    assert op.status is Status.CANCELED
    with pytest.raises(SqlOperationStateError, match="canceled"):
        fetch(op, 0)


def test_cancelled_while_it_is_carried_out_its_rows_are_given_back():
    closed = []

    class Rows(Batches):
        def close(self):
            closed.append(True)

    def work():
        op.stop(Status.CANCELED)
        return TableResult(numbers(1)._schema, Rows([(None, batch(1))]))

    op = operation(work)
    op.run()
    assert op.status is Status.CANCELED
    assert closed == [True]


def test_a_row_beyond_an_answer_is_an_error(monkeypatch):
    monkeypatch.setattr(operations, "ANSWER_BYTES", 1_000)
    op = operation(lambda: local_result([Column("s", t.STRING())], [("x" * 2_000,)]))
    op.run()
    with pytest.raises(ResultTooLargeError):
        fetch(op, 0)

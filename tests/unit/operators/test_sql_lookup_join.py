"""Look-up joins in SQL: what is asked for, what is kept, in which order rows leave."""

import numpy as np
import pyarrow as pa
import pytest
from operator_harness import Harness

from lesto.common.clock import VirtualClock
from lesto.common.elements import ColumnarBatch
from lesto.connectors.tables.requests import LookupFunction
from lesto.sql import types as t
from lesto.sql.builder import call, literal
from lesto.sql.expressions import InputRef
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql import lookup_join
from lesto.taskmanager.operators.sql.lookup_join import LookedUp, LookupJoinOperator
from lesto.taskmanager.operators.sql.lookup_join_cache import LookupOptions

LEFT = pa.schema([("n", pa.int64()), ("k", pa.int64())])
TABLE = pa.schema([("k2", pa.int64()), ("name", pa.string())])
BOTH = pa.schema([*LEFT, *TABLE])


class Names(LookupFunction):
    """A table in memory that notes what it is asked for."""

    def __init__(self, rows, local=False):
        self.rows = rows
        self.local = local
        self.asked = []
        self.failures = 0
        self.opened = 0
        self.closed = 0

    def open(self):
        self.opened += 1

    def close(self):
        self.closed += 1

    def lookup(self, keys):
        if self.failures:
            self.failures -= 1
            raise ConnectionError("gone")
        wanted = keys.column(0).to_pylist()
        assert None not in wanted
        self.asked.append(wanted)
        found = [(i, row) for i, k in enumerate(wanted) for row in self.rows if row[0] == k]
        columns = [
            pa.array([row[c] for _, row in found], field.type) for c, field in enumerate(TABLE)
        ]
        numbers = np.array([i for i, _ in found], np.int64)
        return numbers, pa.RecordBatch.from_arrays(columns, schema=TABLE)


class Join:
    """One subtask."""

    def __init__(self, folder, function, options=None, hints=None, restore=None, **how):
        self.function = function
        self.clock = how.pop("clock", None) or VirtualClock(1_000_000)
        expressions = how.pop("expressions", None) or (
            InputRef(0, t.BIGINT()),
            InputRef(1, t.STRING()),
        )
        made = LookupOptions.of(options or {}, hints or {})
        table = LookedUp(function, TABLE, (1,), expressions, how.pop("filters", None), made)
        operator = LookupJoinOperator(
            SqlSettings(),
            table,
            2,
            how.pop("outer", False),
            how.pop("condition", None),
            BOTH,
            how.pop("before", True),
            how.pop("changes", False),
        )
        self.harness = Harness(operator, folder, clock=self.clock, restore=restore, open=False)
        self.harness.context.input_schemas = (LEFT,)
        operator.open()
        self.operator = operator

    def feed(self, rows, kinds=None):
        columns = [pa.array([row[i] for row in rows], LEFT.field(i).type) for i in (0, 1)]
        given = None if kinds is None else np.array(kinds, np.int8)
        data = pa.RecordBatch.from_arrays(columns, schema=LEFT)
        self.operator.process_batch(ColumnarBatch(data, None, given))

    def answer(self):
        self.harness.run_blocking()
        self.operator.poll()

    def take(self):
        found = [tuple(row.values()) for row in self.harness.output.rows]
        self.kinds = [
            k
            for b in self.harness.output.batches
            for k in (b.kinds if b.kinds is not None else [0] * len(b))
        ]
        self.harness.output.rows.clear()
        self.harness.output.batches.clear()
        return found


ROWS = [(1, "one"), (2, "two"), (2, "zwei"), (4, "four")]


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("outer", [False, True])
def test_rows_meet_what_the_table_has(tmp_path, local, outer):
    join = Join(tmp_path, Names(ROWS, local), outer=outer)
    join.feed([(10, 2), (11, 3), (12, None), (13, 1), (14, 2)])
    join.answer()
    wanted = [(10, 2, 2, "two"), (10, 2, 2, "zwei")]
    if outer:
        wanted += [(11, 3, None, None), (12, None, None, None)]
    wanted += [(13, 1, 1, "one"), (14, 2, 2, "two"), (14, 2, 2, "zwei")]
    assert join.take() == wanted
    if not local:
        assert join.function.asked == [[2, 3, 1]]
    join.harness.close()
    assert join.function.closed == 1


@pytest.mark.parametrize("local", [False, True])
def test_what_is_made_of_the_tables_rows_and_what_pairs_must_meet(tmp_path, local):
    name = InputRef(1, t.STRING())
    join = Join(
        tmp_path,
        Names(ROWS, local),
        outer=True,
        filters=call("<>", [name, literal("zwei")]),
        expressions=(InputRef(0, t.BIGINT()), call("UPPER", [name])),
        condition=call("<", [InputRef(0, t.BIGINT()), literal(12)]),
    )
    join.feed([(10, 2), (11, 1), (12, 1)])
    join.answer()
    assert join.take() == [(10, 2, 2, "TWO"), (11, 1, 1, "ONE"), (12, 1, None, None)]


def test_a_cache_asks_once(tmp_path):
    options = {
        "lookup.cache": "PARTIAL",
        "lookup.partial-cache.expire-after-write": "10 s",
        "lookup.partial-cache.max-rows": "3",
    }
    join = Join(tmp_path, Names(ROWS), options, outer=True)
    join.feed([(10, 2), (11, 3)])
    join.answer()
    first = join.take()
    join.feed([(10, 2), (11, 3)])
    assert join.take() == first  # on the spot, and that 3 is not there is known too
    join.feed([(12, 1), (13, 2)])
    join.answer()
    assert join.function.asked == [[2, 3], [1]]
    assert join.take() == [(12, 1, 1, "one"), (13, 2, 2, "two"), (13, 2, 2, "zwei")]
    # A fourth key is one too many, and 3 was not asked for the longest.
    join.clock.advance(1)
    join.feed([(14, 1), (15, 2), (16, 4)])
    join.answer()
    assert len(join.operator._cache) == 3
    assert join.function.asked[2:] == [[4]]
    join.clock.advance(10_000)
    join.feed([(17, 4)])
    join.answer()
    assert join.function.asked[3:] == [[4]]


def test_missing_keys_may_not_be_kept(tmp_path):
    options = {"lookup.cache": "PARTIAL", "lookup.partial-cache.cache-missing-key": "false"}
    join = Join(tmp_path, Names(ROWS), options)
    for _ in range(2):
        join.feed([(10, 2), (11, 3)])
        join.answer()
    assert join.function.asked == [[2, 3], [3]]


def test_batches_wait_in_order_and_are_looked_up_together(tmp_path):
    join = Join(tmp_path, Names(ROWS))
    join.feed([(1, 1)])
    join.feed([(2, 2)])
    join.harness.watermark(5)
    join.feed([(3, 4), (4, 2)])
    assert join.take() == []
    assert join.harness.output.watermarks == []
    assert join.operator.in_flight()
    join.answer()
    assert join.function.asked == [[1], [2, 4]]
    log = [entry for entry in join.harness.output.log]
    assert [kind for kind, _ in log] == ["rows", "rows", "watermark", "rows"]
    assert [row[0] for row in join.take()] == [1, 2, 2, 3, 4, 4]
    assert not join.operator.in_flight()


def test_no_more_batches_wait_than_may(tmp_path):
    join = Join(tmp_path, Names(ROWS))
    for i in range(lookup_join.BATCHES_MAX):
        assert join.operator.room()
        join.feed([(i, 1)])
    assert not join.operator.room()
    join.answer()
    assert join.operator.room()


def test_failures_are_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(lookup_join, "RETRY_MS", 0)
    join = Join(tmp_path, Names(ROWS), {"lookup.max-retries": 2})
    join.function.failures = 2
    join.feed([(1, 1)])
    join.answer()
    assert join.take() == [(1, 1, 1, "one")]
    join.function.failures = 3
    join.feed([(1, 1)])
    join.answer()
    assert [str(e) for e in join.harness.context.failures] == ["gone"]


def test_hints_ask_again_for_what_is_missing(tmp_path):
    hints = {
        "retry-predicate": "lookup_miss",
        "retry-strategy": "fixed_delay",
        "fixed-delay": "10 s",
        "max-attempts": "3",
    }
    join = Join(tmp_path, Names(list(ROWS)), hints=hints, outer=True)
    join.feed([(1, 1), (2, 7), (3, 8)])
    join.feed([(4, 1)])
    join.answer()
    assert join.take() == []
    join.function.rows.append((7, "seven"))
    join.harness.advance(10_000)
    join.answer()
    join.harness.advance(10_000)
    join.answer()
    assert join.take() == [
        (1, 1, 1, "one"),
        (2, 7, 7, "seven"),
        (3, 8, None, None),
        (4, 1, 1, "one"),
    ]
    assert join.function.asked == [[1, 7, 8], [7, 8, 1], [8]]


def test_rows_that_wait_are_looked_up_behind_a_restore(tmp_path):
    join = Join(tmp_path, Names(ROWS))
    join.feed([(1, 1), (2, 3)])
    join.feed([(3, 2)], [2])
    saved = join.harness.snapshot()
    again = Join(tmp_path, Names([(2, "deux")]), restore=[saved], outer=True)
    again.answer()
    assert again.take() == [(1, 1, None, None), (2, 3, None, None), (3, 2, 2, "deux")]
    assert again.kinds == [0, 0, 2]


def test_changes_do_not_wait_across_a_checkpoint(tmp_path):
    join = Join(tmp_path, Names(ROWS), changes=True)
    join.feed([(1, 1)], [1])
    join.feed([(2, 1)], [2])
    saved = join.harness.snapshot()
    assert join.take() == [(1, 1, 1, "one"), (2, 1, 1, "one")]
    assert join.kinds == [1, 2]
    assert not saved.lists
    join.answer()  # what was under way comes to nothing
    assert join.take() == []
    join.feed([(3, 2)])
    join.answer()
    assert len(join.take()) == 2


def test_a_table_in_memory_is_read_anew(tmp_path):
    options = {"lookup.cache": "FULL", "lookup.full-cache.periodic-reload.interval": "1 min"}
    join = Join(tmp_path, Names(ROWS, local=True), options)
    join.feed([(1, 1)])
    assert join.function.opened == 1
    join.clock.advance(60_000)
    join.feed([(1, 1)])
    join.feed([(1, 1)])
    assert join.function.opened == 2


def test_options_that_mean_nothing():
    with pytest.raises(ValueError, match="NONE, PARTIAL or FULL"):
        LookupOptions.of({"lookup.cache": "SOME"}, {})

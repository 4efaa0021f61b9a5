"""The columnar interval join against Flink's, record by record, and against the row join."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis_profiles import examples
from operator_harness import Harness, owner

from lesto.common.elements import MAX_TIMESTAMP, ColumnarBatch
from lesto.common.merged_columns import MergedColumns
from lesto.state.errors import StateMismatchError
from lesto.taskmanager.operators.columnar.errors import ChangelogInputError
from lesto.taskmanager.operators.columnar.interval_join import ColumnarIntervalJoinOperator
from lesto.taskmanager.operators.errors import MissingTimestampError
from tests.unit.operators.interval_model import LEFT, RIGHT, IntervalModel

KEYS = {
    "integers": (pa.int64(), pa.int32(), lambda k: k),
    "texts": (pa.string(), pa.large_string(), lambda k: None if k is None else f"key {k}"),
    "dictionary": (
        pa.dictionary(pa.int32(), pa.string()),
        pa.string(),
        lambda k: None if k is None else str(k),
    ),
    "decimals": (pa.decimal128(9, 2), pa.int64(), lambda k: k),
}
BOUNDS = [(-5, 5), (0, 0), (-300, -100), (40, 900), (0, 70), (-1, 0)]
TAGS = ("left late", "right late")


def schemas(kind):
    left, right, _ = KEYS[kind]
    return (
        pa.schema([("k", left), ("n", pa.int64())]),
        pa.schema([("n", pa.int64()), ("text", pa.string()), ("k", right)]),
    )


class Subtask:
    """One subtask of a join."""

    def __init__(self, folder, kind="integers", bounds=(-5, 5), **options):
        event_time = options.pop("event_time", True)
        tags = options.pop("late_tags", TAGS)
        self.kind = kind
        self.schemas = schemas(kind)
        merged = MergedColumns.of(*self.schemas, ["k"], ["k"], ("", "_right"))
        operator = ColumnarIntervalJoinOperator(["k"], ["k"], *bounds, merged, event_time, tags)
        self.harness = Harness(operator, folder, open=False, **options)
        self.harness.context.input_schemas = self.schemas
        operator.open()
        self.operator = operator

    def batch(self, side, records, times=True):
        """Of records ((key, number), time)."""
        name = KEYS[self.kind][2]
        rows = [
            {"k": None if k is None else name(k), "n": n, "text": f"text {n}"}
            for (k, n), _ in records
        ]
        schema = self.schemas[side]
        data = pa.RecordBatch.from_pylist(
            [{c: row[c] for c in schema.names} for row in rows], schema=schema
        )
        at = np.array([time for _, time in records], np.int64) if times else None
        return ColumnarBatch(data, at)

    def feed(self, side, records, times=True):
        self.operator.process_batch(self.batch(side, records, times), side)

    def results(self):
        """((left number, right number), time), and that the keys and the texts belong to them."""
        for row in self.harness.output.rows:
            assert row["text"] == f"text {row['n_right']}"
        return [
            ((row["n"], row["n_right"]), time)
            for row, time in zip(
                self.harness.output.rows, self.harness.output.timestamps, strict=True
            )
        ]

    def late(self, side):
        return [row["n"] for row in self.harness.output.sides.get(TAGS[side], [])]

    def kept(self):
        return [sum(map(len, rows.runs)) for rows in self.operator._rows]


events = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from([LEFT, RIGHT]),
            st.lists(
                st.tuples(st.sampled_from([None, 0, 1, 2]), st.integers(-400, 1200)),
                min_size=1,
                max_size=12,
            ),
        ),
        st.integers(-300, 1000),
    ),
    max_size=16,
)


def play(model, subtasks, steps, number=0):
    for step in steps:
        if isinstance(step, int):
            if model.watermark is not None and step <= model.watermark:
                continue
            model.advance(step)
            for subtask in subtasks:
                subtask.harness.watermark(step)
            continue
        side, records = step
        timed = []
        for key, time in records:
            number += 1
            timed.append(((key, number), time))
        for record, time in timed:
            model.add(side, record, time)
        name = KEYS[subtasks[0].kind][2]
        for index, subtask in enumerate(subtasks):
            own = [r for r in timed if owner(name(r[0][0]), len(subtasks)) == index]
            if own:
                subtask.feed(side, own)
    return number


@settings(max_examples=examples(30))
@given(
    before=events,
    after=events,
    bounds=st.sampled_from(BOUNDS),
    kind=st.sampled_from(list(KEYS)),
    # A database is slow to open and to close.
    backend=st.sampled_from([*["hashmap"] * 7, "rocksdb"]),
)
def test_as_flink_joins_also_restored_at_another_parallelism(
    tmp_path_factory, backend, before, after, bounds, kind
):
    folder = tmp_path_factory.mktemp("join")
    model = IntervalModel(*bounds)

    def start(parallelism, restore=None):
        return [
            Subtask(
                folder, kind, bounds,
                backend=backend, parallelism=parallelism, subtask=i, restore=restore,
            )
            for i in range(parallelism)
        ]  # fmt: skip

    first = start(2)
    half = len(before) // 2
    number = play(model, first, before[:half])
    for subtask in first:
        subtask.harness.snapshot()  # so that the second one is incremental
    number = play(model, first, before[half:], number)
    saved = [subtask.harness.snapshot() for subtask in first]
    second = start(3, saved)
    resumed = model.watermark
    for subtask in second if resumed is not None else ():
        subtask.harness.watermark(resumed)
    play(model, second, after, number)
    every = (*first, *second)
    seen = [pair for subtask in every for pair in subtask.results()]
    assert sorted(seen) == sorted(((a[1], b[1]), time) for (a, b), time in model.results)
    for side in (LEFT, RIGHT):
        late = [n for subtask in every for n in subtask.late(side)]
        assert sorted(late) == sorted(record[1] for record in model.late[side])
    for subtask in second:
        subtask.harness.watermark(MAX_TIMESTAMP)
        assert subtask.kept() == [0, 0]
        gone = subtask.harness.snapshot(canonical=True)
        assert (
            gone.handle.files == [] or sum(f.file.length_bytes for f in gone.handle.files) < 1_000
        )
    for subtask in every:
        subtask.harness.close()


@pytest.fixture
def make(tmp_path):
    made = []

    def start(*args, **options):
        made.append(Subtask(tmp_path, *args, **options))
        return made[-1]

    yield start
    for subtask in made:
        subtask.harness.close()


def test_key_columns_and_names(make):
    one = make("texts")
    one.feed(LEFT, [((1, 7), 10), ((None, 8), 10)])
    one.feed(RIGHT, [((1, 9), 12), ((None, 6), 9)])
    assert sorted(one.harness.output.rows, key=str) == [
        {"k": "key 1", "n": 7, "n_right": 9, "text": "text 9"},
        {"k": None, "n": 8, "n_right": 6, "text": "text 6"},
    ]


def test_many_rows_lie_in_few_runs_and_leave_when_their_time_is_over(make):
    one = make(bounds=(-50, 50))
    for i in range(300):
        one.feed(LEFT, [((k, i), i * 10 + k) for k in range(20)])
        one.harness.watermark(i * 10)
    runs = one.operator._rows[LEFT].runs
    assert len(runs) < 12
    assert one.kept()[LEFT] < 600, "rows that can join nothing more are still there"
    assert len(one.operator._rows[LEFT]) <= 20 * 8


def test_a_checkpoint_has_only_what_is_new(make):
    one = make(backend="rocksdb", bounds=(-1_000_000, 1_000_000))
    rows = [((k, k), k) for k in range(2_000)]
    one.feed(LEFT, rows)
    table = one.operator._rows[LEFT]
    assert sum(map(len, table.all_entries().values.to_pylist())) > 20_000
    one.harness.snapshot()
    one.feed(LEFT, [((5, 99_999), 7)])
    assert len(table.take_changes().upserts) == 1
    assert len(table.take_changes().upserts) == 0


def test_pairs_of_a_hot_key_go_on_in_pieces(make):
    one = make()
    one.feed(LEFT, [((1, i), 1) for i in range(300)])
    one.feed(RIGHT, [((1, i), 1) for i in range(240)])
    batches = one.harness.output.batches
    assert sum(map(len, batches)) == 72_000
    assert len(set(one.results())) == 72_000
    assert len(batches) == 2


def test_keys_with_equal_hashes_do_not_meet(make, monkeypatch):
    from lesto.taskmanager.operators.columnar import interval_join

    monkeypatch.setattr(
        interval_join, "key_hashes", lambda data, columns: np.zeros(data.num_rows, np.uint64)
    )
    one = make("texts")
    one.feed(LEFT, [((k, k), 1) for k in (1, 2, None)])
    one.feed(RIGHT, [((k, 10 * (k or 0)), 1) for k in (2, 3, None, 2)])
    pairs = sorted((row["k"] or "", row["n_right"]) for row in one.harness.output.rows)
    assert pairs == [("", 0), ("key 2", 20), ("key 2", 20)]


def test_processing_time_joins_by_arrival_and_forgets(make):
    one = make(bounds=(0, 100), event_time=False)
    one.feed(LEFT, [((1, 1), 0)], times=False)
    one.harness.advance(60)
    one.feed(LEFT, [((1, 2), 0)], times=False)
    one.harness.advance(50)
    one.feed(RIGHT, [((1, 3), 0)], times=False)
    assert one.results() == [((2, 3), None)]
    assert one.kept() == [2, 1]
    one.harness.advance(5_000)
    assert one.kept() == [0, 0]
    assert one.harness.alarms == []


def test_processing_time_goes_on_behind_a_restore(make):
    one = make(bounds=(0, 100), event_time=False)
    one.feed(LEFT, [((1, 1), 0)], times=False)
    saved = [one.harness.snapshot()]
    two = make(bounds=(0, 100), event_time=False, restore=saved, clock=one.harness.clock)
    two.harness.advance(100)
    two.feed(RIGHT, [((1, 2), 0)], times=False)
    assert two.results() == [((1, 2), None)]
    two.harness.advance(5_000)
    assert two.kept() == [0, 0]


def test_late_rows_are_counted_when_nobody_wants_them(make):
    one = make(late_tags=(None, None))
    one.harness.watermark(10)
    one.feed(LEFT, [((1, 1), 9), ((1, 2), 10)])
    one.feed(RIGHT, [((1, 3), 8)])
    one.feed(RIGHT, [((1, 4), 11)])
    assert one.results() == [((2, 4), 11)]
    assert one.harness.counter("num_late_records_dropped") == 2


def test_times_at_the_ends_of_time(make):
    one = make(bounds=(-(10**6), 10**6))
    low, high = -(2**63) + 1, 2**63 - 2
    one.feed(LEFT, [((1, 1), low), ((1, 2), high)])
    one.feed(RIGHT, [((1, 3), low + 5), ((1, 4), high - 5)])
    assert sorted(one.results()) == [((1, 3), low + 5), ((2, 4), high)]


def test_a_row_without_event_time_is_a_named_error(make):
    one = make()
    with pytest.raises(MissingTimestampError, match="without event time reached the interval join"):
        one.feed(LEFT, [((1, 1), 1)], times=False)


def test_updates_are_refused(make):
    one = make()
    batch = one.batch(LEFT, [((1, 1), 1)])
    changed = ColumnarBatch(batch.data, batch.timestamps, np.array([3], np.int8))
    with pytest.raises(ChangelogInputError):
        one.operator.process_batch(changed, LEFT)


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
def test_other_columns_than_those_stored_are_a_named_error(make, backend):
    one = make("integers", backend=backend)
    one.feed(LEFT, [((1, 1), 1)])
    saved = [one.harness.snapshot()]
    with pytest.raises(StateMismatchError, match="the columns of state 'left-rows' were"):
        make("texts", backend=backend, restore=saved)

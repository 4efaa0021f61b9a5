import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis_profiles import examples
from operator_harness import Harness, owner

from lesto.common.co_functions import ProcessJoinFunction
from lesto.common.elements import MAX_TIMESTAMP
from lesto.common.functions import OutputTag
from lesto.common.keys import KeySpec
from lesto.state.descriptors import ValueStateDescriptor
from lesto.state.errors import StateMismatchError
from lesto.taskmanager.operators.errors import (
    InvalidResultError,
    MissingTimestampError,
    UserFunctionError,
)
from lesto.taskmanager.operators.interval_join import (
    LEFT_BUFFER,
    RIGHT_BUFFER,
    IntervalJoinOperator,
)
from tests.unit.operators.interval_model import LEFT, RIGHT, IntervalModel

KEY = KeySpec(selector=lambda v: v[0])
BOUNDS = [(-5, 5), (0, 0), (-300, -100), (40, 900), (0, 70), (-1, 0)]


def join(function=None, lower=-5, upper=5, **options):
    return IntervalJoinOperator(function, KEY, KEY, lower, upper, **options)


def kept(harness):
    """How many keys have anything in a buffer."""
    backend = harness.backend()
    return sum(len(list(backend.keys(name))) for name in (LEFT_BUFFER, RIGHT_BUFFER))


#: A batch of one side, or a watermark.
events = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from([LEFT, RIGHT]),
            st.lists(st.tuples(st.sampled_from("ab"), st.integers(-400, 1200)), max_size=8),
        ),
        st.integers(-300, 1000),
    ),
    max_size=14,
)


def play(model, harnesses, steps):
    """Give the steps to the model and to the subtasks, each of which has its keys."""
    watermark = None
    number = 0
    for step in steps:
        if isinstance(step, int):
            if watermark is not None and step <= watermark:
                continue
            watermark = step
            model.advance(step)
            for harness in harnesses:
                harness.watermark(step)
            continue
        side, records = step
        timed = []
        for key, time in records:
            number += 1
            timed.append(((key, number), time))
        for record, time in timed:
            model.add(side, record, time)
        for subtask, harness in enumerate(harnesses):
            own = [r for r in timed if owner(r[0][0], len(harnesses)) == subtask]
            if own:
                harness.feed_timed(own, side)


@settings(max_examples=examples(30))
@given(
    before=events,
    after=events,
    bounds=st.sampled_from(BOUNDS),
    # A database is slow to open and to close.
    backend=st.sampled_from([*["hashmap"] * 7, "rocksdb"]),
)
def test_as_flink_joins_also_restored_at_another_parallelism(
    tmp_path_factory, backend, before, after, bounds
):
    folder = tmp_path_factory.mktemp("join")
    model = IntervalModel(*bounds)
    tags = ("left late", "right late")

    def start(parallelism, restore=None):
        return [
            Harness(
                join(None, *bounds, late_tags=tags),
                folder,
                backend=backend,
                parallelism=parallelism,
                subtask=subtask,
                restore=restore,
            )
            for subtask in range(parallelism)
        ]

    first = start(2)
    play(model, first, before)
    saved = [harness.snapshot() for harness in first]
    second = start(3, saved)
    if model.watermark is not None:
        # The watermark is no state: records that came late before do so again only behind it.
        for harness in second:
            harness.watermark(model.watermark)
    resumed = model.watermark
    play(
        model,
        second,
        [s for s in after if not isinstance(s, int) or resumed is None or s > resumed],
    )
    for harness in second:
        harness.watermark(MAX_TIMESTAMP)
        assert kept(harness) == 0
        assert len(harness.backend().timers("event")) == 0
    seen = [pair for harness in (*first, *second) for pair in harness.output.timed()]
    assert sorted(seen) == sorted(model.results)
    for side, tag in enumerate(tags):
        late = [v for h in (*first, *second) for v in h.output.sides.get(tag, [])]
        assert sorted(late) == sorted(model.late[side])
    for harness in (*first, *second):
        harness.close()


def test_results_have_the_later_time_and_come_in_order_of_time(harness):
    one = harness(join(lower=-10, upper=10))
    one.feed_timed([(("a", 1), 8), (("a", 2), 3), (("b", 3), 5)], LEFT)
    one.feed_timed([(("a", 9), 6)], RIGHT)
    assert one.output.timed() == [((("a", 2), ("a", 9)), 6), ((("a", 1), ("a", 9)), 8)]


class Describe(ProcessJoinFunction):
    """Shows all it is given, counts by key, sends large sums aside."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count"))

    def process_element(self, left, right, ctx):
        number = (self.count.value() or 0) + 1
        self.count.update(number)
        times = ctx.get_left_timestamp(), ctx.get_right_timestamp(), ctx.get_timestamp()
        yield left[0], number, times
        if left[1] + right[1] > 10:
            yield OutputTag("large"), (left[1], right[1])


def test_a_process_join_function_has_times_state_of_its_key_and_side_outputs(harness):
    one = harness(join(Describe()))
    one.feed_timed([(("a", 1), 1), (("b", 2), 2), (("a", 3), 4)], LEFT)
    one.feed_timed([(("b", 9), 3), (("a", 1), 2)], RIGHT)
    assert one.output.timed() == [
        (("b", 1, (2, 3, 3)), 3),
        (("a", 1, (1, 2, 2)), 2),
        (("a", 2, (4, 2, 4)), 4),
    ]
    assert one.output.sides == {"large": [(2, 9)]}


class Join:
    def join(self, left, right):
        return left[1] * right[1]


@pytest.mark.parametrize("function", [Join(), lambda a, b: a[1] * b[1]])
def test_a_function_of_two_records_gives_one_result_a_pair(harness, function):
    one = harness(join(function))
    one.feed_timed([(("a", 3), 1)], LEFT)
    one.feed_timed([(("a", 5), 2), (("a", 7), 9)], RIGHT)
    assert one.output.timed() == [(15, 2)]


def test_late_records_are_counted_when_nobody_wants_them(harness):
    one = harness(join())
    one.watermark(10)
    one.feed_timed([(("a", 1), 9), (("a", 2), 10)], LEFT)
    one.feed_timed([(("a", 3), 8), (("a", 4), 11)], RIGHT)
    assert one.output.rows == [(("a", 2), ("a", 4))]
    assert one.counter("num_late_records_dropped") == 2


def test_processing_time_joins_by_arrival_and_forgets(harness):
    one = harness(join(None, 0, 100, event_time=False))
    one.feed([("a", 1)], input_index=LEFT)
    one.advance(60)
    one.feed([("a", 2)], input_index=LEFT)
    one.advance(50)
    one.feed([("a", 3)], input_index=RIGHT)
    assert one.output.timed() == [((("a", 2), ("a", 3)), None)]
    assert kept(one) == 2
    one.advance(1_000)
    assert kept(one) == 0
    one.feed([("a", 4)], input_index=RIGHT)
    assert len(one.output.rows) == 1


def test_processing_time_goes_on_behind_a_restore(harness):
    one = harness(join(None, 0, 100, event_time=False))
    one.feed([("a", 1)], input_index=LEFT)
    two = harness(join(None, 0, 100, event_time=False), restore=[one.snapshot()], clock=one.clock)
    two.advance(100)
    two.feed([("a", 2)], input_index=RIGHT)
    assert two.output.rows == [(("a", 1), ("a", 2))]
    two.advance(1_000)
    assert kept(two) == 0


def test_a_record_without_event_time_is_a_named_error(harness):
    one = harness(join())
    with pytest.raises(MissingTimestampError, match="without event time reached the interval join"):
        one.feed([("a", 1)])
    with pytest.raises(MissingTimestampError):
        one.feed_timed([(("a", 1), 1), (("a", 1), None)], RIGHT)


def test_an_error_of_the_function_names_it(harness):
    one = harness(join(lambda a, b: a[1] / b[1]))
    one.feed_timed([(("a", 1), 1)], LEFT)
    with pytest.raises(UserFunctionError, match=r"lambda.* of operator 'op' failed, record 1"):
        one.feed_timed([(("a", 1), 1), (("a", 0), 1)], RIGHT)


class NotIterable(ProcessJoinFunction):
    def process_element(self, left, right, ctx):
        return 5


def test_a_process_join_function_that_returns_no_iterable(harness):
    one = harness(join(NotIterable()))
    one.feed_timed([(("a", 1), 1)], LEFT)
    with pytest.raises(InvalidResultError, match="cannot be iterated"):
        one.feed_timed([(("a", 1), 1)], RIGHT)


def test_many_pairs_go_on_in_pieces(harness):
    one = harness(join())
    one.feed_timed([(("a", i), 1) for i in range(300)], LEFT)
    one.feed_timed([(("a", i), 1) for i in range(200)], RIGHT)
    assert len(one.output.rows) == 60_000
    assert len(one.output.batches) > 1
    assert max(map(len, one.output.batches)) < 20_000


def test_other_bounds_behind_a_restore_are_refused(harness):
    """Buckets are as wide as the interval: those that are stored would not be found."""
    first = harness(join(lower=0, upper=1000))
    first.feed_timed([(("a", 1), 5_500)], LEFT)
    saved = first.snapshot()
    same = harness(join(lower=0, upper=1000), restore=[saved])
    same.feed_timed([(("a", 2), 6_000)], RIGHT)
    assert same.output.take() == [(("a", 1), ("a", 2))]
    with pytest.raises(StateMismatchError, match=r"0 to 1000 ms.*0 to 70 ms"):
        harness(join(lower=0, upper=70), restore=[saved])

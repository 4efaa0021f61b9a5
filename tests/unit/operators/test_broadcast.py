import pytest
from operator_harness import owner

from lesto.common.co_functions import KeyedStateFunction
from lesto.common.functions import (
    BroadcastProcessFunction,
    KeyedBroadcastProcessFunction,
    OutputTag,
)
from lesto.common.keys import KeySpec
from lesto.common.time import TimeDomain
from lesto.state.broadcast import ENTRIES_PER_ITEM, BroadcastStates
from lesto.state.descriptors import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from lesto.state.errors import (
    BroadcastStateTooLargeError,
    ReadOnlyBroadcastStateError,
    UndeclaredBroadcastStateError,
)
from lesto.taskmanager.operators.broadcast import (
    BroadcastProcessOperator,
    KeyedBroadcastProcessOperator,
)
from lesto.taskmanager.operators.errors import KeyedStateUnavailableError

FIRST = KeySpec(selector=lambda v: v[0])
RULES = MapStateDescriptor("rules")
OTHER = MapStateDescriptor("other")
BACKENDS = ["hashmap", "rocksdb"]
STREAM, BROADCAST = 0, 1


class Translate(BroadcastProcessFunction):
    """Records are words, broadcast records (word, translation or None)."""

    def process_element(self, value, ctx):
        rules = ctx.get_broadcast_state(RULES)
        if value in rules:
            yield rules[value], ctx.timestamp(), ctx.current_watermark()
        else:
            yield OutputTag("unknown"), (value, ctx.current_processing_time())

    def process_broadcast_element(self, value, ctx):
        word, translation = value
        rules = ctx.get_broadcast_state(RULES)
        if translation is None:
            del rules[word]
        else:
            rules[word] = translation
        yield "rules", len(list(rules)), ctx.timestamp()


def test_broadcast_records_make_the_state_that_others_read(harness):
    one = harness(BroadcastProcessOperator(Translate(), [RULES]))
    one.watermark(3)
    one.feed(["eins"], [4])
    one.feed([("eins", "one"), ("zwei", "two")], [5, 6], input_index=BROADCAST)
    one.feed(["zwei", "eins"], [7, 8])
    one.feed([("zwei", None)], [9], input_index=BROADCAST)
    one.feed(["zwei"], [10])
    assert one.output.rows == [
        ("rules", 1, 5), ("rules", 2, 6), ("two", 7, 3), ("one", 8, 3), ("rules", 1, 9),
    ]  # fmt: skip
    assert one.output.sides == {"unknown": [("eins", 1_000_000), ("zwei", 1_000_000)]}


@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 5), (3, 1)])
def test_every_subtask_has_the_whole_state_at_any_parallelism(harness, before, after):
    def make():
        return BroadcastProcessOperator(Translate(), [RULES])

    rules = [(("word", i), f"translation {i}") for i in range(30)]
    first = [harness(make(), parallelism=before, subtask=i) for i in range(before)]
    for one in first:
        one.feed(rules, input_index=BROADCAST)
        one.feed([(("word", 7), None)], input_index=BROADCAST)
    saved = [one.snapshot() for one in first]
    for subtask in range(after):
        one = harness(make(), parallelism=after, subtask=subtask, restore=saved)
        one.feed([("word", i) for i in range(30)])
        found = [row[0] for row in one.output.rows]
        assert found == [f"translation {i}" for i in range(30) if i != 7]
        again = one.snapshot()
        assert again.broadcast_lists == saved[0].broadcast_lists


def test_a_new_subtask_takes_the_copy_of_one_old_one(harness):
    """Copies that differ, as those of functions that break the rule, are not mixed."""

    def make():
        return BroadcastProcessOperator(Translate(), [RULES])

    first = [harness(make(), parallelism=2, subtask=i) for i in range(2)]
    for number, one in enumerate(first):
        one.feed([("w", number), (number, number)], input_index=BROADCAST)
    saved = [one.snapshot() for one in first]
    for subtask in range(3):
        one = harness(make(), parallelism=3, subtask=subtask, restore=saved)
        one.feed(["w", 0, 1])
        assert [row[0] for row in one.output.rows] == [subtask % 2] * 2


WRITES = {
    "put": lambda s: s.put("a", 1),
    "put_all": lambda s: s.put_all({"a": 1}),
    "remove": lambda s: s.remove("a"),
    "clear": lambda s: s.clear(),
    "setitem": lambda s: s.__setitem__("a", 1),
    "delitem": lambda s: s.__delitem__("a"),
}


class Writes(BroadcastProcessFunction):
    """Writes where it must not: by the view, or by the object of the broadcast side."""

    def __init__(self, write, kept):
        self.write = write
        self.kept = kept

    def process_element(self, value, ctx):
        self.write(self.state if self.kept else ctx.get_broadcast_state(RULES))
        yield value

    def process_broadcast_element(self, value, ctx):
        self.state = ctx.get_broadcast_state(RULES)
        self.state.put("b", value)


@pytest.mark.parametrize("kept", [False, True], ids=["view", "kept object"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_the_other_side_must_not_write(harness, write, kept):
    one = harness(BroadcastProcessOperator(Writes(write, kept), [RULES]))
    one.feed([1], input_index=BROADCAST)
    with pytest.raises(ReadOnlyBroadcastStateError, match="'rules' can only be read here") as e:
        one.feed([2])
    assert "process_broadcast_element" in e.value.remedy
    one.feed([3], input_index=BROADCAST)  # may still be written where it may


def test_a_state_that_was_not_declared(harness):
    class Asks(BroadcastProcessFunction):
        def process_element(self, value, ctx):
            yield ctx.get_broadcast_state(MapStateDescriptor(value))

        def process_broadcast_element(self, value, ctx):
            yield ctx.get_broadcast_state(MapStateDescriptor(value))

    one = harness(BroadcastProcessOperator(Asks(), [RULES, OTHER]))
    for side in (STREAM, BROADCAST):
        with pytest.raises(UndeclaredBroadcastStateError, match="did you mean 'rules'") as e:
            one.feed(["rule"], input_index=side)
        assert "declared: other, rules" in e.value.remedy


class Count(KeyedBroadcastProcessFunction):
    """Counts by key what a broadcast limit lets through."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count"))

    def process_element(self, value, ctx):
        limit = ctx.get_broadcast_state(RULES).get("limit")
        if limit is None or value[1] <= limit:
            self.count.update((self.count.value() or 0) + 1)
            ctx.timer_service().register_event_time_timer(10)
        yield ctx.get_current_key(), self.count.value(), ctx.timestamp()

    def process_broadcast_element(self, value, ctx):
        kind, argument = value
        if kind == "limit":
            ctx.get_broadcast_state(RULES).put("limit", argument)
        elif kind == "state":
            self.count.value()
        elif kind == "visit":
            ctx.apply_to_keyed_state(ValueStateDescriptor("count"), argument)
        yield kind, ctx.timestamp(), ctx.current_watermark()

    def on_timer(self, timestamp, ctx):
        limit = ctx.get_broadcast_state(RULES).get("limit")
        yield "timer", ctx.get_current_key(), self.count.value(), limit, ctx.time_domain()


def count():
    return KeyedBroadcastProcessOperator(Count(), FIRST, [RULES])


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_keyed_side_has_state_and_timers_beside_broadcast_state(harness, backend):
    one = harness(count(), backend=backend)
    one.feed([("a", 9), ("b", 1)], [1, 2])
    one.feed([("limit", 5)], [3], input_index=BROADCAST)
    one.feed([("a", 9), ("a", 5), ("c", 7)], [4, 5, 6])
    one.watermark(10)
    event = TimeDomain.EVENT_TIME
    assert one.output.rows == [
        ("a", 1, 1), ("b", 1, 2), ("limit", 3, -(2**63)), ("a", 1, 4), ("a", 2, 5),
        ("c", None, 6), ("timer", "a", 2, 5, event), ("timer", "b", 1, 5, event),
    ]  # fmt: skip


class Reset(KeyedStateFunction):
    def __init__(self):
        self.seen = {}

    def process(self, key, state):
        self.seen[key] = state.value()
        state.update(100) if key == "a" else state.clear()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_broadcast_record_can_visit_the_state_of_all_keys(harness, backend):
    one = harness(count(), backend=backend)
    one.feed([("a", 1), ("b", 1), ("b", 1), ("c", 1)])
    one = harness(count(), backend=backend, restore=[one.snapshot()])
    one.feed([("d", 1)])
    reset = Reset()
    one.feed([("visit", reset)], input_index=BROADCAST)
    assert reset.seen == {"a": 1, "b": 2, "c": 1, "d": 1}
    seen = {}
    visit = lambda key, state: seen.update({key: state.value()})  # noqa: E731
    one.feed([("visit", visit)], input_index=BROADCAST)
    assert seen == {"a": 100}
    one.output.take()
    one.feed([("a", 1), ("b", 1)])
    assert one.output.rows == [("a", 101, None), ("b", 1, None)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_broadcast_side_has_no_key(harness, backend):
    one = harness(count(), backend=backend)
    one.feed([("a", 1)])
    with pytest.raises(KeyedStateUnavailableError, match="the broadcast input of") as e:
        one.feed([("state", None)], input_index=BROADCAST)
    assert "apply_to_keyed_state" in e.value.remedy


@pytest.mark.parametrize("backend", BACKENDS)
def test_keyed_and_broadcast_state_are_restored_together(harness, backend):
    keys = [f"k{i}" for i in range(30)]
    first = [harness(count(), backend=backend, parallelism=2, subtask=i) for i in range(2)]
    for subtask, one in enumerate(first):
        one.feed([("limit", 3)], input_index=BROADCAST)
        one.feed([(k, 1) for k in keys if owner(k, 2) == subtask])
    saved = [one.snapshot() for one in first]
    rows = []
    for subtask in range(3):
        one = harness(count(), backend=backend, parallelism=3, subtask=subtask, restore=saved)
        one.feed([(k, n) for k in keys if owner(k, 3) == subtask for n in (3, 4)])
        rows += one.output.rows
    assert sorted(rows) == sorted((k, 2, None) for k in keys for _ in range(2))


# ------------------------------------------------------------------------------- the state itself


def test_what_is_saved_is_what_was_there_in_its_order():
    states = BroadcastStates([RULES, OTHER])
    states.writable = True
    rules = states.state(RULES)
    rules.put_all({("x", 1): [1, {"a": None}], 2.5: (1, 2), None: b"b"})
    rules.put("large", "v")
    rules.remove("large")
    rules.remove("nothing")
    for i in range(ENTRIES_PER_ITEM + 5):
        states.state(OTHER)[f"k{i}"] = i
    saved = states.save()
    assert len(saved) == 3
    again = BroadcastStates([RULES, OTHER], saved)
    view = again.view(RULES)
    assert list(view.items()) == [(("x", 1), [1, {"a": None}]), (2.5, (1, 2)), (None, b"b")]
    assert list(view) == list(view.keys()) == [("x", 1), 2.5, None]
    assert list(view.values()) == [[1, {"a": None}], (1, 2), b"b"]
    assert view.contains(2.5)
    assert view.get("nothing") is None
    assert not view.is_empty()
    assert list(again.view(OTHER).values()) == list(range(ENTRIES_PER_ITEM + 5))


def test_only_what_has_changed_is_encoded_anew():
    states = BroadcastStates([RULES, OTHER])
    states.writable = True
    states.state(RULES)["a"] = 1
    states.state(OTHER)["b"] = 1
    first = states.save()
    states.state(OTHER)["b"] = 2
    second = states.save()
    assert second[0] is first[0] or second[1] is first[0]
    assert BroadcastStates([OTHER], second).view(OTHER)["b"] == 2


def test_a_state_that_is_declared_no_more_stays_in_checkpoints():
    states = BroadcastStates([RULES, OTHER])
    states.writable = True
    states.state(RULES)["a"] = 1
    without = BroadcastStates([OTHER], states.save())
    with pytest.raises(UndeclaredBroadcastStateError):
        without.view(RULES)
    assert BroadcastStates([RULES], without.save()).view(RULES)["a"] == 1


def test_a_state_that_is_too_large_for_checkpoints_is_told():
    states = BroadcastStates([RULES, OTHER])
    states.writable = True
    states.state(OTHER)["a"] = b"x" * (4 << 20)
    for i in range(3):
        states.state(RULES)[i] = b"x" * (4 << 20)
    with pytest.raises(BroadcastStateTooLargeError, match=r"'rules' has 12\.0 MiB") as told:
        states.save()
    assert "keyed state" in told.value.remedy
    states.state(RULES).remove(0)
    assert sum(map(len, states.save())) > 12 << 20


def test_a_descriptor_of_another_kind_is_told():
    states = BroadcastStates([RULES])
    assert states.view(MapStateDescriptor("rules")) is states.view(RULES)
    with pytest.raises(UndeclaredBroadcastStateError, match="'nothing'"):
        states.view(ListStateDescriptor("nothing"))

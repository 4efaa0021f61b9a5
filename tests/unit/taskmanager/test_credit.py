"""Byte credit: bounded, never stuck, both ends agree."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.common.errors import InternalError
from lesto.taskmanager.core.credit import CreditReceiver, CreditSender


def test_nothing_may_be_sent_before_the_first_grant():
    sender = CreditSender()
    assert not sender.can_send
    with pytest.raises(InternalError):
        sender.spend(1)


def test_one_batch_may_overdraw():
    sender = CreditSender()
    sender.grant(10)
    sender.spend(1000)
    assert sender.available == -990
    assert not sender.can_send
    sender.grant(1000)
    assert sender.can_send


def test_a_sender_that_ignores_credit_is_caught():
    receiver = CreditReceiver(10)
    receiver.receive(10)
    with pytest.raises(InternalError):
        receiver.receive(1)


def test_credit_comes_back_at_once_when_the_queue_is_empty():
    receiver = CreditReceiver(1000)
    receiver.receive(3)
    assert receiver.take(3) == 3
    receiver.receive(100)
    receiver.receive(200)
    assert receiver.take(100) == 0
    assert receiver.take(200) == 300


def test_a_narrowed_channel_holds_no_more_than_its_window_and_widens_again():
    sender, receiver = CreditSender(), CreditReceiver(1_000)
    sender.grant(1_000)
    for _ in range(10):
        sender.spend(100)
        receiver.receive(100)
    assert receiver.narrow(150) == 0
    returned = sum(receiver.take(100) for _ in range(10))
    sender.grant(returned)
    assert returned == 150
    assert sender.available == 150
    assert receiver.narrow(1_000) == 850


@given(
    st.integers(1, 200),
    st.lists(st.integers(1, 500), min_size=1, max_size=60),
    st.randoms(use_true_random=False),
)
def test_a_window_that_changes_never_stops_a_channel(limit, batches, random):
    sender, receiver = CreditSender(), CreditReceiver(limit)
    wire, grants, queue = deque(), deque([limit]), deque()
    todo = deque(batches)
    window = limit
    while todo or wire or queue:
        moves = ["send"] * bool(todo and sender.can_send) + ["arrive"] * bool(wire)
        moves += ["grant"] * bool(grants) + ["take"] * bool(queue)
        assert moves, "stuck"
        back = 0
        match random.choice([*moves, "narrow"]):
            case "send":
                sender.spend(todo[0])
                wire.append(todo.popleft())
            case "arrive":
                receiver.receive(wire[0])
                queue.append(wire.popleft())
            case "grant":
                sender.grant(grants.popleft())
            case "take":
                back = receiver.take(queue.popleft())
            case "narrow":
                window = random.randint(1, limit + 10)
                back = receiver.narrow(window)
        if back:
            grants.append(back)
        exposed = max(0, sender.available) + sum(grants) + sum(wire) + sum(queue)
        assert exposed <= limit + max(batches)
    for nbytes in [receiver.narrow(limit)]:
        grants.extend([nbytes] if nbytes else [])
    owed = sender.granted_bytes + sum(grants) - sender.sent_bytes
    assert limit * 3 // 4 <= owed <= limit  # all but a small return that is still gathered


@given(
    st.integers(1, 200),
    st.lists(st.integers(1, 500), min_size=1, max_size=60),
    st.randoms(use_true_random=False),
)
def test_every_batch_arrives_and_bytes_under_way_stay_bounded(limit, batches, random):
    sender, receiver = CreditSender(), CreditReceiver(limit)
    wire, grants, queue = deque(), deque([limit]), deque()
    todo = deque(batches)
    steps = 0
    while todo or wire or queue:
        moves = []
        if todo and sender.can_send:
            moves.append("send")
        moves += ["arrive"] * bool(wire) + ["grant"] * bool(grants) + ["take"] * bool(queue)
        assert moves, "stuck"
        match random.choice(moves):
            case "send":
                sender.spend(todo[0])
                wire.append(todo.popleft())
            case "arrive":
                receiver.receive(wire[0])
                queue.append(wire.popleft())
            case "grant":
                sender.grant(grants.popleft())
            case "take":
                back = receiver.take(queue.popleft())
                if back:
                    grants.append(back)
        under_way = sum(wire) + sum(queue)
        assert under_way < limit + max(batches)
        steps += 1
    assert sender.sent_bytes == sum(batches)
    assert sender.granted_bytes + sum(grants) - sender.sent_bytes == limit

"""Equal questions share an answer; changes make answers stale."""

import threading

import pytest

from lesto.jobmanager.server.rest import shared_api
from lesto.jobmanager.server.rest.shared_api import QUESTIONS_AT_ONCE, SharedApi


class Counting:
    def __init__(self):
        self.asked = 0
        self.at_once = self.at_most = 0
        self.go = threading.Event()
        self.go.set()
        self.lock = threading.Lock()
        self.error = None

    def job(self, job_id, *, include_graph=False):
        with self.lock:
            self.asked += 1
            self.at_once += 1
            self.at_most = max(self.at_most, self.at_once)
        assert self.go.wait(10)
        with self.lock:
            self.at_once -= 1
        if self.error:
            raise self.error
        return (job_id, include_graph)

    def cancel(self, job_id):
        pass


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(shared_api.time, "monotonic", lambda: now[0])
    return now


def in_threads(calls):
    results = [None] * len(calls)

    def run(index, call):
        try:
            results[index] = call()
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    return threads, results


def test_equal_questions_share_one_answer(clock):
    api = Counting()
    shared = SharedApi(api)
    api.go.clear()
    threads, results = in_threads([lambda: shared.job("a")] * 20)
    api.go.set()
    for thread in threads:
        thread.join(10)
    assert results == [("a", False)] * 20
    assert api.asked == 1
    assert shared.job("a", include_graph=True) == ("a", True)
    assert api.asked == 2
    clock[0] += 0.05
    shared.job("a")
    assert api.asked == 2
    clock[0] += 0.06
    shared.job("a")
    assert api.asked == 3


def test_a_change_makes_answers_stale(clock):
    api = Counting()
    shared = SharedApi(api)
    shared.job("a")
    shared.cancel("a")
    shared.job("a")
    assert api.asked == 2


def test_an_answer_that_was_on_its_way_at_a_change_is_not_kept(clock):
    api = Counting()
    shared = SharedApi(api)
    api.go.clear()
    threads, _ = in_threads([lambda: shared.job("a")])
    while not api.asked:
        pass
    shared.cancel("a")
    api.go.set()
    threads[0].join(10)
    shared.job("a")
    assert api.asked == 2


def test_an_error_is_told_to_all_who_waited_and_not_kept(clock):
    api = Counting()
    api.error = RuntimeError("no")
    shared = SharedApi(api)
    api.go.clear()
    threads, results = in_threads([lambda: shared.job("a")] * 3)
    while not api.asked:
        pass
    api.go.set()
    for thread in threads:
        thread.join(10)
    assert [str(result) for result in results] == ["no"] * 3
    api.error = None
    assert shared.job("a") == ("a", False)


def test_different_questions_take_turns(clock):
    api = Counting()
    shared = SharedApi(api)
    api.go.clear()
    threads, results = in_threads([lambda n=n: shared.job(str(n)) for n in range(20)])
    while api.asked < QUESTIONS_AT_ONCE:
        pass
    api.go.set()
    for thread in threads:
        thread.join(10)
    assert results == [(str(n), False) for n in range(20)]
    assert api.at_most <= QUESTIONS_AT_ONCE


def test_few_answers_are_kept(clock):
    shared = SharedApi(Counting())
    for number in range(1_000):
        clock[0] += 0.01
        shared.job(str(number))
    assert len(shared._answers) <= shared_api.KEPT_MAX

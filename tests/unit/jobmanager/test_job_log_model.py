"""The job log under every interleaving of two leaders.

Design of this test. A leader is a generator that yields the storage steps it wants: those of the
protocol as they are in the product, and the ``_metadata`` it writes before an entry. A schedule
says whose step comes next; all schedules are run, from the start each. A step may also be done and
its answer lost, as object stores do. What must hold in each: the point a new leader restores is not
older than any checkpoint that an earlier leader has let its sinks commit, at any time, also later.
"""

import pytest

from lesto.jobmanager.core.job_log import (
    CheckpointCompleted,
    Create,
    EpochClaimed,
    LogWriter,
    Submitted,
)
from lesto.jobmanager.errors import LeaderFencedError


class LostAnswerError(Exception):
    """Storage did it, perhaps, and did not say so."""


class Store:
    """Objects by number, and checkpoints by number."""

    def __init__(self):
        self.entries = {1: Submitted(id="s", epoch=0, at_ms=0, graph="g", name="job")}
        self.metadata = {}
        self.commits = []  # (epoch, checkpoint): the sinks were told
        self.restores = []  # (epoch, checkpoint)


def protocol(store, steps):
    """The product's generator, each of its steps a step of the schedule."""
    answer = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as stop:
            return stop.value
        lost = yield isinstance(step, Create)
        if isinstance(step, Create):
            answer = step.seq not in store.entries
            if answer:
                store.entries[step.seq] = step.entry
            if lost:
                steps.close()
                raise LostAnswerError
        else:
            answer = store.entries.get(step.seq)


def leader(store, name, term, checkpoints, log_class=LogWriter):
    """A JobManager: claims the job, restores the newest checkpoint, completes more."""
    log = log_class()

    def claimed(epoch):
        return EpochClaimed(id=f"{name}-{epoch}", epoch=epoch, at_ms=0, leader=name, term=term)

    try:
        epoch = yield from protocol(store, log.claim(claimed))
        newest = log.state.newest_first()
        restored = newest[0].checkpoint_id if newest else 0
        store.restores.append((epoch, restored))
        number = max([restored, *store.metadata])
        for _ in range(checkpoints):
            number += 1
            yield
            if store.metadata.setdefault(number, name) != name:
                continue  # an ex-leader's orphan: this checkpoint is aborted
            done = CheckpointCompleted(
                id=f"{name}-c{number}", epoch=epoch, at_ms=0, checkpoint_id=number,
                path="", savepoint=False, restarts=0,
            )  # fmt: skip
            try:
                yield from protocol(store, log.append(done))
            except LostAnswerError:
                continue  # nobody is told; the next append finds out
            store.commits.append((epoch, number))
    except (LeaderFencedError, LostAnswerError):
        return


def play(schedule, make):
    """Run one schedule; who can still step at its end, and whether that step is a write."""
    store = Store()
    leaders = make(store)
    alive = {name: next(generator) for name, generator in leaders.items()}
    for name, lost in schedule:
        try:
            alive[name] = leaders[name].send(lost)
        except StopIteration:
            del alive[name]
    return store, alive


def every_schedule(make, *, losses=0):
    """All stores that any interleaving ends with."""
    stack = [()]
    while stack:
        schedule = stack.pop()
        store, alive = play(schedule, make)
        if not alive:
            yield schedule, store
            continue
        lost_so_far = sum(lost for _, lost in schedule)
        for name, is_write in alive.items():
            stack.append((*schedule, (name, False)))
            if is_write and lost_so_far < losses:
                stack.append((*schedule, (name, True)))


def violation(store):
    """What must not be, or nothing."""
    if sorted(store.entries) != list(range(1, len(store.entries) + 1)):
        return "a gap in the log"
    epochs = [e.epoch for _, e in sorted(store.entries.items())]
    if epochs != sorted(epochs):
        return "an entry of an earlier epoch behind a later one"
    claimed = [epoch for epoch, _ in store.restores]
    if len(set(claimed)) != len(claimed):
        return "two leaders with one epoch"
    for epoch, restored in store.restores:
        for other, committed in store.commits:
            if other < epoch and committed > restored:
                return f"epoch {epoch} restored {restored}, epoch {other} committed {committed}"
    return ""


def two(a, b, log_class=LogWriter):
    return lambda store: {
        "a": leader(store, "a", 1, a, log_class),
        "b": leader(store, "b", 2, b, log_class),
    }


@pytest.mark.parametrize(("a", "b", "losses"), [(2, 1, 0), (1, 1, 1)])
def test_no_leader_commits_behind_the_restore_point_of_a_later_one(a, b, losses):
    ends, fenced = 0, 0
    for schedule, store in every_schedule(two(a, b), losses=losses):
        assert not violation(store), (violation(store), schedule)
        ends += 1
        fenced += len(store.commits) < a + b
    assert ends > 300, "too few interleavings to prove anything"
    assert fenced, "no interleaving in which a leader was fenced"


class CheckThenWrite(LogWriter):
    """A log on storage without a conditional create, as if it had one."""

    def append(self, entry):
        yield from self.check()
        seq = self.state.seq + 1
        yield Overwrite(seq, entry)
        self.state.apply(entry)


class Overwrite(Create):
    """Not conditional."""


def test_the_model_finds_a_log_that_checks_and_then_writes(monkeypatch):
    real = dict.__contains__

    def careless(store, steps):
        answer = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as stop:
                return stop.value
            yield
            if isinstance(step, Create):
                answer = isinstance(step, Overwrite) or not real(store.entries, step.seq)
                if answer:
                    store.entries[step.seq] = step.entry
            else:
                answer = store.entries.get(step.seq)

    monkeypatch.setitem(globals(), "protocol", careless)
    found = [violation(store) for _, store in every_schedule(two(1, 0, CheckThenWrite))]
    assert any("committed" in text for text in found), "the model has no teeth"


def test_a_claim_of_a_lower_term_comes_too_late():
    late = [
        store
        for _, store in every_schedule(
            lambda store: {"b": leader(store, "b", 2, 0), "a": leader(store, "a", 1, 1)}
        )
    ]
    for store in late:
        terms = [e.term for _, e in sorted(store.entries.items()) if isinstance(e, EpochClaimed)]
        assert terms == sorted(terms)
        assert 2 in terms

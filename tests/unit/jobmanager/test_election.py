"""Who leads, under virtual time: clocks that differ, pauses, slow and failing services."""

import random
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from lesto.jobmanager.core.election import Election

DURATION_MS, INTERVAL_MS = 1_000, 200


@dataclass(frozen=True)
class Lease:
    term: int
    holder: str
    beat: str
    released: bool = False


class Candidate:
    """Looks and renews as the elector does; an operation has its effect at some moment of it."""

    def __init__(self, name, offset_ms):
        self.name, self.offset_ms = name, offset_ms
        self.election = Election(name, DURATION_MS)
        self.own = None
        self.next_ms = 0

    def clock(self, now_ms):
        return now_ms + self.offset_ms

    def leads(self, now_ms):
        return self.own is not None and self.election.leads(self.own.term, self.clock(now_ms))


def simulate(seed, steps=400):
    """Runs three candidates; how many terms there were."""
    rng = random.Random(seed)
    candidates = [Candidate(n, rng.randrange(10**6)) for n in "abc"]
    lease, now_ms, beat = None, 0, 0
    for _ in range(steps):
        candidate = min(candidates, key=lambda c: c.next_ms)
        now_ms = max(now_ms, candidate.next_ms)
        election = candidate.election
        asked_ms = candidate.clock(now_ms)
        answered = rng.random() > 0.1
        # The service acts somewhere within the operation, which may take longer than a lease.
        took_ms = rng.choice([1, 5, 30, 1_500 if rng.random() < 0.1 else 2])
        acts_ms = now_ms + rng.randrange(took_ms)
        others = [c for c in candidates if c is not candidate]
        if candidate.own is None:
            campaign = election.should_campaign(lease, asked_ms, holder_is_gone=False)
            if campaign and answered:
                assert not any(
                    c.leads(at) for c in others for at in range(acts_ms, acts_ms + took_ms)
                ) or (lease and lease.holder == candidate.name), "two leaders"
                lease = Lease(lease.term + 1 if lease else 1, candidate.name, "")
                candidate.own = lease
                election.won(lease, asked_ms)
        elif not election.leads(candidate.own.term, asked_ms) or lease.term != candidate.own.term:
            candidate.own = None
            election.lost()
        elif answered:
            beat += 1
            lease = Lease(lease.term, lease.holder, str(beat))
            election.renewed(asked_ms)
        pause_ms = rng.choice([0, 0, 0, 0, 0, 3_000])
        candidate.next_ms = now_ms + took_ms + INTERVAL_MS + pause_ms
        assert sum(c.leads(now_ms) for c in candidates) <= 1, "two leaders"
    return lease.term


@given(st.integers(0, 10**9))
def test_never_two_at_once(seed):
    simulate(seed)


def test_leaders_change_when_they_are_paused():
    assert max(simulate(seed) for seed in range(5)) > 5


def test_a_leader_counts_from_before_it_asked_and_an_observer_from_when_it_saw():
    leader, observer = Election("a", DURATION_MS), Election("b", DURATION_MS)
    lease = Lease(1, "a", "0")
    leader.won(lease, asked_ms=100)
    assert leader.leads(1, 1_099)
    assert not leader.leads(1, 1_100)
    assert not observer.should_campaign(lease, 150, holder_is_gone=False)
    assert not observer.should_campaign(lease, 150 + 1_249, holder_is_gone=False)
    assert observer.should_campaign(lease, 150 + 1_250, holder_is_gone=False)


def test_nobody_waits_for_a_lease_that_is_free():
    observer = Election("b", DURATION_MS)
    assert observer.should_campaign(None, 0, holder_is_gone=False)
    assert observer.should_campaign(Lease(1, "a", "0", released=True), 0, holder_is_gone=False)
    assert observer.should_campaign(Lease(1, "a", "0"), 0, holder_is_gone=True)
    assert observer.should_campaign(Lease(1, "b", "0"), 0, holder_is_gone=False)

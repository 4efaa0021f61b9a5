"""Slots: who has them, who waits for them, and which subtask goes where.

A slot is one process of a TaskManager. Subtask ``i`` of every vertex of a slot sharing group runs
in the group's ``i``-th slot, so a group needs as many slots as its widest vertex.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lesto.jobmanager.errors import NoResourceAvailableError
from lesto.proto import job_pb2


@dataclass(frozen=True, slots=True)
class Slot:
    """A ready slot process.

    Attributes:
        slot_id: unique per process; a restarted process has another.
        taskmanager_id: whose it is.
        flight_uri: where its data server listens.
    """

    slot_id: str
    taskmanager_id: str
    flight_uri: str


@dataclass(frozen=True, slots=True)
class Allocated:
    """Slots given to a job that asked for them."""

    job_id: str
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that waited too long.

    Attributes:
        job_id: whose.
        error: why.
        available: slots that nobody has.
    """

    job_id: str
    error: NoResourceAvailableError
    available: int = 0


@dataclass(slots=True)
class _Request:
    job_id: str
    count: int
    deadline_ms: int
    timeout_ms: int


@dataclass(slots=True)
class SlotPool:
    """All slots of the cluster.

    Requests are served whole, oldest first; a younger one that fits may overtake one that does not,
    so that a job too wide for the cluster does not keep others out. It ends with its timeout.
    """

    slots: dict[str, Slot] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    _requests: dict[str, _Request] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Slots that are ready."""
        return len(self.slots)

    @property
    def available(self) -> int:
        """Slots nobody has."""
        return len(self.slots) - len(self.owners)

    def offer(self, slot: Slot) -> list[Allocated]:
        """A slot process is ready."""
        self.slots[slot.slot_id] = slot
        return self._serve()

    def lost(self, slot_id: str) -> str | None:
        """A slot process is gone; the job that had it, if any."""
        self.slots.pop(slot_id, None)
        return self.owners.pop(slot_id, None)

    def request(self, job_id: str, count: int, now_ms: int, timeout_ms: int) -> list[Allocated]:
        """A job wants ``count`` more slots; replaces a request of the job that still waits."""
        assert count > 0, "a request for no slots"
        self._requests.pop(job_id, None)
        self._requests[job_id] = _Request(job_id, count, now_ms + timeout_ms, timeout_ms)
        return self._serve()

    def release(self, job_id: str) -> list[Allocated]:
        """A job has ended: its slots are free, its request is void."""
        self._requests.pop(job_id, None)
        for slot_id in [s for s, owner in self.owners.items() if owner == job_id]:
            del self.owners[slot_id]
        return self._serve()

    def release_slot(self, slot_id: str) -> list[Allocated]:
        """A job gives one slot back."""
        self.owners.pop(slot_id, None)
        return self._serve()

    def tick(self, now_ms: int) -> list[Refused]:
        """End the requests whose time is up."""
        late = [r for r in self._requests.values() if r.deadline_ms <= now_ms]
        for request in late:
            del self._requests[request.job_id]
        free = self.available
        return [Refused(request.job_id, self._refusal(request), free) for request in late]

    def withdraw(self, job_id: str) -> None:
        """A job does not want more slots after all."""
        self._requests.pop(job_id, None)

    def next_deadline_ms(self) -> int | None:
        """When ``tick`` has something to do next."""
        return min((r.deadline_ms for r in self._requests.values()), default=None)

    def validate(self) -> None:
        """Check what must always hold."""
        assert set(self.owners) <= set(self.slots), "a job owns a slot that is not there"
        for request in self._requests.values():
            assert request.count > self.available, "a request waits although it could be served"

    def _serve(self) -> list[Allocated]:
        served = []
        for request in list(self._requests.values()):
            free = self._free_slots()
            if request.count > len(free):
                continue
            chosen = tuple(free[: request.count])
            self.owners.update((slot.slot_id, request.job_id) for slot in chosen)
            del self._requests[request.job_id]
            served.append(Allocated(request.job_id, chosen))
        return served

    def _free_slots(self) -> list[Slot]:
        """Free slots, spread over TaskManagers: the first of each, then the second of each, ..."""
        seen: dict[str, int] = {}
        ranked = []
        for slot in self.slots.values():
            if slot.slot_id not in self.owners:
                rank = seen[slot.taskmanager_id] = seen.get(slot.taskmanager_id, -1) + 1
                ranked.append((rank, slot))
        return [slot for _, slot in sorted(ranked, key=lambda pair: pair[0])]

    def _refusal(self, request: _Request) -> NoResourceAvailableError:
        managers = len({slot.taskmanager_id for slot in self.slots.values()})
        return NoResourceAvailableError(
            f"the job needs {request.count} more slots, but of {self.total} slots on {managers} "
            f"TaskManagers {self.available} are free, and no more came in "
            f"{request.timeout_ms / 1000:g} s",
            remedy="start more TaskManagers (lesto taskmanager --slots N), end other jobs, or run "
            "with a lower parallelism (-p)",
        )


def slots_required(graph: job_pb2.JobGraph) -> int:
    """Slots the job needs: the widest vertex of each sharing group, summed over groups."""
    return sum(widths_of_groups(graph).values())


def assign_slots(
    graph: job_pb2.JobGraph,
    slots: Sequence[Slot],
    previous: Mapping[tuple[str, int], str],
    homes: Mapping[tuple[str, int], str] | None = None,
) -> dict[tuple[str, int], Slot]:
    """Slot of each (sharing group, index).

    Args:
        graph: the job.
        slots: exactly as many as :func:`slots_required`.
        previous: slot ids of the attempt before; who had a slot that is still there keeps it,
            since its process is warm and its files are local.
        homes: TaskManagers of the attempt before; who lost the slot gets another there if it can,
            since copies of its checkpoint are on that machine.
    """
    assert len(slots) == slots_required(graph), "not the number of slots the job asked for"
    by_id = {slot.slot_id: slot for slot in slots}
    places = [
        (group, index) for group, width in widths_of_groups(graph).items() for index in range(width)
    ]
    assignment = {
        place: by_id.pop(previous[place]) for place in places if previous.get(place) in by_id
    }
    for place in places:
        home = (homes or {}).get(place)
        near = next((slot for slot in by_id.values() if slot.taskmanager_id == home), None)
        if place not in assignment and near is not None:
            assignment[place] = by_id.pop(near.slot_id)
    rest = iter(by_id.values())
    for place in places:
        if place not in assignment:
            assignment[place] = next(rest)
    return assignment


def surplus_slots(
    graph: job_pb2.JobGraph, slots: Sequence[Slot], previous: Mapping[tuple[str, int], str]
) -> list[Slot]:
    """Slots more than the job needs; those whose places stay are kept.

    Args:
        graph: the job.
        slots: what it has.
        previous: slot ids by (sharing group, index) of the attempt before.
    """
    widths = widths_of_groups(graph)
    stay = {slot_id for (group, index), slot_id in previous.items() if index < widths.get(group, 0)}
    ranked = sorted(slots, key=lambda slot: slot.slot_id not in stay)
    return ranked[sum(widths.values()) :]


def widths_of_groups(
    graph: job_pb2.JobGraph, widths: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Slots of each sharing group, with the graph's parallelism or with another by vertex id."""
    groups: dict[str, int] = {}
    for vertex in graph.vertices:
        group = vertex.slot_sharing_group
        width = vertex.parallelism if widths is None else widths[vertex.id]
        groups[group] = max(groups.get(group, 0), width)
    return groups

"""In-flight data dealt out: everything reaches exactly one consumer, or the restore is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.jobmanager.core.in_flight import (
    check_widths,
    describe_edges,
    redistribute_in_flight,
)
from lesto.jobmanager.errors import RestoreMismatchError
from lesto.kernels import keygroups
from lesto.proto import checkpoint_pb2, job_pb2

HASH, FORWARD = job_pb2.PARTITION_KIND_HASH, job_pb2.PARTITION_KIND_FORWARD
REBALANCE, GLOBAL = job_pb2.PARTITION_KIND_REBALANCE, job_pb2.PARTITION_KIND_GLOBAL
BROADCAST, CUSTOM = job_pb2.PARTITION_KIND_BROADCAST, job_pb2.PARTITION_KIND_CUSTOM
NONE = -(2**63)


def job(producers, consumers, kind=HASH, *, edge_id="e0", target="to", groups=16):
    graph = job_pb2.JobGraph()
    for name, width in (("from", producers), (target, consumers)):
        vertex = graph.vertices.add(
            id=f"v-{name}", name=name, parallelism=width, max_parallelism=groups
        )
        vertex.operators.add(uid=name, name=name)
    graph.edges.add(
        id=edge_id, source_vertex="v-from", target_vertex=f"v-{target}",
        partitioner=job_pb2.Partitioner(kind=kind),
    )  # fmt: skip
    return graph


def part(producer, consumer, elements, *, at_producer=False, edge_id="e0", **more):
    more.setdefault("watermark", NONE)
    return checkpoint_pb2.InFlightHandle(
        edge_id=edge_id, producer_subtask=producer, consumer_subtask=consumer,
        elements=elements, at_producer=at_producer, **more,
    )  # fmt: skip


def checkpoint(graph, *handles):
    metadata = checkpoint_pb2.CheckpointMetadata(checkpoint_id=7, in_flight=handles)
    metadata.in_flight_edges.extend(describe_edges(graph, handles))
    for vertex in graph.vertices:
        for operator in vertex.operators:
            metadata.operators.add(uid=operator.uid, name=operator.name)
    return metadata


def test_each_consumer_gets_its_channels_back_what_it_had_before_what_had_not_left():
    old = job(2, 2)
    metadata = checkpoint(
        old, part(0, 1, 3, at_producer=True), part(0, 1, 2, watermark=40), part(1, 1, 0, idle=True),
        part(0, 0, 0), part(1, 0, 1),
    )  # fmt: skip
    found = redistribute_in_flight(metadata, old)
    first, second = found["v-to", 1]
    assert [p.at_producer for p in first.parts] == [False, True]
    assert (first.producer_subtask, first.watermark, first.filter) == (0, 40, False)
    assert (list(second.parts), second.idle) == ([], True)
    assert [len(c.parts) for c in found["v-to", 0]] == [0, 1]


def test_another_number_of_producers_changes_nothing_for_the_consumers():
    metadata = checkpoint(job(2, 2), part(0, 1, 2), part(1, 1, 1), part(0, 0, 0), part(1, 0, 0))
    found = redistribute_in_flight(metadata, job(5, 2))
    assert [c.producer_subtask for c in found["v-to", 1]] == [0, 1]


@pytest.mark.parametrize(("old", "new"), [(1, 2), (2, 3), (3, 2), (4, 1), (5, 16)])
def test_hash_channels_go_to_every_consumer_whose_key_groups_overlap(old, new):
    metadata = checkpoint(job(2, old), *(part(p, c, 1) for p in range(2) for c in range(old)))
    found = redistribute_in_flight(metadata, job(2, new))
    for subtask in range(new):
        mine = keygroups.key_group_range(16, new, subtask)
        wanted = {
            c for c in range(old)
            if keygroups.key_group_range(16, old, c)[0] <= mine[1]
            and mine[0] <= keygroups.key_group_range(16, old, c)[1]
        }  # fmt: skip
        data = [c for c in found["v-to", subtask] if c.parts]
        assert all(c.filter for c in data)
        assert {c.consumer_subtask for c in data} == wanted


@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.sampled_from([REBALANCE, GLOBAL])
)
def test_channels_without_keys_go_to_exactly_one_consumer(producers, old, new, kind):
    handles = [part(p, c, 1) for p in range(producers) for c in range(old)]
    metadata = checkpoint(job(producers, old, kind), *handles)
    found = redistribute_in_flight(metadata, job(producers, new, kind))
    given_out = [
        (c.producer_subtask, c.consumer_subtask)
        for channels in found.values() for c in channels if c.parts
    ]  # fmt: skip
    assert sorted(given_out) == sorted((p, c) for p in range(producers) for c in range(old))


def test_event_time_of_the_slowest_is_held_for_every_new_consumer():
    metadata = checkpoint(job(1, 2), part(0, 0, 1, watermark=100), part(0, 1, 0, watermark=50))
    for channels in redistribute_in_flight(metadata, job(1, 3)).values():
        assert min(c.watermark for c in channels if not c.idle) == 50


def test_older_attempts_come_first():
    metadata = checkpoint(job(1, 1), part(0, 0, 1), part(0, 0, 1, age=2), part(1, 0, 1, age=1))
    found = redistribute_in_flight(metadata, job(1, 1))
    assert [c.age for c in found["v-to", 0]] == [2, 1, 0]


@pytest.mark.parametrize("kind", [FORWARD, BROADCAST, CUSTOM])
def test_data_of_fixed_edges_needs_the_same_parallelism(kind):
    metadata = checkpoint(job(2, 2, kind), part(0, 0, 1), part(1, 1, 1))
    assert redistribute_in_flight(metadata, job(2, 2, kind))
    with pytest.raises(RestoreMismatchError, match="had 2 subtasks and is to have 3"):
        redistribute_in_flight(metadata, job(3, 3, kind))
    with pytest.raises(RestoreMismatchError, match="had 2 subtasks and is to have 3"):
        check_widths(metadata, job(2, 2, kind), {"v-from": 3, "v-to": 3})
    check_widths(metadata, job(2, 2, kind), {"v-from": 3, "v-to": 2})
    empty = checkpoint(job(2, 2, kind), part(0, 0, 0, watermark=5), part(1, 1, 0, watermark=9))
    channels = redistribute_in_flight(empty, job(3, 3, kind))["v-to", 2]
    assert [(c.watermark, len(c.parts)) for c in channels] == [(5, 0)]


def test_edges_are_found_by_the_operators_at_their_ends():
    metadata = checkpoint(job(1, 1), part(0, 0, 1))
    found = redistribute_in_flight(metadata, job(1, 1, edge_id="e9"))
    assert [c.edge_id for c in found["v-to", 0]] == ["e9"]


def test_data_of_an_edge_that_is_gone_is_refused_and_named():
    metadata = checkpoint(job(1, 1), part(0, 0, 1))
    with pytest.raises(RestoreMismatchError, match="between 'from' and 'to'"):
        redistribute_in_flight(metadata, job(1, 1, target="other"))
    empty = checkpoint(job(1, 1), part(0, 0, 0))
    assert redistribute_in_flight(empty, job(1, 1, target="other")) == {}


def test_what_went_round_while_a_forward_edge_was_unequal_goes_to_anybody():
    metadata = checkpoint(job(1, 2, REBALANCE), part(0, 0, 1), part(0, 1, 1))
    found = redistribute_in_flight(metadata, job(3, 3, FORWARD))
    assert sum(bool(c.parts) for channels in found.values() for c in channels) == 2


def test_another_number_of_key_groups_deals_out_anew():
    metadata = checkpoint(job(1, 2), part(0, 0, 1), part(0, 1, 1))
    found = redistribute_in_flight(metadata, job(1, 2, groups=32))
    for channels in found.values():
        assert [c.filter for c in channels if c.parts] == [True, True]


@pytest.mark.parametrize(("old", "new"), [(HASH, REBALANCE), (REBALANCE, HASH)])
def test_data_of_an_edge_that_has_lost_or_got_its_key_is_refused(old, new):
    metadata = checkpoint(job(1, 1, old), part(0, 0, 1))
    with pytest.raises(RestoreMismatchError, match="partitioned by key"):
        redistribute_in_flight(metadata, job(1, 1, new))

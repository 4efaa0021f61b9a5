"""Regions against a plain search over channels."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from jobgraphs import edge, job, vertex

from lesto.jobmanager.core.regions import pipelined_regions
from lesto.jobmanager.core.wiring import POINTWISE, producers_of
from lesto.proto import job_pb2

FORWARD, HASH, RESCALE = (
    job_pb2.PARTITION_KIND_FORWARD,
    job_pb2.PARTITION_KIND_HASH,
    job_pb2.PARTITION_KIND_RESCALE,
)


def sets(graph):
    return {frozenset(region) for region in pipelined_regions(graph).values()}


def test_forward_edges_leave_one_region_a_subtask():
    graph = job([vertex("a", 3, source=b"x"), vertex("b", 3)], [edge("a", "b", FORWARD)])
    assert sets(graph) == {frozenset({("v-a", i), ("v-b", i)}) for i in range(3)}


def test_a_shuffle_makes_one_region_of_all():
    graph = job([vertex("a", 3, source=b"x"), vertex("b", 2)], [edge("a", "b", HASH)])
    assert len(sets(graph)) == 1


def test_rescale_edges_connect_pointwise():
    graph = job([vertex("a", 2, source=b"x"), vertex("b", 5)], [edge("a", "b", RESCALE)])
    assert sets(graph) == {
        frozenset({("v-a", 0), ("v-b", 0), ("v-b", 1), ("v-b", 2)}),
        frozenset({("v-a", 1), ("v-b", 3), ("v-b", 4)}),
    }


def test_two_pipelines_of_one_job_are_two_regions():
    graph = job(
        [vertex("a", 2, source=b"x"), vertex("b", 2), vertex("c", 1, source=b"x"), vertex("d", 4)],
        [edge("a", "b", HASH), edge("c", "d", HASH)],
    )
    assert len(sets(graph)) == 2


@given(
    widths=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    edges=st.lists(
        st.tuples(
            st.integers(0, 4),
            st.integers(0, 4),
            st.sampled_from([HASH, RESCALE, job_pb2.PARTITION_KIND_BROADCAST]),
        ),
        max_size=5,
    ),
)
def test_regions_are_the_connected_components_of_the_channels(widths, edges):
    names = [f"n{i}" for i in range(len(widths))]
    wanted = {(a, b): k for a, b, k in edges if a < b < len(names)}
    graph = job(
        [vertex(n, w, source=b"x") for n, w in zip(names, widths, strict=True)],
        [edge(names[a], names[b], kind) for (a, b), kind in wanted.items()],
    )
    neighbours = {
        (f"v-{n}", i): set() for n, w in zip(names, widths, strict=True) for i in range(w)
    }
    for (a, b), kind in wanted.items():
        for consumer in range(widths[b]):
            connected = range(widths[a])
            if kind in POINTWISE:
                connected = producers_of(kind, widths[a], widths[b], consumer)
            for producer in connected:
                neighbours[f"v-n{a}", producer].add((f"v-n{b}", consumer))
                neighbours[f"v-n{b}", consumer].add((f"v-n{a}", producer))
    regions = pipelined_regions(graph)
    assert regions.keys() == neighbours.keys()
    for key in neighbours:
        seen, stack = set(), [key]
        while stack:
            current = stack.pop()
            if current not in seen:
                seen.add(current)
                stack.extend(neighbours[current])
        assert regions[key] == seen
    for one, other in itertools.combinations(set(regions.values()), 2):
        assert not one & other

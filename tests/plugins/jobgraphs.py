"""Job graphs for tests of the JobManager: operators without code."""

from lesto.proto import job_pb2

JOB_ID = "0123456789abcdef0123456789abcdef"


def vertex(name, parallelism=1, *, source=b"", group="default", uids=(), max_parallelism=128):
    """A vertex with one operator a uid; its own name when none is given."""
    made = job_pb2.JobVertex(
        id=f"v-{name}",
        name=name,
        parallelism=parallelism,
        max_parallelism=max_parallelism,
        slot_sharing_group=group,
    )
    for index, uid in enumerate(uids or (name,)):
        kind = job_pb2.OPERATOR_KIND_TRANSFORM
        if source and not index:
            kind = job_pb2.OPERATOR_KIND_SOURCE
        made.operators.add(uid=uid, name=uid, kind=kind, source_pickle=source if not index else b"")
    return made


def edge(source, target, kind=job_pb2.PARTITION_KIND_HASH):
    """An edge between two vertices by name."""
    return job_pb2.JobEdge(
        id=f"{source}->{target}",
        source_vertex=f"v-{source}",
        target_vertex=f"v-{target}",
        partitioner=job_pb2.Partitioner(kind=kind),
    )


def job(vertices, edges, *, job_id=JOB_ID, name="test job", config=None, restore_path=""):
    """A job graph."""
    return job_pb2.JobGraph(
        job_id=job_id,
        name=name,
        vertices=vertices,
        edges=edges,
        config=config or {},
        restore_path=restore_path,
    )


def pipeline(parallelism=2, *, source=b"opaque", **kwargs):
    """numbers -> total: a source and a keyed operator, both with the same parallelism."""
    return job(
        [vertex("numbers", parallelism, source=source), vertex("total", parallelism)],
        [edge("numbers", "total")],
        **kwargs,
    )

"""`lesto rescale`: another parallelism for a running job, in place."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.progress import progress, tasks
from lesto.client.cli.target import connect
from lesto.client.errors import MissingArgumentError, UsageError
from lesto.proto import client_pb2 as pb


def rescale(arguments: argparse.Namespace) -> int:
    """Rescale and print what has changed and how long the job paused.

    Raises:
        MissingArgumentError: no parallelism was given.
        UsageError: one is malformed.
    """
    vertices = dict(map(_vertex, arguments.vertex))
    if not arguments.parallelism and not vertices:
        msg = "lesto rescale needs -p N, or --vertex NAME=N"
        raise MissingArgumentError(msg, remedy="See `lesto rescale --help`.")
    with connect(arguments) as client:
        job_id = client.resolve_job(arguments.job)
        before = {vertex.id: vertex for vertex in client.job(job_id).vertices}
        with progress(client, job_id, tasks):
            answer = client.rescale(job_id, arguments.parallelism, vertices)
    for line in told(before, answer):
        print(line)
    return ExitCode.OK


def told(before: Mapping[str, pb.VertexDetails], answer: pb.RescaleJobResponse) -> list[str]:
    """What has changed, for people.

    >>> old = {"v": pb.VertexDetails(id="v", name="total", parallelism=2)}
    >>> told(old, pb.RescaleJobResponse(vertices={"v": 3}, pause_ms=712))
    ['total: 2 -> 3', 'Rescaled; the job paused for 712 ms.']
    >>> told(old, pb.RescaleJobResponse(vertices={"v": 2}))
    ['The job has this parallelism already.']
    """
    changed = [
        f"{vertex.name}: {vertex.parallelism} -> {answer.vertices[key]}"
        for key, vertex in before.items()
        if answer.vertices[key] != vertex.parallelism
    ]
    if not changed:
        return ["The job has this parallelism already."]
    return [*changed, f"Rescaled; the job paused for {answer.pause_ms} ms."]


def _vertex(text: str) -> tuple[str, tuple[int, int]]:
    name, equals, number = text.rpartition("=")
    if not equals or not name or not number.isdecimal() or int(number) < 1:
        msg = f"--vertex '{text}' is not NAME=N"
        raise UsageError(msg, remedy="Write for example --vertex 'Map=4'.")
    return name, (int(number), int(number))

"""Samples of what runs: stacks as flame graphs, records as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lesto.common.errors import did_you_mean
from lesto.common.inspection import SAMPLE_INTERVAL_DEFAULT_MS, SAMPLE_INTERVAL_MIN_MS
from lesto.jobmanager.server.rest.errors import NotInJobError
from lesto.jobmanager.server.rest.flame_graphs import Stack, common_frames, tree
from lesto.jobmanager.server.rest.fleet import Answers, Fleet, Process
from lesto.jobmanager.server.rest.found import FoundVertex
from lesto.jobmanager.server.rest.operations import now_ms
from lesto.jobmanager.server.rest.routing import Parameter
from lesto.proto import client_pb2 as pb
from lesto.proto import runtime_pb2

Json = dict[str, Any]

DURATION_MS_MAX: Final = 10_000
DURATION_MS: Final = 2_000

PARAMETERS: Final = (
    Parameter(
        "type",
        {"type": "string", "enum": ["full", "FULL"], "default": "full"},
        "Flink's name of what is counted: all time in which the slot ran the task. There is no "
        "on_cpu or off_cpu: a Python stack does not say whether the C call in it waits.",
    ),
    Parameter(
        "duration",
        {
            "type": "integer",
            "minimum": 100,
            "maximum": DURATION_MS_MAX,
            "default": DURATION_MS,
        },
        "Ms of sampling.",
    ),
    Parameter(
        "interval",
        {
            "type": "integer",
            "minimum": SAMPLE_INTERVAL_MIN_MS,
            "maximum": 1_000,
            "default": SAMPLE_INTERVAL_DEFAULT_MS,
        },
        "Ms between two looks.",
    ),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which stacks, and for how long; empty and -1: all."""

    duration_ms: int
    interval_ms: int
    job_id: str = ""
    vertex_id: str = ""
    subtask: int = -1

    def question(self) -> runtime_pb2.Question:
        """Return it for the wire."""
        return runtime_pb2.Question(
            sample_stacks=runtime_pb2.SampleStacksQuestion(
                job_id=self.job_id,
                vertex_id=self.vertex_id,
                subtask=self.subtask,
                duration_ms=self.duration_ms,
                interval_ms=self.interval_ms,
            )
        )


def processes_of(vertex: pb.VertexDetails, subtask: int = -1) -> tuple[Process, ...]:
    """Return the slots in which a vertex's subtasks run.

    Raises:
        NotInJobError: none runs.
    """
    found = running_slots(vertex, subtask)
    if not found:
        msg = f"no subtask of {vertex.name} runs now"
        raise NotInJobError(msg, remedy="Ask again once the job is RUNNING.")
    return found


def running_slots(vertex: pb.VertexDetails, subtask: int = -1) -> tuple[Process, ...]:
    """Return the slots in which a vertex's subtasks run, or one of them; there may be none."""
    found = dict.fromkeys(
        Process(one.taskmanager_id, one.slot_id)
        for one in vertex.subtasks
        if one.slot_id and not one.end_time_ms and subtask in {-1, one.subtask}
    )
    return tuple(found)


def flame_graph(fleet: Fleet, processes: Iterable[Process], asked: Asked) -> Json:
    """Sample stacks in all of these processes at once.

    Raises:
        LestoError: no process answered.
    """
    answers = fleet.ask(processes, asked.question())
    stacks = [
        Stack(tuple(stack.frames), stack.count)
        for _, answer in answers.given
        for stack in answer.sample_stacks.stacks
    ]
    return drawn(stacks, answers, asked.duration_ms)


def drawn(stacks: list[Stack], answers: Answers, duration_ms: int) -> Json:
    """Return the answer of a flame graph."""
    shared = common_frames(stacks)
    samples = [answer.sample_stacks for _, answer in answers.given]
    return {
        "endTimestamp": max((sample.ended_ms for sample in samples), default=now_ms()),
        "data": tree(stacks, skip=len(shared)),
        "samples": max((sample.samples for sample in samples), default=0),
        "duration": duration_ms,
        "processes": len(samples),
        "unanswered": list(answers.unanswered),
        "trimmed": shared,
    }


def named_stacks(answers: Answers, names: Mapping[tuple[str, str], str]) -> list[Stack]:
    """Return the stacks of several slots, each below its slot and task.

    Args:
        answers: of the slots.
        names: of vertices, by job and vertex id.
    """
    found: list[Stack] = []
    for process, answer in answers.given:
        of_slot = [tuple(stack.frames) for stack in answer.sample_stacks.stacks]
        skip = len(common_frames([Stack(frames, 1) for frames in of_slot]))
        for stack in answer.sample_stacks.stacks:
            name = names.get((stack.job_id, stack.vertex_id), stack.vertex_id)
            task = f"{name} [{stack.subtask}]" if stack.vertex_id else "no task"
            found.append(Stack((process.name, task, *stack.frames[skip:]), stack.count))
    return found


# ---------------------------------------------------------------------------------------- records


@dataclass(frozen=True, slots=True)
class RecordsAsked:
    """Which records, how many, and for how long to wait, in ms."""

    operator_uid: str
    side_tag: str
    subtask: int
    max_records: int
    timeout_ms: int


def records(fleet: Fleet, found: FoundVertex, asked: RecordsAsked) -> Json:
    """Wait for the next records of an operator, in all slots at once.

    Raises:
        NotInJobError: the vertex has no such operator, or none of its subtasks runs.
        LestoError: no slot answered.
    """
    uids = [operator.uid for operator in found.declared.operators]
    uid = asked.operator_uid or uids[-1]
    if uid not in uids:
        msg = f"{found.vertex.name} has no operator '{uid[:60]}'{did_you_mean(uid, uids)}"
        raise NotInJobError(msg, remedy="GET /jobs/{jobid} lists the operators of its vertices.")
    question = runtime_pb2.Question(
        sample_records=runtime_pb2.SampleRecordsQuestion(
            job_id=found.job.summary.job_id,
            vertex_id=found.vertex.id,
            operator_uid=uid,
            side_tag=asked.side_tag,
            subtask=asked.subtask,
            max_records=asked.max_records,
            timeout_ms=asked.timeout_ms,
        )
    )
    answers = fleet.ask(processes_of(found.vertex, asked.subtask), question)
    samples = [answer.sample_records for _, answer in answers.given]
    heads = next((sample for sample in samples if sample.columns), None)
    return {
        "operator": uid,
        "columns": list(heads.columns) if heads is not None else [],
        "types": list(heads.types) if heads is not None else [],
        "records": _in_turn(samples, asked.max_records),
        "unanswered": list(answers.unanswered),
    }


def _in_turn(samples: list[runtime_pb2.SampleRecordsAnswer], limit: int) -> list[Json]:
    """Take records of each slot in turn, so that all are seen."""
    taken: list[Json] = []
    longest = max((len(sample.records) for sample in samples), default=0)
    for number in range(longest):
        for sample in samples:
            if number < len(sample.records) and len(taken) < limit:
                taken.append(_record(sample.records[number]))
    return taken


def _record(record: runtime_pb2.SampledRecord) -> Json:
    return {
        "values": list(record.values),
        "timestamp": record.timestamp_ms if record.has_timestamp else None,
        "kind": record.kind,
        "subtask": record.subtask,
    }

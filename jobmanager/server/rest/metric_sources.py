"""Collects values of metrics by Flink's ids, of jobs, subtasks and TaskManagers."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from lesto.common.errors import LestoError
from lesto.jobmanager.server.rest import flink_metrics
from lesto.jobmanager.server.rest.api import JobManagerApi
from lesto.jobmanager.server.rest.fleet import Fleet, Process, Shared
from lesto.jobmanager.server.rest.found import FoundVertex
from lesto.jobmanager.server.rest.operations import now_ms
from lesto.jobmanager.server.rest.rates import Rates
from lesto.jobmanager.server.rest.sampling import running_slots
from lesto.jobmanager.server.rest.vertex_shapes import report_metrics
from lesto.proto import client_pb2 as pb
from lesto.proto import runtime_pb2

#: For how long the answer of a process is given to others who ask.
PROCESS_SECONDS: Final = 1.0
_COUNTS: Final = ("numRecordsIn", "numRecordsOut", "numBytesIn", "numBytesOut")

Values = Mapping[str, float | str]
Samples = tuple[tuple[Process, tuple[runtime_pb2.MetricValue, ...]], ...]


class MetricSources:
    """Asks the JobManager what it knows, and the processes for what only they know."""

    def __init__(self, api: JobManagerApi, fleet: Fleet) -> None:
        self._api = api
        self._fleet = fleet
        self._rates = Rates()
        self._samples: Shared[Samples] = Shared(PROCESS_SECONDS)

    # ------------------------------------------------------------------------------- subtasks

    def of_subtasks(
        self, found: FoundVertex, wanted: Collection[str] | None = None
    ) -> dict[int, dict[str, float]]:
        """Return values by subtask and id.

        Args:
            found: the vertex.
            wanted: ids that matter, without subtasks; None: all. The processes are asked only for
                what the reports do not say.

        Raises:
            LestoError: they were asked, and none answered.
        """
        values = {one.subtask: self._reported(one, found) for one in found.vertex.subtasks}
        known = {name for of_subtask in values.values() for name in of_subtask}
        if wanted is not None and set(wanted) <= known:
            return values
        processes = running_slots(found.vertex)
        if not processes:
            return values
        question = runtime_pb2.ReadMetricsQuestion(
            job_id=found.job.summary.job_id, task=found.vertex.name
        )
        for _, samples in self._read(processes, question):
            for sample in samples:
                named = flink_metrics.metric_id(sample)
                subtask = sample.labels.get("subtask", "")
                if named is None or not subtask.isdecimal() or int(subtask) not in values:
                    continue
                values[int(subtask)].setdefault(named[0], named[1])
        return values

    def _reported(self, one: pb.SubtaskDetails, found: FoundVertex) -> dict[str, float]:
        values: dict[str, float] = {}
        for name, value in report_metrics(one, found).items():
            operator, _, metric = name.rpartition(".")
            values[f"{flink_metrics.in_id(operator)}.{metric}" if operator else metric] = value
        if not values:
            return values
        report = one.report
        elapsed_ms = report.busy_ms + report.idle_ms + report.backpressured_ms
        key = (found.job.summary.job_id, found.vertex.id, one.subtask, one.attempt)
        counts = {name: int(values[name]) for name in _COUNTS}
        for name, rate in self._rates.per_second(key, elapsed_ms, counts).items():
            values[f"{name}PerSecond"] = rate
        return values

    # ----------------------------------------------------------------------------------- jobs

    def of_job(self, job: pb.JobDetails) -> Values:
        """Return values by id: what the JobManager says of the job, and, while it runs, counts."""
        values: dict[str, float | str] = dict(_job_values(job, now_ms()))
        if not job.summary.end_time_ms:
            question = runtime_pb2.ReadMetricsQuestion(job_id=job.summary.job_id)
            # A standby has no such metrics; the details are an answer too.
            with contextlib.suppress(LestoError):
                for _, samples in self._read((Process(""),), question):
                    for name, value in flink_metrics.by_id(samples).items():
                        values.setdefault(name, value)
        return values

    # --------------------------------------------------------------------------- TaskManagers

    def of_taskmanager(self, tm: pb.TaskManagerInfo) -> dict[str, float]:
        """Return values by id: sums over the TaskManager and its slots; ``slot.N.`` of a slot.

        Raises:
            LestoError: no process answered.
        """
        processes = taskmanager_processes(tm)
        indices = {slot.slot_id: slot.index for slot in tm.slots}
        values: dict[str, float] = {}
        for process, samples in self._read(processes, runtime_pb2.ReadMetricsQuestion()):
            own = [sample for sample in samples if "job_id" not in sample.labels]
            head = f"slot.{indices[process.slot_id]}." if process.slot_id in indices else ""
            for name, value in flink_metrics.by_id(own).items():
                if name.startswith("Status."):
                    values[name] = values.get(name, 0.0) + value
                if head or not name.startswith("Status."):
                    values[f"{head}{name}"] = value
        return values

    def of_jobmanager(self) -> Values:
        """Return values by id: of the process and the cluster, not of single jobs.

        Raises:
            LestoError: it does not answer.
        """
        values: dict[str, float] = {}
        for _, samples in self._read((Process(""),), runtime_pb2.ReadMetricsQuestion()):
            own = [sample for sample in samples if "job_id" not in sample.labels]
            values.update(flink_metrics.by_id(own))
        return values

    def _read(
        self, processes: Iterable[Process], question: runtime_pb2.ReadMetricsQuestion
    ) -> Samples:
        asked = tuple(processes)

        def make() -> Samples:
            answers = self._fleet.ask(asked, runtime_pb2.Question(read_metrics=question))
            return tuple(
                (process, tuple(answer.read_metrics.metrics)) for process, answer in answers.given
            )

        return self._samples.get((asked, question.job_id, question.task), make)


def taskmanager_processes(tm: pb.TaskManagerInfo) -> list[Process]:
    """Return a TaskManager's own process and its slots."""
    slots = [Process(tm.taskmanager_id, slot.slot_id) for slot in tm.slots]
    return [Process(tm.taskmanager_id), *slots]


def _job_values(job: pb.JobDetails, at_ms: int) -> Values:
    """What the job's details say, by Flink's names; times in ms, -1 where there is none."""
    summary, checkpoints = job.summary, job.checkpoints
    end = summary.end_time_ms or at_ms
    running = summary.state == pb.JOB_STATE_RUNNING
    since = next(
        (t.timestamp_ms for t in reversed(job.transitions) if t.state == summary.state), end
    )
    ended = bool(summary.end_time_ms)
    values: dict[str, float | str] = {
        "uptime": end - since if running else 0,
        "downtime": 0 if running or ended else end - since,
        "numRestarts": summary.restarts,
        "numRescales": sum(one.outcome == "COMPLETED" for one in job.rescales),
        "totalNumberOfCheckpoints": checkpoints.completed
        + checkpoints.failed
        + checkpoints.in_progress,
        "numberOfCompletedCheckpoints": checkpoints.completed,
        "numberOfFailedCheckpoints": checkpoints.failed,
        "numberOfInProgressCheckpoints": checkpoints.in_progress,
        "lastCheckpointRestoreTimestamp": -1,
    }
    if checkpoints.HasField("latest_completed"):
        latest = checkpoints.latest_completed
        values |= {
            "lastCompletedCheckpointId": latest.checkpoint_id,
            "lastCheckpointDuration": latest.duration_ms,
            "lastCheckpointSize": latest.uploaded_bytes,
            "lastCheckpointFullSize": latest.state_bytes,
            "lastCheckpointPersistedData": latest.in_flight_bytes,
            "lastCheckpointExternalPath": latest.path,
            "lastCheckpointCompletedTimestamp": latest.trigger_timestamp_ms + latest.duration_ms,
        }
    if checkpoints.HasField("latest_restored"):
        restored = checkpoints.latest_restored
        values["lastCheckpointRestoreTimestamp"] = restored.trigger_timestamp_ms
    return values

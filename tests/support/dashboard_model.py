"""A JobManager of fifty jobs that are not run: what it tells is generated, REST is real."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from lesto.common.inspection import ProcessNotFoundError
from lesto.jobmanager.errors import JobNotFoundError
from lesto.proto import checkpoint_pb2, job_pb2, runtime_pb2
from lesto.proto import client_pb2 as pb

SLOTS = 8
_KINDS = ("Orders", "Clicks", "Payments", "Sensors", "Sessions")
_PLACES = ("Berlin", "Lima", "Osaka", "Accra", "Oslo", "Quito", "Hanoi", "Porto", "Tunis", "Perth")


def _state(number: int) -> int:
    """Most run; some of every other state."""
    match number % 10:
        case 7:
            return pb.JOB_STATE_FAILED
        case 8:
            return pb.JOB_STATE_FINISHED
        case 9:
            return pb.JOB_STATE_CANCELED if number % 20 == 9 else pb.JOB_STATE_RESTARTING
        case _:
            return pb.JOB_STATE_RUNNING


_TASK_STATES = {
    pb.JOB_STATE_RUNNING: "RUNNING",
    pb.JOB_STATE_FAILED: "FAILED",
    pb.JOB_STATE_FINISHED: "FINISHED",
    pb.JOB_STATE_CANCELED: "CANCELED",
    pb.JOB_STATE_RESTARTING: "CREATED",
}
_ENDED = {pb.JOB_STATE_FAILED, pb.JOB_STATE_FINISHED, pb.JOB_STATE_CANCELED}


@dataclass
class ModelJobManager:
    """Answers from a model of ``count`` jobs; a job's record counts grow with time.

    Attributes:
        count: of jobs.
        calls: what has been asked to be done.
    """

    count: int = 50
    calls: list[tuple[str, str]] = field(default_factory=list)
    started_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    # -------------------------------------------------------------------------------------- parts

    def job_ids(self) -> list[str]:
        """Ids of the jobs."""
        return [f"{number:032x}" for number in range(1, self.count + 1)]

    def _summary(self, number: int) -> pb.JobSummary:
        state = _state(number)
        task_state = _TASK_STATES[state]
        began = self.started_ms - 60_000 * (number + 1) ** 2
        tasks = 4 + number % 5
        return pb.JobSummary(
            job_id=f"{number:032x}",
            name=f"{_KINDS[number % 5]} of {_PLACES[number % 10]}"
            + (", joined with what the warehouse says of them" if number % 17 == 0 else ""),
            state=state,  # type: ignore[arg-type]
            start_time_ms=began,
            end_time_ms=self.started_ms - 1_000 * number if state in _ENDED else 0,
            tasks_total=tasks,
            tasks_running=tasks if task_state == "RUNNING" else 0,
            tasks_by_state={task_state: tasks},
            restarts=number % 4 if number % 3 == 0 else 0,
            last_modified_ms=self.started_ms - 1_000 * number,
            last_checkpoint_ms=0 if number % 13 == 0 else self.started_ms - 100 * number,
        )

    def _vertices(self, number: int) -> list[pb.VertexDetails]:
        summary = self._summary(number)
        state = runtime_pb2.TaskState.Value(f"TASK_STATE_{_TASK_STATES[summary.state]}")
        seconds = (time.time_ns() // 1_000_000 - summary.start_time_ms) // 1000
        found = []
        for index, name in enumerate(("Source: Kafka -> Map", "Window -> Sink: Files")):
            half = summary.tasks_total // 2
            parallelism = half if index == 0 else summary.tasks_total - half
            found.append(
                pb.VertexDetails(
                    id=f"v{index}",
                    name=name,
                    parallelism=parallelism,
                    max_parallelism=128,
                    records_in=seconds * 900,
                    records_out=seconds * 900 if index == 0 else 0,
                    bytes_in=seconds * 90_000,
                    bytes_out=seconds * 90_000 if index == 0 else 0,
                    subtasks=[
                        pb.SubtaskDetails(
                            subtask=subtask, state=state, start_time_ms=summary.start_time_ms
                        )
                        for subtask in range(parallelism)
                    ],
                )
            )
        return found

    def _failures(self, number: int) -> list[pb.FailureInfo]:
        summary = self._summary(number)
        if not summary.restarts and summary.state != pb.JOB_STATE_FAILED:
            return []
        return [
            pb.FailureInfo(
                timestamp_ms=summary.last_modified_ms,
                task_name="Source: Kafka -> Map (1/2)",
                location="tm-model-0",
                failure=runtime_pb2.TaskFailure(
                    code="LESTO-6001",
                    message="price of operator 'Map' failed: KeyError: 'currency'",
                    user_traceback="Traceback (most recent call last):\n"
                    '  File "/app/orders.py", line 31, in price\n'
                    '    return order["amount"] * RATES[order["currency"]]\n'
                    "KeyError: 'currency'\n",
                    retryable=True,
                ),
            )
        ]

    def _checkpoints(self, number: int) -> pb.CheckpointSummary:
        summary = self._summary(number)
        if not summary.last_checkpoint_ms:
            return pb.CheckpointSummary()
        latest = pb.CheckpointStats(
            checkpoint_id=120 + number,
            type=checkpoint_pb2.CHECKPOINT_TYPE_CHECKPOINT,
            status="COMPLETED",
            trigger_timestamp_ms=summary.last_checkpoint_ms - 40,
            duration_ms=40,
            state_bytes=9_000_000,
            uploaded_bytes=400_000,
            path=f"/checkpoints/{summary.job_id}/chk-{120 + number}",
            acknowledged=summary.tasks_total,
            expected=summary.tasks_total,
        )
        return pb.CheckpointSummary(completed=120, history=[latest], latest_completed=latest)

    # ------------------------------------------------------------------------------- JobManagerApi

    def cluster(self) -> pb.ClusterInfo:
        """Ten TaskManagers."""
        states = [_state(number) for number in range(1, self.count + 1)]
        workers = [
            pb.TaskManagerInfo(
                taskmanager_id=f"tm-model-{index}",
                host=f"worker-{index}.example",
                pid=100 + index,
                last_heartbeat_ms=time.time_ns() // 1_000_000 - 100 * index,
                free_slots=index % 3,
                cpus=8,
                memory_bytes=32 << 30,
                slots=[
                    runtime_pb2.SlotInfo(
                        slot_id=f"slot-{index}-{slot}",
                        index=slot,
                        status=runtime_pb2.SLOT_STATUS_READY,
                        pid=1_000 + 10 * index + slot,
                    )
                    for slot in range(SLOTS)
                ],
            )
            for index in range(10)
        ]
        return pb.ClusterInfo(
            lesto_version="0.1.0",
            python_version="3.13.1",
            slots_total=SLOTS * len(workers),
            slots_available=sum(worker.free_slots for worker in workers),
            jobs_running=sum(state not in _ENDED for state in states),
            jobs_failed=states.count(pb.JOB_STATE_FAILED),
            jobs_finished=states.count(pb.JOB_STATE_FINISHED),
            jobs_cancelled=states.count(pb.JOB_STATE_CANCELED),
            taskmanagers=workers,
            high_availability="kubernetes",
            leading=True,
            leader_address="jobmanager-1.example:6123",
            leader_epoch=4,
        )

    def jobs(self) -> list[pb.JobSummary]:
        """All."""
        return [self._summary(number) for number in range(1, self.count + 1)]

    def job(self, job_id: str, *, include_graph: bool = False) -> pb.JobDetails:
        """One."""
        if job_id not in self.job_ids():
            msg = f"no job {job_id}"
            raise JobNotFoundError(msg, remedy="See GET /jobs.")
        number = int(job_id, 16)
        vertices = self._vertices(number)
        details = pb.JobDetails(
            summary=self._summary(number),
            vertices=vertices,
            failures=self._failures(number),
            checkpoints=self._checkpoints(number),
        )
        if include_graph:
            details.graph.CopyFrom(
                job_pb2.JobGraph(
                    job_id=job_id,
                    vertices=[
                        job_pb2.JobVertex(
                            id=vertex.id,
                            name=vertex.name,
                            parallelism=vertex.parallelism,
                            max_parallelism=128,
                        )
                        for vertex in vertices
                    ],
                    edges=[
                        job_pb2.JobEdge(
                            source_vertex="v0",
                            target_vertex="v1",
                            partitioner=job_pb2.Partitioner(kind=job_pb2.PARTITION_KIND_HASH),
                        )
                    ],
                )
            )
        return details

    def inspect(
        self, question: runtime_pb2.Question, taskmanager_id: str = "", slot_id: str = ""
    ) -> runtime_pb2.Answer:
        """Metrics and no more: there are no processes."""
        if question.HasField("read_metrics"):
            return runtime_pb2.Answer(read_metrics=runtime_pb2.ReadMetricsAnswer())
        msg = "there is no such process"
        raise ProcessNotFoundError(msg, remedy="It is a model.")

    def cancel(self, job_id: str) -> None:
        """Take a note."""
        self.calls.append(("cancel", job_id))

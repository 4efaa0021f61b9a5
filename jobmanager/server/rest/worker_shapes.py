"""What Flink's REST API says about a TaskManager: details, logs, threads. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from lesto.jobmanager.server.rest.fleet import Answers
from lesto.jobmanager.server.rest.shapes import task_state
from lesto.jobmanager.server.rest.shapes import taskmanagers as listed
from lesto.proto import client_pb2 as pb
from lesto.proto import runtime_pb2

Json = dict[str, Any]

#: Memory pools of a JVM, which a Python process does not have: -1.
_UNKNOWN: Final = (
    "heapCommitted",
    "heapMax",
    "nonHeapUsed",
    "nonHeapCommitted",
    "nonHeapMax",
    "directCount",
    "directUsed",
    "directMax",
    "mappedCount",
    "mappedUsed",
    "mappedMax",
    "nettyShuffleMemorySegmentsAvailable",
    "nettyShuffleMemorySegmentsUsed",
    "nettyShuffleMemorySegmentsTotal",
    "nettyShuffleMemoryAvailable",
    "nettyShuffleMemoryUsed",
    "nettyShuffleMemoryTotal",
)


def taskmanager(
    tm: pb.TaskManagerInfo, jobs: Iterable[pb.JobDetails], metrics: Mapping[str, float], now_ms: int
) -> Json:
    """GET /taskmanagers/:id.

    Args:
        tm: the TaskManager.
        jobs: those that may have tasks there.
        metrics: by Flink's ids, as far as its processes answered.
        now_ms: wall clock.
    """
    shown: Json = listed(pb.ClusterInfo(taskmanagers=[tm]), now_ms)["taskmanagers"][0]
    tasks = _tasks(tm, jobs)
    for slot in shown["slots"]:
        slot["tasks"] = tasks.get(slot["id"], [])
        slot["memoryBytes"] = _bytes(metrics, f"slot.{slot['index']}.Status.JVM.Memory.Heap.Used")
    return {
        **shown,
        "allocatedSlots": [
            {"jobId": found[0]["jid"], "resource": {}, "assignedTasks": len(found)}
            for found in tasks.values()
        ],
        "metrics": {
            "heapUsed": _bytes(metrics, "Status.JVM.Memory.Heap.Used"),
            **dict.fromkeys(_UNKNOWN, -1),
            "garbageCollectors": [],
        },
    }


def _bytes(metrics: Mapping[str, float], name: str) -> int:
    return int(metrics.get(name, -1))


def _tasks(tm: pb.TaskManagerInfo, jobs: Iterable[pb.JobDetails]) -> dict[str, list[Json]]:
    """Tasks by slot."""
    own = {slot.slot_id for slot in tm.slots}
    found: dict[str, list[Json]] = {}
    for job in jobs:
        for vertex in job.vertices:
            for subtask in vertex.subtasks:
                if subtask.slot_id in own and not subtask.end_time_ms:
                    task = {
                        "jid": job.summary.job_id,
                        "job": job.summary.name,
                        "vertex": vertex.id,
                        "name": vertex.name,
                        "subtask": subtask.subtask,
                        "status": task_state(subtask.state),
                    }
                    found.setdefault(subtask.slot_id, []).append(task)
    return found


def logs(answer: runtime_pb2.ListLogsAnswer) -> Json:
    """GET /taskmanagers/:id/logs."""
    return {
        "logs": [
            {"name": file.name, "size": file.size_bytes, "mtime": file.modified_ms}
            for file in sorted(answer.files, key=lambda file: file.name)
        ]
    }


def thread_dump(answers: Answers) -> Json:
    """GET /taskmanagers/:id/thread-dump; threads of slots begin with the slot."""
    return {
        "threadInfos": [
            {
                "threadName": f"{process.slot_id}: {thread.name}"
                if process.slot_id
                else thread.name,
                "stringifiedThreadInfo": _stack(thread),
            }
            for process, answer in answers.given
            for thread in answer.thread_dump.threads
        ],
        "unanswered": list(answers.unanswered),
    }


def _stack(thread: runtime_pb2.ThreadStack) -> str:
    daemon = " daemon" if thread.daemon else ""
    doing = f" running {thread.doing}" if thread.doing else ""
    return f'"{thread.name}"{daemon}{doing}\n{thread.stack}'

"""What Flink's REST API says about checkpoints, from our messages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lesto.common import options
from lesto.common.config import Configuration
from lesto.proto import checkpoint_pb2
from lesto.proto import client_pb2 as pb

Json = dict[str, Any]
_QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999))


def checkpoints(summary: pb.CheckpointSummary) -> Json:
    """GET /jobs/:id/checkpoints."""
    history = list(summary.history)
    completed = [stats for stats in history if stats.status == "COMPLETED"]
    failed = [stats for stats in history if stats.status == "FAILED"]
    savepoints = [stats for stats in completed if _is_savepoint(stats)]
    latest = summary.latest_completed if summary.HasField("latest_completed") else None
    restored = summary.latest_restored if summary.HasField("latest_restored") else None
    return {
        "counts": {
            "restored": summary.restored,
            "total": summary.completed + summary.failed + summary.in_progress,
            "in_progress": summary.in_progress,
            "completed": summary.completed,
            "failed": summary.failed,
        },
        "summary": {
            "checkpointed_size": distribution([s.uploaded_bytes for s in completed]),
            "state_size": distribution([s.state_bytes for s in completed]),
            "end_to_end_duration": distribution([s.duration_ms for s in completed]),
            "alignment_buffered": distribution([0] * len(completed)),
            "processed_data": distribution([0] * len(completed)),
            "persisted_data": distribution([s.in_flight_bytes for s in completed]),
        },
        "latest": {
            "completed": checkpoint(latest) if latest is not None else None,
            "savepoint": checkpoint(savepoints[0]) if savepoints else None,
            "failed": checkpoint(failed[0]) if failed else None,
            "restored": _restored(restored) if restored is not None else None,
        },
        "history": [checkpoint(stats) for stats in history],
    }


def checkpoint(stats: pb.CheckpointStats) -> Json:
    """GET /jobs/:id/checkpoints/details/:checkpointid; one checkpoint of the history."""
    end_ms = stats.trigger_timestamp_ms + stats.duration_ms
    acks = [part.ack_timestamp_ms for part in stats.subtasks]
    latest_ack = max(acks, default=0) or (end_ms if stats.acknowledged else -1)
    common: Json = {
        "className": stats.status.lower(),
        "id": stats.checkpoint_id,
        "status": stats.status,
        "is_savepoint": _is_savepoint(stats),
        "savepointFormat": "CANONICAL" if _is_savepoint(stats) else None,
        "trigger_timestamp": stats.trigger_timestamp_ms,
        "latest_ack_timestamp": latest_ack,
        "checkpointed_size": stats.uploaded_bytes,
        "state_size": stats.state_bytes,
        "end_to_end_duration": stats.duration_ms,
        "alignment_buffered": 0,
        "processed_data": 0,
        "persisted_data": stats.in_flight_bytes,
        "num_subtasks": stats.expected,
        "num_acknowledged_subtasks": stats.acknowledged,
        "checkpoint_type": _type(stats),
        "tasks": {vertex: task(stats, parts) for vertex, parts in _by_vertex(stats).items()},
    }
    match stats.status:
        case "COMPLETED":
            return {**common, "external_path": stats.path, "discarded": False}
        case "FAILED":
            return {**common, "failure_timestamp": end_ms, "failure_message": stats.failure}
        case _:
            return common


def task(stats: pb.CheckpointStats, parts: Sequence[pb.SubtaskCheckpointStats]) -> Json:
    """One vertex's part in a checkpoint."""
    done = [part for part in parts if _acknowledged(part)]
    complete = len(done) == len(parts)
    return {
        "id": stats.checkpoint_id,
        "status": "COMPLETED" if complete else stats.status,
        "latest_ack_timestamp": max((part.ack_timestamp_ms for part in done), default=-1),
        "checkpointed_size": sum(part.uploaded_bytes for part in done),
        "state_size": sum(part.state_bytes for part in done),
        "end_to_end_duration": max((_ms(part.end_to_end_us) for part in done), default=-1),
        "alignment_buffered": 0,
        "processed_data": 0,
        "persisted_data": sum(part.in_flight_bytes for part in done),
        "num_subtasks": len(parts),
        "num_acknowledged_subtasks": len(done),
    }


def subtasks(stats: pb.CheckpointStats, vertex_id: str) -> Json | None:
    """GET /jobs/:id/checkpoints/details/:checkpointid/subtasks/:vertexid; None: no such vertex."""
    parts = _by_vertex(stats).get(vertex_id)
    if parts is None:
        return None
    done = [part for part in parts if _acknowledged(part)]
    return {
        **task(stats, parts),
        "summary": {
            "checkpointed_size": distribution([p.uploaded_bytes for p in done]),
            "state_size": distribution([p.state_bytes for p in done]),
            "end_to_end_duration": distribution([_ms(p.end_to_end_us) for p in done]),
            "checkpoint_duration": {
                "sync": distribution([_ms(p.sync_us) for p in done]),
                "async": distribution([_ms(p.async_us) for p in done]),
            },
            "alignment": {
                "buffered": distribution([0] * len(done)),
                "processed": distribution([0] * len(done)),
                "persisted": distribution([p.in_flight_bytes for p in done]),
                "duration": distribution([_ms(p.alignment_us) for p in done]),
            },
            "start_delay": distribution([_ms(p.start_delay_us) for p in done]),
        },
        "subtasks": [_subtask(stats, part) for part in parts],
    }


def _subtask(stats: pb.CheckpointStats, part: pb.SubtaskCheckpointStats) -> Json:
    if not _acknowledged(part):
        return {"className": "pending", "index": part.subtask, "status": "pending_or_failed"}
    return {
        "className": "completed",
        "index": part.subtask,
        "status": "completed",
        "ack_timestamp": part.ack_timestamp_ms,
        "end_to_end_duration": _ms(part.end_to_end_us),
        "checkpointed_size": part.uploaded_bytes,
        "state_size": part.state_bytes,
        "checkpoint": {"sync": _ms(part.sync_us), "async": _ms(part.async_us)},
        "alignment": {
            "buffered": 0,
            "processed": 0,
            "persisted": part.in_flight_bytes,
            "duration": _ms(part.alignment_us),
        },
        "start_delay": _ms(part.start_delay_us),
        "unaligned_checkpoint": part.unaligned,
        "aborted": stats.status == "FAILED",
    }


def config(values: Mapping[str, str]) -> Json:
    """GET /jobs/:id/checkpoints/config; durations in ms, 0 where there is no interval."""
    read = Configuration.from_dict(values)
    retention = read.get(options.CHECKPOINT_RETENTION)
    kept = options.CheckpointRetention
    return {
        "mode": read.get(options.CHECKPOINTING_MODE).value.lower(),
        "interval": _duration(read.get(options.CHECKPOINTING_INTERVAL)),
        "timeout": _duration(read.get(options.CHECKPOINTING_TIMEOUT)),
        "min_pause": _duration(read.get(options.MIN_PAUSE_BETWEEN_CHECKPOINTS)),
        "max_concurrent": read.get(options.MAX_CONCURRENT_CHECKPOINTS),
        "externalization": {
            "enabled": retention is not kept.NO_EXTERNALIZED_CHECKPOINTS,
            "delete_on_cancellation": retention is not kept.RETAIN_ON_CANCELLATION,
        },
        "state_backend": read.get(options.STATE_BACKEND).value,
        "checkpoint_storage": "filesystem",
        "unaligned_checkpoints": read.get(options.UNALIGNED_ENABLED),
        "tolerable_failed_checkpoints": read.get(options.TOLERABLE_FAILED_CHECKPOINTS),
        "aligned_checkpoint_timeout": _duration(read.get(options.ALIGNED_CHECKPOINT_TIMEOUT)),
        "checkpoints_after_tasks_finish": read.get(options.CHECKPOINTS_AFTER_TASKS_FINISH),
        "state_changelog_enabled": False,
        "changelog_periodic_materialization_interval": 0,
        "changelog_storage": None,
    }


def _by_vertex(stats: pb.CheckpointStats) -> dict[str, list[pb.SubtaskCheckpointStats]]:
    found: dict[str, list[pb.SubtaskCheckpointStats]] = {}
    for part in stats.subtasks:
        found.setdefault(part.vertex_id, []).append(part)
    return found


def _acknowledged(part: pb.SubtaskCheckpointStats) -> bool:
    return part.status == "ACKNOWLEDGED"


def _restored(stats: pb.CheckpointStats) -> Json:
    return {
        "id": stats.checkpoint_id,
        "restore_timestamp": stats.trigger_timestamp_ms,
        "is_savepoint": _is_savepoint(stats),
        "external_path": stats.path or None,
    }


def _is_savepoint(stats: pb.CheckpointStats) -> bool:
    return stats.type == checkpoint_pb2.CHECKPOINT_TYPE_SAVEPOINT


def _type(stats: pb.CheckpointStats) -> str:
    if _is_savepoint(stats):
        return "SAVEPOINT"
    return "UNALIGNED_CHECKPOINT" if stats.unaligned else "CHECKPOINT"


def _ms(microseconds: int) -> int:
    return microseconds // 1_000


def _duration(value: Any) -> int:
    return int(value.total_seconds() * 1000)


def distribution(values: Iterable[int]) -> Json:
    """Least, greatest, mean and quantiles, interpolated as Flink does; zeros without values."""
    ordered = sorted(values)
    if not ordered:
        return dict.fromkeys(("min", "max", "avg", *(name for name, _ in _QUANTILES)), 0)
    mean = sum(ordered) // len(ordered)
    quantiles = {name: _quantile(ordered, share) for name, share in _QUANTILES}
    return {"min": ordered[0], "max": ordered[-1], "avg": mean, **quantiles}


def _quantile(ordered: Sequence[int], share: float) -> float:
    """Commons Math's estimate, position ``share * (n + 1)`` counted from 1."""
    position = share * (len(ordered) + 1)
    below = int(position)
    if below < 1:
        return float(ordered[0])
    if below >= len(ordered):
        return float(ordered[-1])
    low, high = ordered[below - 1], ordered[below]
    return low + (position - below) * (high - low)

"""Schemas of what the endpoints say about checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lesto.jobmanager.server.rest.json_schema import (
    BYTES,
    COUNT,
    DURATION,
    FLAG,
    INTEGER,
    MOMENT,
    TEXT,
    TEXT_OR_NULL,
    enum,
    listed,
    mapped,
    nullable,
    record,
    ref,
)
from lesto.jobmanager.server.rest.routing import Schema

_FIGURES: Mapping[str, Schema] = {
    "checkpointed_size": BYTES,
    "state_size": BYTES,
    "end_to_end_duration": DURATION,
    "alignment_buffered": BYTES,
    "processed_data": BYTES,
    "persisted_data": BYTES,
    "num_subtasks": COUNT,
    "num_acknowledged_subtasks": COUNT,
}
_TASK: Mapping[str, Schema] = {
    "id": COUNT,
    "status": enum("IN_PROGRESS", "COMPLETED", "FAILED"),
    "latest_ack_timestamp": MOMENT,
    **_FIGURES,
}
_SPREAD = ref("Distribution")

CHECKPOINTS: Final[Mapping[str, Schema]] = {
    "Distribution": record(
        {
            name: {"type": "number"}
            for name in ["min", "max", "avg", "p50", "p90", "p95", "p99", "p999"]
        },
    ),
    "CheckpointTask": record(_TASK),
    "Checkpoint": record(
        {
            "className": enum("in_progress", "completed", "failed"),
            "is_savepoint": FLAG,
            "savepointFormat": TEXT_OR_NULL,
            "trigger_timestamp": MOMENT,
            "checkpoint_type": enum("SAVEPOINT", "UNALIGNED_CHECKPOINT", "CHECKPOINT"),
            "tasks": mapped(ref("CheckpointTask")),
            **_TASK,
        },
        optional={
            "external_path": TEXT,
            "discarded": FLAG,
            "failure_timestamp": MOMENT,
            "failure_message": TEXT,
        },
    ),
    "RestoredCheckpoint": record(
        {
            "id": COUNT,
            "restore_timestamp": MOMENT,
            "is_savepoint": FLAG,
            "external_path": TEXT_OR_NULL,
        }
    ),
    "Checkpoints": record(
        {
            "counts": record(
                dict.fromkeys(("restored", "total", "in_progress", "completed", "failed"), COUNT)
            ),
            "summary": record(
                dict.fromkeys(
                    (
                        "checkpointed_size",
                        "state_size",
                        "end_to_end_duration",
                        "alignment_buffered",
                        "processed_data",
                        "persisted_data",
                    ),
                    _SPREAD,
                )
            ),
            "latest": record(
                {
                    "completed": nullable(ref("Checkpoint")),
                    "savepoint": nullable(ref("Checkpoint")),
                    "failed": nullable(ref("Checkpoint")),
                    "restored": nullable(ref("RestoredCheckpoint")),
                }
            ),
            "history": listed(ref("Checkpoint")),
        }
    ),
    "CheckpointSubtask": record(
        {"className": enum("pending", "completed"), "index": COUNT, "status": TEXT},
        optional={
            "ack_timestamp": MOMENT,
            "end_to_end_duration": DURATION,
            "checkpointed_size": BYTES,
            "state_size": BYTES,
            "checkpoint": record({"sync": DURATION, "async": DURATION}),
            "alignment": record(
                {"buffered": BYTES, "processed": BYTES, "persisted": BYTES, "duration": DURATION}
            ),
            "start_delay": DURATION,
            "unaligned_checkpoint": FLAG,
            "aborted": FLAG,
        },
    ),
    "CheckpointSubtasks": record(
        {
            **_TASK,
            "summary": record(
                {
                    "checkpointed_size": _SPREAD,
                    "state_size": _SPREAD,
                    "end_to_end_duration": _SPREAD,
                    "checkpoint_duration": record({"sync": _SPREAD, "async": _SPREAD}),
                    "alignment": record(
                        {
                            "buffered": _SPREAD,
                            "processed": _SPREAD,
                            "persisted": _SPREAD,
                            "duration": _SPREAD,
                        }
                    ),
                    "start_delay": _SPREAD,
                }
            ),
            "subtasks": listed(ref("CheckpointSubtask")),
        }
    ),
    "CheckpointConfig": record(
        {
            "mode": TEXT,
            "interval": {"type": "integer", "minimum": 0, "description": "ms; 0: none"},
            "timeout": DURATION,
            "min_pause": DURATION,
            "max_concurrent": COUNT,
            "externalization": record({"enabled": FLAG, "delete_on_cancellation": FLAG}),
            "state_backend": TEXT,
            "checkpoint_storage": TEXT,
            "unaligned_checkpoints": FLAG,
            "tolerable_failed_checkpoints": INTEGER,
            "aligned_checkpoint_timeout": DURATION,
            "checkpoints_after_tasks_finish": FLAG,
            "state_changelog_enabled": FLAG,
            "changelog_periodic_materialization_interval": COUNT,
            "changelog_storage": TEXT_OR_NULL,
        }
    ),
}

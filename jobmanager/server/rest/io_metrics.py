"""What tasks have read, written, and spent their time on, by Flink's names. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from lesto.proto import client_pb2 as pb

Json = dict[str, Any]

SUMMED: Final = (
    "read-bytes",
    "write-bytes",
    "read-records",
    "write-records",
    "accumulated-busy-time",
    "accumulated-idle-time",
    "accumulated-backpressured-time",
)


def io_metrics(subtasks: Iterable[pb.SubtaskDetails], *, is_source: bool) -> Json:
    """Records and bytes over subtasks, and their time in ms since their attempts began.

    What a source has read came from outside: it counts as read, as it would be 0 otherwise.
    """
    total = dict.fromkeys(SUMMED, 0)
    complete = True
    for subtask in subtasks:
        report = subtask.report
        total["accumulated-busy-time"] += report.busy_ms
        total["accumulated-idle-time"] += report.idle_ms
        total["accumulated-backpressured-time"] += report.backpressured_ms
        if not report.operators:
            complete = False
            continue
        first, last = report.operators[0], report.operators[-1]
        total["read-records"] += first.records_out if is_source else first.records_in
        total["read-bytes"] += first.bytes_in
        total["write-records"] += last.records_out
        total["write-bytes"] += last.bytes_out
    flags = {f"{name}-complete": complete for name in SUMMED[:4]}
    return {**total, **flags}

"""Live progress of a job on a terminal: records/s, watermark, checkpoints."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lesto.client.job_client import JobClient, JobExecutionResult
from lesto.client.progress_lines import Failures, summary_line, watch_lines
from lesto.common.elements import MAX_TIMESTAMP, MIN_TIMESTAMP
from lesto.proto import client_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

REFRESH_PER_SECOND = 8
NAME_WIDTH_MAX = 44
#: Weight of the newest measurement in the displayed rate.
RATE_SMOOTHING = 0.5

_STATE_STYLES = {
    "RUNNING": "green",
    "FINISHED": "bold green",
    "RESTARTING": "yellow",
    "FAILING": "red",
    "FAILED": "bold red",
    "CANCELED": "yellow",
}


class RateMeter:
    """Records a second of each vertex, smoothed."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, int]] = {}
        self._rates: dict[str, float] = {}

    def update(self, vertex_id: str, records: int, now: float) -> float:
        """Rate after ``records`` in all at ``now`` (seconds)."""
        before = self._last.get(vertex_id)
        self._last[vertex_id] = (now, records)
        if before is None or now <= before[0] or records < before[1]:
            # A restart sets counters back: start anew rather than show a negative rate.
            return self._rates.setdefault(vertex_id, 0.0)
        measured = (records - before[1]) / (now - before[0])
        old = self._rates.get(vertex_id, measured)
        rate = old + RATE_SMOOTHING * (measured - old)
        self._rates[vertex_id] = rate
        return rate


def watch(job_client: JobClient, console: Console) -> JobExecutionResult:
    """Wait for the job's end, showing its progress: live on a terminal, as lines elsewhere.

    Raises:
        JobExecutionError: it failed for good.
        JobCanceledError: it was cancelled.
    """
    if not console.is_terminal:
        return watch_lines(job_client, console.file)
    failures = Failures()
    rates = RateMeter()
    started = time.monotonic()
    details = None
    with Live(console=console, refresh_per_second=REFRESH_PER_SECOND, transient=False) as live:
        for details in job_client.details():
            for line in failures.news(details):
                live.console.print(line, markup=False, highlight=False)
            now = time.monotonic()
            live.update(render(details, rates, now, now - started))
    if details is not None:
        console.print(summary_line(details), markup=False, highlight=False, soft_wrap=True)
    return job_client.ended_result()


def render(details: pb.JobDetails, rates: RateMeter, now: float, elapsed: float) -> RenderableType:
    """One frame."""
    state = pb.JobState.Name(details.summary.state).removeprefix("JOB_STATE_")
    head = Text.assemble(
        (details.summary.name, "bold"),
        "  ",
        (state, _STATE_STYLES.get(state, "cyan")),
        f"  {elapsed:.1f} s",
        f"  restarts {details.summary.restarts}" if details.summary.restarts else "",
    )
    return Group(head, _vertices(details.vertices, rates, now), _checkpoints(details.checkpoints))


def _vertices(vertices: Sequence[pb.VertexDetails], rates: RateMeter, now: float) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("task")
    for name in ("x", "records", "records/s"):
        table.add_column(name, justify="right")
    table.add_column("watermark")
    for vertex in vertices:
        records = max(vertex.records_in, vertex.records_out)
        rate = rates.update(vertex.id, records, now)
        name = vertex.name
        if len(name) > NAME_WIDTH_MAX:
            name = name[: NAME_WIDTH_MAX - 1] + "…"
        table.add_row(
            name,
            str(vertex.parallelism),
            f"{records:,}",
            f"{rate:,.0f}",
            format_watermark(vertex.watermark),
        )
    return table


def format_watermark(timestamp: int) -> str:
    """Event time for people.

    >>> format_watermark(0)
    '1970-01-01 00:00:00'
    >>> format_watermark(MAX_TIMESTAMP), format_watermark(MIN_TIMESTAMP)
    ('end', '-')
    """
    if timestamp == MIN_TIMESTAMP:
        return "-"
    if timestamp == MAX_TIMESTAMP:
        return "end"
    try:
        moment = datetime.fromtimestamp(timestamp / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{timestamp} ms"
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _checkpoints(checkpoints: pb.CheckpointSummary) -> Text:
    latest = checkpoints.latest_completed
    text = f"checkpoints: {checkpoints.completed} completed"
    if checkpoints.failed:
        text += f", {checkpoints.failed} failed"
    if checkpoints.in_progress:
        text += f", {checkpoints.in_progress} under way"
    if latest.checkpoint_id:
        text += f"; last {latest.duration_ms} ms, {latest.state_bytes:,} bytes"
    return Text(text, style="dim")

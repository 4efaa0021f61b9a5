"""What `lesto run` shows while a job runs: live on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TextIO

from lesto.client.cli.output import format_bytes, format_count, format_elapsed, format_time
from lesto.proto import client_pb2 as pb
from lesto.proto import runtime_pb2

if TYPE_CHECKING:
    from lesto.client.jobmanager_client import JobManagerClient

LIVE_INTERVAL = timedelta(milliseconds=250)
PLAIN_INTERVAL = timedelta(seconds=1)
PLAIN_LINE_SECONDS = 10.0
NO_WATERMARK = -(1 << 63)
END_OF_TIME = (1 << 63) - 1


def follow(client: JobManagerClient, job_id: str, *, stream: TextIO | None = None) -> pb.JobDetails:
    """Show a job's progress until it has ended; return its last details.

    Ends with a line that sums the job up.
    """
    stream = stream or sys.stderr
    if stream.isatty():
        last = _follow_live(client.watch(job_id, LIVE_INTERVAL), stream)
    else:
        last = _follow_plain(client.watch(job_id, PLAIN_INTERVAL), stream)
    print(summary_line(last), file=stream)
    return last


def _follow_plain(watched: Iterable[pb.JobDetails], stream: TextIO) -> pb.JobDetails:
    last, state, printed_at = pb.JobDetails(), -1, 0.0
    rates = _Rates()
    for details in watched:
        last = details
        rates.update(details)
        now = time.monotonic()
        if details.summary.state != state or now - printed_at >= PLAIN_LINE_SECONDS:
            print(_plain_line(details, rates), file=stream, flush=True)
            state, printed_at = details.summary.state, now
    return last


def _follow_live(watched: Iterable[pb.JobDetails], stream: TextIO) -> pb.JobDetails:
    from rich.console import Console
    from rich.live import Live

    last = pb.JobDetails()
    rates = _Rates()
    with Live(console=Console(file=stream), transient=True, auto_refresh=False) as live:
        for details in watched:
            last = details
            rates.update(details)
            live.update(_live_table(details, rates), refresh=True)
    return last


class _Rates:
    """Records per second of each vertex, smoothed over the last few updates."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, int]] = {}
        self.by_vertex: dict[str, float] = {}

    def update(self, details: pb.JobDetails) -> None:
        now = time.monotonic()
        for vertex in details.vertices:
            count = processed(vertex)
            before = self._seen.get(vertex.id)
            if before is not None and now - before[0] < 0.2:
                continue
            self._seen[vertex.id] = (now, count)
            if before is None or count < before[1]:  # first, or counted anew after a restart
                continue
            rate = (count - before[1]) / (now - before[0])
            old = self.by_vertex.get(vertex.id, rate)
            self.by_vertex[vertex.id] = old + 0.5 * (rate - old)

    def read(self, details: pb.JobDetails) -> float:
        return sum(self.by_vertex.get(vertex.id, 0.0) for vertex in _sources(details))


def processed(vertex: pb.VertexDetails) -> int:
    """Return records that arrived at a vertex, or that its source has read."""
    heads = [s.report.operators[0] for s in vertex.subtasks if s.report.operators]
    return vertex.records_in or sum(head.records_in or head.records_out for head in heads)


def _sources(details: pb.JobDetails) -> list[pb.VertexDetails]:
    return [vertex for vertex in details.vertices if not vertex.records_in]


def records_read(details: pb.JobDetails) -> int:
    """Return records that the job's sources have read in this attempt."""
    return sum(processed(vertex) for vertex in _sources(details))


def job_watermark(details: pb.JobDetails) -> int:
    """Return the least watermark of all vertices, ms; int64 min when some has none."""
    return min((vertex.watermark for vertex in details.vertices), default=NO_WATERMARK)


def format_watermark(watermark: int) -> str:
    """Return a watermark for people.

    >>> format_watermark(NO_WATERMARK), format_watermark(END_OF_TIME)
    ('-', 'end')
    """
    if watermark <= 0:
        return "-"
    if watermark >= END_OF_TIME - 1:
        return "end"
    try:
        return (format_time(watermark) or "-").rstrip("Z").replace("T", " ")
    except (ValueError, OverflowError):  # beyond year 9999: numbers that are no dates
        return str(watermark)


def summary_line(details: pb.JobDetails) -> str:
    """Return one line that sums up a job."""
    job = details.summary
    state = pb.JobState.Name(job.state).removeprefix("JOB_STATE_")
    end_ms = job.end_time_ms or time.time_ns() // 1_000_000
    elapsed_ms = max(0, end_ms - job.start_time_ms)
    count = records_read(details)
    rate = f", {format_count(count / elapsed_ms * 1000)}/s" if elapsed_ms else ""
    parts = [
        f"{state} {job.name} ({job.job_id[:8]}) in {format_elapsed(elapsed_ms)}",
        f"{count:,} records read{rate}",
        f"{details.checkpoints.completed} checkpoints",
    ]
    if job.restarts:
        parts.append(f"{job.restarts} restarts")
    return "; ".join(parts)


def _plain_line(details: pb.JobDetails, rates: _Rates) -> str:
    job = details.summary
    state = pb.JobState.Name(job.state).removeprefix("JOB_STATE_")
    return (
        f"{state} {job.name}: {records_read(details):,} records, "
        f"{format_count(rates.read(details))}/s, watermark "
        f"{format_watermark(job_watermark(details))}, {_checkpoints(details)}"
    )


def _checkpoints(details: pb.JobDetails) -> str:
    checkpoints = details.checkpoints
    text = f"{checkpoints.completed} checkpoints"
    if checkpoints.HasField("latest_completed"):
        latest = checkpoints.latest_completed
        text += f" (last {latest.duration_ms} ms, {format_bytes(latest.state_bytes)})"
    if checkpoints.failed:
        text += f", {checkpoints.failed} failed"
    return text


def _live_table(details: pb.JobDetails, rates: _Rates) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    job = details.summary
    state = pb.JobState.Name(job.state).removeprefix("JOB_STATE_")
    now_ms = time.time_ns() // 1_000_000
    head = Text.assemble(
        (f"{state} ", "bold green" if job.state == pb.JOB_STATE_RUNNING else "bold yellow"),
        (job.name, "bold"),
        f" {job.job_id[:8]}  {format_elapsed(max(0, now_ms - job.start_time_ms))}  "
        f"{format_count(rates.read(details))} records/s  {_checkpoints(details)}",
        f"  {job.restarts} restarts" if job.restarts else "",
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("task", no_wrap=True, max_width=48)
    for heading in ("running", "records", "records/s", "busy", "blocked", "watermark"):
        table.add_column(heading, justify="right", no_wrap=True)
    for vertex in details.vertices:
        running = sum(s.state == runtime_pb2.TASK_STATE_RUNNING for s in vertex.subtasks)
        reports = [s.report for s in vertex.subtasks if s.HasField("report")]
        busy = max((report.busy_ratio for report in reports), default=0.0)
        blocked = max((report.backpressured_ratio for report in reports), default=0.0)
        table.add_row(
            Text(vertex.name),
            f"{running}/{vertex.parallelism}",
            f"{processed(vertex):,}",
            format_count(rates.by_vertex.get(vertex.id, 0.0)),
            f"{busy:.0%}",
            f"{blocked:.0%}",
            format_watermark(vertex.watermark),
        )
    return Group(head, table)

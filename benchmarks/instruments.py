"""What the benchmarks measure with: a source that notes its first record, a sink that counts what
it drops, and sampling of the slot processes.

Notes are small files in a folder that all processes of the machine see: moments are of
``time.monotonic()``, which is one clock for all of them.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from operator import itemgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lesto.common.elements import ColumnarBatch, Form
from lesto.common.sink import Sink, SinkWriter
from lesto.connectors.datagen import DataGenSource, pool, random_int, timestamps

ROOT = Path(__file__).resolve().parent.parent
KEYS = 100_000
EVENTS_PER_SECOND = 10_000
WINDOW_SECONDS = 60


class Notes:
    """One file a process and name."""

    def __init__(self, folder):
        self.folder = str(folder)

    def write(self, name, content):
        path = Path(self.folder) / f"{name}-{os.getpid()}-{time.monotonic_ns()}"
        path.with_suffix(".part").write_text(json.dumps(content))
        path.with_suffix(".part").rename(path)

    def read(self, name):
        """All notes of a name."""
        paths = sorted(Path(self.folder).glob(f"{name}-*"))
        return [json.loads(p.read_text()) for p in paths if p.suffix != ".part"]


def record_fields():
    """The stream of shared/ANCHORS.md: (key, value, event time)."""
    return {
        "key": pool(KEYS),
        "value": random_int(0, 99),
        "at": timestamps(EVENTS_PER_SECOND),
    }


class StampedSource(DataGenSource):
    """The records, with a note when a process makes its first one."""

    def __init__(self, folder, *, rows, rows_per_second=None):
        super().__init__(record_fields(), rows=rows, rows_per_second=rows_per_second)
        self._notes = Notes(folder)
        self._started = False

    def _generate(self, positions):
        if not self._started:
            self._started = True
            self._notes.write("first", time.monotonic())
        return super()._generate(positions)


class CountingSink(Sink):
    """Drops batches of either form; notes how many records there were, and their total.

    The total is of the records themselves (rows of numbers), of the field ``field`` of rows, or of
    the column ``column``.
    """

    input_form = Form.ANY

    def __init__(self, folder, column=None, field=None):
        self._notes = Notes(folder)
        self._column, self._field = column, field

    def create_writer(self, context):
        return _CountingWriter(self._notes, self._column, self._field, context.subtask)


class _CountingWriter(SinkWriter):
    def __init__(self, notes, column, field, subtask):
        self._notes, self._column, self._subtask = notes, column, subtask
        self._value_of = None if field is None else itemgetter(field)
        self._records = self._total = 0
        self._last = 0.0

    def write(self, batch):
        self._records += len(batch)
        if isinstance(batch, ColumnarBatch):
            self._total += pc.sum(batch.data.column(self._column)).as_py() or 0
        elif self._value_of is not None:
            self._total += sum(map(self._value_of, batch.values))
        else:
            self._total += sum(batch.values)
        self._last = time.monotonic()

    def prepare_commit(self, checkpoint_id):
        self._notes.write("sink", [self._subtask, self._records, self._total, self._last])
        return ()


def sink_totals(notes):
    """(records, total, moment of the last batch) over all sinks, from each one's last note."""
    last = {}
    for subtask, *rest in notes.read("sink"):
        last[subtask] = max(last.get(subtask, rest), rest)
    records, totals, moments = zip(*last.values(), strict=True)
    return sum(records), sum(totals), max(moments)


def peak_rss_bytes(pid):
    """Largest resident memory that a process has had; 0 when it is gone."""
    return _status_kib(pid, "status", "VmHWM") * 1024


def pss_bytes(pid):
    """Memory of a process, shared pages counted in proportion; 0 when it is gone."""
    return _status_kib(pid, "smaps_rollup", "Pss") * 1024


def resident_bytes(pid):
    """(Pages of its own, pages of files) that a process has in memory; zeros when it is gone."""
    own = _status_kib(pid, "status", "RssAnon") + _status_kib(pid, "status", "RssShmem")
    return own * 1024, _status_kib(pid, "status", "RssFile") * 1024


def _status_kib(pid, file, field):
    try:
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def command_of(pid):
    """Command line of a process, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_slot(pid):
    """Whether a process is a slot."""
    return "slot_main" in command_of(pid)


def spread(values, digits=3):
    """Median, smallest and largest of repeated measurements, and their number."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
        "runs": len(values),
    }


def facts():
    """Where and of what the figures are."""
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
        capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    with open("/proc/cpuinfo") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit or "unknown",
        "machine": models[0] if models else "unknown",
        "cpus": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "python": sys.version.split()[0],
        "pyarrow": pa.__version__,
        "load_before": [round(x, 2) for x in os.getloadavg()],
    }

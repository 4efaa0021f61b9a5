"""What storage says about who was allowed to write: the job's log, read by the format's definition.

Imports nothing of Lesto. The log of a job is a row of objects ``log/1``, ``log/2``, ...: a line
``<crc32> <JSON>`` each. A checkpoint is complete when its entry is there; its ``_metadata`` alone
says nothing. After an epoch was claimed no entry of an earlier epoch may follow, and nothing that
was written may change.
"""

import contextlib
import json
import os
import zlib
from pathlib import Path

JOBS = Path("_ha") / "default" / "jobs"
DIGITS = 12  # of the names of entries


class Log:
    """One job's log as far as it was read."""

    def __init__(self, job, path):
        self.job, self._path = job, path
        self.contents = []
        self.epoch = 0
        self.claims = 0
        self.checkpoints = set()
        self.newest = 0
        self.ended = False
        self.problems = []

    def follow(self):
        """Read what is new."""
        while True:
            try:
                content = self._name(len(self.contents) + 1).read_bytes()
            except FileNotFoundError:
                return
            self.contents.append(content)
            self._take(content)

    def _name(self, seq):
        return self._path / f"{seq:0{DIGITS}}"

    def _take(self, content):
        """An entry belongs to the epoch that was claimed last."""
        seq = len(self.contents)
        checksum, _, text = content.rstrip(b"\n").partition(b" ")
        if checksum != b"%08x" % zlib.crc32(text):
            self.problems.append(f"entry {seq} of job {self.job} is torn")
            return
        entry = json.loads(text)
        kind, epoch = entry["kind"], entry["epoch"]
        if epoch != self.epoch + (kind == "epoch") or self.ended:
            behind = "the end" if self.ended else f"epoch {self.epoch}"
            self.problems.append(f"{kind} of epoch {epoch} came behind {behind} ({self.job})")
        if kind == "epoch":
            self.epoch = epoch
            self.claims += 1
        elif kind == "checkpoint":
            number = entry["checkpoint_id"]
            if number in self.checkpoints:
                self.problems.append(f"checkpoint {number} was completed twice ({self.job})")
            self.checkpoints.add(number)
            self.newest = max(self.newest, number)
        self.ended = self.ended or kind == "ended"

    def changed(self):
        """Entries that are not what they were when they were first seen."""
        found = []
        for seq, content in enumerate(self.contents, 1):
            with contextlib.suppress(FileNotFoundError):
                if self._name(seq).read_bytes() != content:
                    found.append(f"entry {seq} of job {self.job} was written twice")
        return found


class Fence:
    """Follows the logs of all jobs below a checkpoint directory."""

    def __init__(self, checkpoints):
        self.jobs = Path(checkpoints) / JOBS
        self.logs = {}
        self.newest = None  # highest checkpoint that is complete; None: there is no log

    @property
    def epochs(self):
        """Claims seen."""
        return sum(log.claims for log in self.logs.values())

    def look(self):
        """Read what is new."""
        with contextlib.suppress(FileNotFoundError):
            for job in os.scandir(self.jobs):
                log = self.logs.get(job.name)
                if log is None:
                    log = self.logs[job.name] = Log(job.name, self.jobs / job.name / "log")
                log.follow()
                self.newest = max(self.newest or 0, log.newest)

    def verdict(self):
        """What must not be, as texts."""
        self.look()
        return [x for log in self.logs.values() for x in [*log.problems, *log.changed()]]

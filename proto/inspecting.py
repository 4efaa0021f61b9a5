"""Answers to the questions that any process of a cluster can be asked, in the wire's form."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Mapping

from lesto.common.errors import LestoError
from lesto.common.inspection import (
    METRICS_MAX,
    Doing,
    InspectionError,
    Label,
    StackSampler,
    threads,
)
from lesto.common.log_files import LogFolder
from lesto.common.metrics import MetricRegistry, process_registry
from lesto.common.rpc import CODE, MESSAGE, REMEDY, error_from_metadata
from lesto.proto import runtime_pb2

MILLISECONDS = 1000


class ProcessInspector:
    """Answers about the process it is in. Blocks; call it from a thread that may wait.

    Args:
        logs: the process's log folder; None: it has none.
        registry: its metrics; by default the process's.
        doing: what a thread is at, by its ident, for thread dumps and samples; by default a sample
            looks at all threads and groups by nothing.
    """

    def __init__(
        self,
        logs: LogFolder | None,
        registry: MetricRegistry | None = None,
        doing: Mapping[int, Label] | None = None,
    ) -> None:
        self._logs = logs
        self._registry = registry or process_registry()
        self._doing = doing

    def answer(self, question: runtime_pb2.Question) -> runtime_pb2.Answer:
        """Return the answer; an error is one too."""
        try:
            match question.WhichOneof("question"):
                case "thread_dump":
                    return self._thread_dump()
                case "list_logs":
                    return self._list_logs()
                case "read_log":
                    return self._read_log(question.read_log)
                case "read_metrics":
                    return self._metrics(question.read_metrics)
                case "sample_stacks":
                    return self._stacks(question.sample_stacks)
                case other:
                    msg = f"this process has no answer to {other}"
                    raise InspectionError(msg, remedy="ask a slot of a TaskManager")
        except LestoError as error:
            return refusal(error)
        except OSError as error:  # a log that cannot be read
            return refusal(InspectionError(f"the process could not answer: {error}"))

    def _thread_dump(self) -> runtime_pb2.Answer:
        answer = runtime_pb2.Answer()
        dump = answer.thread_dump
        dump.timestamp_ms = int(time.time() * MILLISECONDS)
        for thread in threads():
            label = (self._doing or {}).get(thread.ident, lambda: None)()
            dump.threads.add(
                name=thread.name,
                daemon=thread.daemon,
                stack=thread.stack,
                doing=label.text if label is not None else "",
            )
        return answer

    def _folder(self) -> LogFolder:
        if self._logs is None:
            msg = "this process keeps no log files"
            raise InspectionError(msg, remedy="its TaskManager or JobManager keeps them")
        return self._logs

    def _list_logs(self) -> runtime_pb2.Answer:
        answer = runtime_pb2.Answer()
        answer.list_logs.SetInParent()
        for file in self._folder().list():
            answer.list_logs.files.add(
                name=file.name, size_bytes=file.size_bytes, modified_ms=file.modified_ms
            )
        return answer

    def _read_log(self, question: runtime_pb2.ReadLogQuestion) -> runtime_pb2.Answer:
        piece = self._folder().read(question.name, question.offset, question.max_bytes)
        return runtime_pb2.Answer(
            read_log=runtime_pb2.ReadLogAnswer(
                content=piece.content, offset=piece.offset, size_bytes=piece.size_bytes
            )
        )

    def _metrics(self, question: runtime_pb2.ReadMetricsQuestion) -> runtime_pb2.Answer:
        answer = runtime_pb2.Answer()
        found = answer.read_metrics
        found.SetInParent()
        wanted = {"job_id": question.job_id, "task": question.task}
        whole = not any(wanted.values())  # then what the process itself takes belongs to it
        for family in self._registry.everything() if whole else self._registry.collect():
            for sample in family.samples:
                if any(value and sample.labels.get(key) != value for key, value in wanted.items()):
                    continue
                if len(found.metrics) >= METRICS_MAX:
                    found.truncated = True
                    return answer
                found.metrics.add(
                    name=sample.name, labels=sample.labels, value=sample.value, kind=family.type
                )
        return answer

    def _stacks(self, question: runtime_pb2.SampleStacksQuestion) -> runtime_pb2.Answer:
        sampler = StackSampler(self._doing if self._doing is not None else _all_threads())
        sampler.run(question.duration_ms, question.interval_ms)
        answer = runtime_pb2.Answer()
        answer.sample_stacks.samples = sampler.samples
        answer.sample_stacks.ended_ms = int(time.time() * MILLISECONDS)
        for doing, frames, count in sampler.stacks():
            if not _is_asked_for(doing, question):
                continue
            answer.sample_stacks.stacks.add(
                job_id=doing.job_id,
                vertex_id=doing.vertex_id,
                subtask=doing.subtask,
                frames=frames if doing.job_id else (doing.text, *frames),
                count=count,
            )
        return answer


def _is_asked_for(doing: Doing, question: runtime_pb2.SampleStacksQuestion) -> bool:
    if question.job_id and doing.job_id != question.job_id:
        return False
    if not question.vertex_id:
        return True
    return doing.vertex_id == question.vertex_id and question.subtask in {-1, doing.subtask}


def _all_threads() -> dict[int, Label]:
    """All threads but this one, each by its name."""
    own = threading.get_ident()
    return {
        thread.ident: functools.partial(Doing, text=thread.name)
        for thread in threading.enumerate()
        if thread.ident is not None and thread.ident != own
    }


def refusal(error: LestoError) -> runtime_pb2.Answer:
    """Return an error as an answer."""
    return runtime_pb2.Answer(error_code=error.code, error=error.message, remedy=error.remedy or "")


def refused(answer: runtime_pb2.Answer) -> LestoError:
    """Return the error that an answer is."""
    fields = ((CODE, answer.error_code), (MESSAGE, answer.error), (REMEDY, answer.remedy))
    found = error_from_metadata(fields)
    assert found is not None, "an answer with a code"
    return found


def seconds_for(question: runtime_pb2.Question) -> float:
    """Return how long a question may take by itself: what it asks to watch for."""
    asked_ms = max(question.sample_stacks.duration_ms, question.sample_records.timeout_ms)
    return asked_ms / MILLISECONDS

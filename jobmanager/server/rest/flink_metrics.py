"""Our metrics under Flink's ids. Pure.

A series of a process becomes an id: what Flink calls the metric (``common/metric_table.py``), or,
where Flink has none and for users' metrics, our name in Flink's spelling (``numLateEvents`` of
``lesto_num_late_events``); before it the operator and the values of other labels, with dots
between. Flink counts milliseconds where our metrics have seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from lesto.common.metric_table import DESCRIPTIONS
from lesto.common.metrics import PREFIX
from lesto.proto import runtime_pb2

MILLISECONDS: Final = 1000.0

#: What every process tells by the Prometheus library: Flink's id and factor.
_OF_PROCESSES: Final[Mapping[str, tuple[str, float]]] = {
    "process_cpu_seconds_total": ("Status.JVM.CPU.Time", 1e9),  # ns
    "process_resident_memory_bytes": ("Status.JVM.Memory.Heap.Used", 1.0),
    "process_open_fds": ("Status.FileDescriptor.Open", 1.0),
    "process_max_fds": ("Status.FileDescriptor.Max", 1.0),
}
#: Labels that say whose a series is; the others say which of several.
_SCOPE: Final = frozenset({"job_id", "job_name", "task", "subtask", "taskmanager", "slot"})
_TICKED: Final = re.compile(r"`([A-Za-z0-9_.<>]+)`")
_PLACEHOLDER: Final = re.compile(r"<[a-z]+>")
_QUANTILES: Final = {"0.5": "p50", "0.95": "p95", "0.99": "p99"}
_UNDERSCORE: Final = str.maketrans(dict.fromkeys(" .:,", "_") | dict.fromkeys('<>"'))


def in_id(name: str) -> str:
    """Return an operator's name as Flink writes it in ids.

    >>> in_id("Source: flights, 2.0")
    'Source__flights__2_0'
    """
    return name.translate(_UNDERSCORE)


def camel(name: str) -> str:
    """Return our spelling in Flink's.

    >>> camel("num_late_events")
    'numLateEvents'
    """
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def metric_id(sample: runtime_pb2.MetricValue) -> tuple[str, float] | None:
    """Return a series' id, without the process, task and subtask it is of, and its value.

    None: a part of a summary that Flink has none of, or the library's own bookkeeping.
    """
    if sample.name in _OF_PROCESSES:
        name, factor = _OF_PROCESSES[sample.name]
        return name, sample.value * factor
    if not sample.name.startswith(PREFIX) or sample.name.endswith(("_sum", "_created")):
        return None
    base = sample.name.removeprefix(PREFIX).removesuffix("_total")
    counted = base.endswith("_count") and base.removesuffix("_count") in DESCRIPTIONS
    base = base.removesuffix("_count") if counted else base
    labels = dict(sample.labels)
    name, factor = _named(base, labels)
    if counted:
        name, factor = f"{name}_count", 1.0
    if "quantile" in labels:
        name = f"{name}_{_QUANTILES.get(labels['quantile'], labels['quantile'])}"
    operator = labels.get("operator")
    others = [
        text
        for key, text in sorted(labels.items())
        if key not in _SCOPE and key not in {"operator", "quantile"}
    ]
    parts = [in_id(part) for part in ([operator] if operator else []) + others]
    return ".".join([*parts, name]), sample.value * factor


def _named(base: str, labels: dict[str, str]) -> tuple[str, float]:
    """Flink's name of a metric and the factor to its unit; takes the labels that the name tells."""
    factor = MILLISECONDS if base.endswith("_seconds") else 1.0
    match base:
        case "job_state_seconds":  # runningTime
            return f"{labels.pop('state', '').lower()}Time", factor
        case "input_watermark_seconds":
            return f"currentInput{int(labels.pop('input', 0)) + 1}Watermark", factor
        case "restore_seconds":  # Flink has two parts of it
            return camel(base), 1.0
    description = DESCRIPTIONS.get(base)
    names = _TICKED.findall(description.flink) if description is not None else []
    if description is None or not names:
        return camel(base), 1.0
    if _PLACEHOLDER.search(names[0]):
        which = ".".join(labels.pop(label, "") for label in description.labels)
        return _PLACEHOLDER.sub(which, names[0]), factor
    return names[0], factor


def by_id(samples: Iterable[runtime_pb2.MetricValue]) -> dict[str, float]:
    """Return values by id; of several series of one id the sum."""
    found: dict[str, float] = {}
    for sample in samples:
        named = metric_id(sample)
        if named is not None:
            found[named[0]] = found.get(named[0], 0.0) + named[1]
    return found


def text(value: float | str) -> str:
    """Return a value as Flink's answers have it: text, whole numbers without a fraction.

    >>> text(3.0), text(0.25), text("/chk/7")
    ('3', '0.25', '/chk/7')
    """
    if isinstance(value, str):
        return value
    return str(int(value)) if float(value).is_integer() else repr(float(value))

"""Metrics of a process: cheap to update once a batch, served to Prometheus on demand.

A metric is a plain Python object with a number in it; the thread that owns it adds to it without a
lock (under the GIL a scrape sees the number before or after, never half of it). A collector turns
the tree of groups into Prometheus families when someone scrapes. Labels are bounded: only
``LABELS`` are accepted, and all of a metric's series carry the same set.

Counters end in ``_total`` on the wire; names carry base units (``_seconds``, ``_bytes``). What they
mean is in :mod:`.metric_table`.

>>> registry = MetricRegistry()
>>> task = registry.group(job_id="flights", task="map", subtask="0")
>>> records = task.counter("records_in")
>>> records.inc(1000)
>>> print(registry.text().splitlines()[-1])
lesto_records_in_total{job_id="flights",subtask="0",task="map"} 1000.0
"""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

from lesto.common.metric_table import DESCRIPTIONS, MetricKind

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

logger = logging.getLogger("lesto.metrics")

PREFIX = "lesto_"
#: ``job_id`` and not ``job``, which Prometheus itself writes on every series.
LABELS = frozenset(
    {
        "job_id",
        "job_name",
        "task",
        "operator",
        "subtask",
        "taskmanager",
        "slot",
        "state",
        "kind",
        "input",
    }
)
MAX_SERIES = (
    100_000  # of one process; a growing label would end here with an error, not out of memory
)
METER_WINDOW_SECONDS = 60.0
DISTRIBUTION_SAMPLES = 1024
QUANTILES = (0.5, 0.95, 0.99)


class Counter:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def inc(self, n: float = 1) -> None:
        """Add ``n`` >= 0. One thread may call it; for several, give each its own counter."""
        self.value += n

    def get_count(self) -> float:
        """Return the number (PyFlink's spelling)."""
        return self.value


class Gauge:
    """A number that a function computes when it is read."""

    __slots__ = ("read",)

    def __init__(self, read: Callable[[], float | None]) -> None:
        self.read = read


class Total:
    """A number that only grows and that a function computes when it is read."""

    __slots__ = ("read",)

    def __init__(self, read: Callable[[], float | None]) -> None:
        self.read = read


class Meter:
    """A counter that also knows its rate over the last minute."""

    __slots__ = ("_marks", "count")

    def __init__(self) -> None:
        self.count: float = 0
        self._marks: deque[tuple[float, float]] = deque(maxlen=64)

    def mark(self, n: float = 1) -> None:
        """Count ``n`` events that happened now."""
        self.count += n

    def rate(self, now: float | None = None) -> float:
        """Return events per second since the oldest reading at most a minute ago."""
        now = monotonic() if now is None else now
        while len(self._marks) > 1 and now - self._marks[0][0] > METER_WINDOW_SECONDS:
            self._marks.popleft()
        first = self._marks[0] if self._marks else None
        if not self._marks or now - self._marks[-1][0] >= 1.0:
            self._marks.append((now, self.count))
        if first is None or now <= first[0]:
            return 0.0
        return (self.count - first[1]) / (now - first[0])


class Distribution:
    """Quantiles of the latest samples, and count and sum of all."""

    __slots__ = ("_samples", "count", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self._samples: deque[float] = deque(maxlen=DISTRIBUTION_SAMPLES)

    def update(self, value: float) -> None:
        """Add a sample, in the unit that the metric's name ends with."""
        self.count += 1
        self.sum += value
        self._samples.append(value)

    def quantiles(self) -> dict[float, float]:
        """Return the quantiles of the latest 1,024 samples; empty before the first."""
        samples = sorted(self._samples.copy())
        if not samples:
            return {}
        last = len(samples) - 1
        return {q: samples[min(last, int(q * len(samples)))] for q in QUANTILES}


AnyMetric = Counter | Gauge | Total | Meter | Distribution
_KINDS: dict[type, MetricKind] = {
    Counter: MetricKind.COUNTER,
    Total: MetricKind.COUNTER,
    Gauge: MetricKind.GAUGE,
    Distribution: MetricKind.SUMMARY,
}


class MetricGroup:
    """The metrics that share a set of labels; children add labels."""

    def __init__(self, registry: MetricRegistry, labels: dict[str, str]) -> None:
        self._registry = registry
        self.labels = labels
        self._key = tuple(sorted(labels.items()))
        self._children: list[MetricGroup] = []

    def child(self, **labels: object) -> MetricGroup:
        """Return the group with these labels added; closing this group closes it too."""
        group = self._registry.group(**self.labels, **labels)
        if group is not self:
            self._children.append(group)
        return group

    def user_group(self, name: str, value: str | None = None) -> MetricGroup:
        """Return a group of a user's function: label ``name=value``, or ``group=name`` without one.

        Raises:
            ValueError: the name is a label of ours, or has no letter or digit.
        """
        label, text = (safe_name(name), value) if value is not None else ("group", name)
        if value is None and "group" in self.labels:
            text = f"{self.labels['group']}.{name}"
        elif label in self.labels or label in LABELS or label.startswith("__"):
            msg = f"'{name}' is a label of Lesto's own"
            raise ValueError(msg)
        group = self._registry.group_of({**self.labels, label: text})
        if group not in self._children:
            self._children.append(group)
        return group

    def counter(self, name: str, help: str = "") -> Counter:
        """Return the counter of this name, made at first use."""
        found: Counter = self._registry.metric(self, name, Counter, help)
        return found

    def gauge(self, name: str, read: Callable[[], float | None], help: str = "") -> Gauge:
        """Register a function that is read at each scrape; it may return None for no value.

        A second call for the same name replaces the function.
        """
        gauge: Gauge = self._registry.metric(self, name, lambda: Gauge(read), help, Gauge)
        gauge.read = read
        return gauge

    def total(self, name: str, read: Callable[[], float | None], help: str = "") -> Total:
        """Register a function that reads a growing number at each scrape: a counter to Prometheus.

        A second call for the same name replaces the function.
        """
        total: Total = self._registry.metric(self, name, lambda: Total(read), help, Total)
        total.read = read
        return total

    def meter(self, name: str, help: str = "") -> Meter:
        """Return the meter of this name: ``<name>_total`` and ``<name>_per_second``."""
        found: Meter = self._registry.metric(self, name, Meter, help)
        return found

    def distribution(self, name: str, help: str = "") -> Distribution:
        """Return the distribution of this name."""
        found: Distribution = self._registry.metric(self, name, Distribution, help)
        return found

    def close(self) -> None:
        """Remove this group's series and its children's: the task has ended."""
        for child in self._children:
            child.close()
        self._children.clear()
        self._registry.remove(self)


class MetricRegistry:
    """All metrics of a process. Registration is locked; updates are not.

    Args:
        of_process: the exposition has CPU time, memory and files of the process too, where the
            system tells them (Linux).
    """

    def __init__(self, *, of_process: bool = False) -> None:
        self._of_process = of_process
        self._lock = threading.Lock()
        self._groups: dict[tuple[tuple[str, str], ...], MetricGroup] = {}
        self._series: dict[str, dict[tuple[tuple[str, str], ...], AnyMetric]] = {}
        self._help: dict[str, str] = {}
        self._count = 0
        self._failed_reads: set[str] = set()

    def group(self, **labels: object) -> MetricGroup:
        """Return the group with these labels.

        Raises:
            ValueError: a label is not one of ``LABELS``.
        """
        if unknown := labels.keys() - LABELS:
            msg = f"metric labels {sorted(unknown)} are not in {sorted(LABELS)}"
            raise ValueError(msg)
        return self.group_of({name: str(value) for name, value in labels.items()})

    def group_of(self, texts: dict[str, str]) -> MetricGroup:
        """Return the group with these labels, whatever their names."""
        key = tuple(sorted(texts.items()))
        with self._lock:
            return self._groups.setdefault(key, MetricGroup(self, texts))

    def metric(
        self, group: MetricGroup, name: str, make: Callable[[], Any], help: str, kind: Any = None
    ) -> Any:
        """Return the metric of a group and name, made if it is new.

        Raises:
            ValueError: the name is malformed or in use for another kind of metric.
        """
        _check_name(name)
        kind = kind or make
        described = DESCRIPTIONS.get(name)
        if described is not None:
            help = help or described.help
            if _KINDS.get(kind) is not described.kind:
                msg = f"metric '{name}' is a {described.kind.value} of Lesto's own"
                raise ValueError(msg)
        with self._lock:
            series = self._series.setdefault(name, {})
            found = series.get(group._key)
            sample = found or next(iter(series.values()), None)
            if sample is not None and not isinstance(sample, kind):
                msg = f"metric '{name}' exists as a {type(sample).__name__}"
                raise ValueError(msg)
            if found is not None:
                return found
            if self._count >= MAX_SERIES:
                msg = f"more than {MAX_SERIES} metric series: a label is not bounded"
                raise ValueError(msg)
            self._count += 1
            if help or name not in self._help:
                self._help[name] = help
            made = series[group._key] = make()
            return made

    def remove(self, group: MetricGroup) -> None:
        """Forget every series of a group."""
        with self._lock:
            self._groups.pop(group._key, None)
            for name in list(self._series):
                if self._series[name].pop(group._key, None) is not None:
                    self._count -= 1
                if not self._series[name]:
                    del self._series[name]

    def snapshot(self) -> list[tuple[str, dict[str, str], AnyMetric]]:
        """Return every series as name, labels and metric."""
        with self._lock:
            return [
                (name, dict(key), metric)
                for name, series in self._series.items()
                for key, metric in series.items()
            ]

    def collect(self) -> Iterator[Metric]:
        """Yield Prometheus families: the interface of a prometheus-client collector."""
        with self._lock:
            families = [(name, list(series.items())) for name, series in self._series.items()]
        for name, series in families:
            yield from self._families(name, series)

    def _families(self, name: str, series: list[tuple[Any, AnyMetric]]) -> Iterable[Metric]:
        from prometheus_client.core import Metric as Family

        full = PREFIX + name
        text = self._help.get(name) or name.replace("_", " ")
        match series[0][1]:
            case Counter():
                family = Family(full, text, "counter")
                for key, metric in series:
                    family.add_sample(full + "_total", dict(key), float(metric.value))  # type: ignore[union-attr]
                yield family
            case Gauge() | Total() as first:
                growing = isinstance(first, Total)
                family = Family(full, text, "counter" if growing else "gauge")
                for key, metric in series:
                    value = self._read(name, metric)  # type: ignore[arg-type]
                    if value is not None:
                        family.add_sample(full + "_total" * growing, dict(key), value)
                yield family
            case Meter():
                total = Family(full, text, "counter")
                rate = Family(full + "_per_second", text + " (rate)", "gauge")
                for key, metric in series:
                    total.add_sample(full + "_total", dict(key), float(metric.count))  # type: ignore[union-attr]
                    rate.add_sample(full + "_per_second", dict(key), metric.rate())  # type: ignore[union-attr]
                yield total
                yield rate
            case Distribution():
                family = Family(full, text, "summary")
                for key, metric in series:
                    labels = dict(key)
                    for q, value in metric.quantiles().items():  # type: ignore[union-attr]
                        family.add_sample(full, {**labels, "quantile": str(q)}, value)
                    family.add_sample(full + "_count", labels, float(metric.count))  # type: ignore[union-attr]
                    family.add_sample(full + "_sum", labels, float(metric.sum))  # type: ignore[union-attr]
                yield family

    def _read(self, name: str, gauge: Gauge | Total) -> float | None:
        try:
            value = gauge.read()
        except Exception as error:  # noqa: BLE001 - one broken gauge must not hide all the others
            if name not in self._failed_reads:
                self._failed_reads.add(name)
                logger.warning("metric.read_failed %s: %r; logged once", name, error)
            return None
        return None if value is None else float(value)

    def text(self) -> str:
        """Return the Prometheus text exposition of everything."""
        from prometheus_client import generate_latest

        return generate_latest(self._with_process()).decode()

    def everything(self) -> Iterator[Metric]:
        """Yield the families that ``text`` shows."""
        yield from self._with_process().collect()

    def _with_process(self) -> CollectorRegistry:
        from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

        registry = CollectorRegistry(auto_describe=False)
        if self._of_process:
            ProcessCollector(registry=registry)
            GCCollector(registry=registry)
        registry.register(self)
        return registry


def safe_name(name: str) -> str:
    """Return a user's metric name as Prometheus writes names.

    >>> safe_name("numLateEvents"), safe_name("my-counter.total")
    ('num_late_events', 'my_counter')

    Raises:
        ValueError: nothing is left of it.
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    snake = re.sub(r"[^a-z0-9]+", "_", snake).strip("_").removesuffix("_total")
    if not snake:
        msg = f"metric name '{name}' has no letter or digit"
        raise ValueError(msg)
    return f"_{snake}" if snake[0].isdigit() else snake


def _check_name(name: str) -> None:
    if not name.replace("_", "a").isalnum() or not name.isascii() or name[0].isdigit():
        msg = f"metric name '{name}': use letters, digits and underscores"
        raise ValueError(msg)
    if name.endswith("_total"):
        msg = f"metric name '{name}': the exposition adds '_total' to counters itself"
        raise ValueError(msg)
    if name != name.lower():
        msg = f"metric name '{name}': use lower case"
        raise ValueError(msg)


_process_registry = MetricRegistry(of_process=True)


def process_registry() -> MetricRegistry:
    """Return the registry of this process."""
    return _process_registry

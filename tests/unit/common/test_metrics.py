"""Metrics: exposition, labels, cost, and the HTTP endpoint."""

import threading
import timeit
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lesto.common import metrics as metrics_module
from lesto.common.metrics import Counter, MetricRegistry
from lesto.common.metrics_server import MetricsPortError, serve_metrics
from lesto.taskmanager.operators.user_metrics import UserMetricGroup


def samples(registry):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(registry.text())
        for sample in family.samples
    }


def test_each_kind_is_exposed_with_its_labels():
    registry = MetricRegistry()
    task = registry.group(job_id="j", task="map", subtask=0)
    task.counter("records_in", "Records that arrived.").inc(7)
    task.gauge("watermark_seconds", lambda: 12.5)
    task.gauge("absent", lambda: None)
    task.meter("pages").mark(100)
    grown = [5.0]
    task.total("timers_fired", lambda: grown[0])
    sizes = task.distribution("upload_seconds")
    for value in range(1, 101):
        sizes.update(value / 100)
    labels = (("job_id", "j"), ("subtask", "0"), ("task", "map"))
    found = samples(registry)
    assert found["lesto_records_in_total", *labels] == 7
    assert found["lesto_watermark_seconds", *labels] == 12.5
    assert found["lesto_pages_total", *labels] == 100
    assert found["lesto_timers_fired_total", *labels] == 5
    assert found["lesto_upload_seconds_count", *labels] == 100
    median = ("lesto_upload_seconds", *sorted([*labels, ("quantile", "0.5")]))
    assert found[median] == pytest.approx(0.5, abs=0.02)
    assert not [key for key in found if "absent" in key[0]]


def test_a_family_with_many_series_appears_once():
    registry = MetricRegistry()
    for subtask in range(3):
        registry.group(job_id="j", subtask=subtask).counter("records_in").inc(subtask)
    assert registry.text().count("# TYPE lesto_records_in_total counter") == 1
    assert len(samples(registry)) == 3


def test_the_same_name_and_labels_are_the_same_metric():
    registry = MetricRegistry()
    registry.group(job_id="j").counter("a").inc()
    registry.group(job_id="j").counter("a").inc()
    assert registry.group(job_id="j").counter("a").value == 2


@pytest.mark.parametrize("name", ["a-b", "A", "1a", "a_total", "ü", "a b"])
def test_malformed_names_are_refused(name):
    with pytest.raises(ValueError, match="metric name"):
        MetricRegistry().group(job_id="j").counter(name)


def test_a_name_of_our_own_has_its_kind_and_its_help_text():
    registry = MetricRegistry()
    group = registry.group(job_id="j")
    group.counter("records_in")
    assert "# HELP lesto_records_in_total Records that arrived." in registry.text()
    with pytest.raises(ValueError, match="is a gauge of Lesto's own"):
        group.counter("watermark_seconds")


def test_unbounded_labels_are_refused():
    with pytest.raises(ValueError, match="key"):
        MetricRegistry().group(job_id="j", key="user-17")


def test_a_name_is_of_one_kind():
    group = MetricRegistry().group(job_id="j")
    group.counter("a")
    with pytest.raises(ValueError, match="Counter"):
        group.meter("a")


def test_the_number_of_series_is_bounded(monkeypatch):
    monkeypatch.setattr(metrics_module, "MAX_SERIES", 2)
    registry = MetricRegistry()
    registry.group(job_id="1").counter("a")
    registry.group(job_id="2").counter("a")
    with pytest.raises(ValueError, match="not bounded"):
        registry.group(job_id="3").counter("a")


def test_a_closed_group_leaves_nothing_and_frees_its_place():
    registry = MetricRegistry()
    job = registry.group(job_id="j")
    job.child(task="t").child(subtask=1).counter("records_in").inc()
    registry.group(job_id="other").counter("records_in").inc()
    job.close()
    assert list(samples(registry)) == [("lesto_records_in_total", ("job_id", "other"))]
    assert len(registry.snapshot()) == 1


def test_a_broken_gauge_hides_no_other_and_is_logged_once(caplog):
    registry = MetricRegistry()

    def broken():
        raise ZeroDivisionError

    registry.group(job_id="j").gauge("bad", broken)
    registry.group(job_id="j").counter("good").inc()
    assert [key[0] for key in samples(registry)] == ["lesto_good_total"]
    registry.text()
    assert len([r for r in caplog.records if "bad" in r.getMessage()]) == 1


def test_an_increment_is_cheap():
    counter = Counter()
    best = min(timeit.repeat(lambda: counter.inc(5), number=20_000, repeat=10)) / 20_000
    assert best < 1e-6, f"{best * 1e9:.0f} ns"  # 45 ns measured; a lock costs ten times that


def test_a_scrape_while_metrics_come_and_go():
    registry = MetricRegistry()
    stop = threading.Event()

    def churn():
        number = 0
        while not stop.is_set():
            number += 1
            group = registry.group(job_id="j", task=number % 50)
            group.counter("records_in").inc()
            group.distribution("seconds").update(number)
            group.close()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(50):
            registry.text()
    finally:
        stop.set()
        thread.join()


def test_a_meter_knows_its_rate():
    meter = metrics_module.Meter()
    assert meter.rate(now=100.0) == 0
    meter.mark(500)
    assert meter.rate(now=105.0) == 100
    assert meter.rate(now=400.0) == pytest.approx(0, abs=2)


def test_the_endpoint_serves_and_stops():
    registry = MetricRegistry()
    registry.group(job_id="j").counter("records_in").inc(3)
    address, stop = serve_metrics(registry)
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as response:
            assert "lesto_records_in_total" in response.read().decode()
            assert response.headers["Content-Type"].startswith("text/plain")
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            urllib.request.urlopen(f"http://{address}/etc/passwd", timeout=60)
        caught.value.close()
        port = int(address.rpartition(":")[2])
        with pytest.raises(MetricsPortError, match="metrics"):
            serve_metrics(registry, port=port)
    finally:
        stop()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{address}/metrics", timeout=60)


def test_users_groups_and_names_become_labels_and_prometheus_names():
    registry = MetricRegistry()
    task = registry.group(job_id="j", task="t", subtask=0)
    task_labels = (("job_id", "j"), ("subtask", "0"), ("task", "t"))
    user = UserMetricGroup(task)
    user.add_group("all").add_group("rules").counter("numLate-Events").inc(2)
    user.add_group("day", "monday").counter("num_late_events").inc(3)
    user.gauge("queue.size", lambda: 4)
    user.gauge("recordsIn", lambda: 5)
    assert dict(samples(registry))["lesto_user_records_in", *task_labels] == 5, "records_in is ours"
    found = {name: value for (name, *_), value in samples(registry).items()}
    assert found["lesto_queue_size"] == 4
    late = {labels: value for (name, labels), value in freeze(samples(registry)) if "late" in name}
    assert sorted(late.values()) == [2, 3]
    assert any(("group", "all.rules") in labels for labels in late)
    assert any(("day", "monday") in labels for labels in late)
    with pytest.raises(ValueError, match="own"):
        user.add_group("subtask", "7")
    with pytest.raises(ValueError, match="letter"):
        user.counter("--")
    task.close()
    assert samples(registry) == {}


def freeze(found):
    return [((name, tuple(labels)), value) for (name, *labels), value in found.items()]

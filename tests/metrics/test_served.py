"""Every metric of the table is served by a running cluster, with its labels and sense."""

import re
import urllib.request
from collections import defaultdict

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.minicluster import MiniCluster
from lesto.common import Configuration, options
from lesto.common.metric_table import DESCRIPTIONS, LIBRARY_METRICS, MetricKind

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok(
        "the cluster of these tests makes threads as they are needed", only=("threads",)
    ),
]

#: What these jobs have not: their own tests look at it.
ELSEWHERE = {
    "source_pending_records",  # needs Kafka
    "lookup_last_load_seconds",
    "lookup_cache_hits",
    "lookup_cache_misses",
    "lookup_loads",
    "lookup_load_failures",
    "lookup_cached_keys",
    "num_null_row_time_records_dropped",
    "retractions_ignored",
}


def scrape(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return [
            (family, sample.name, sample.labels, sample.value)
            for family in families
            for sample in family.samples
        ]


def scrape_all(world):
    """All samples by name; addresses come from the service discovery."""
    targets = [target for entry in world.get("/prometheus/targets") for target in entry["targets"]]
    found = defaultdict(list)
    for address in (world.rest, *targets):
        for family, name, labels, value in scrape(address):
            found[name].append((family, labels, value))
    return found


def base_name(name):
    """As the table has it."""
    return re.sub(r"_(total|count|sum)$", "", name.removeprefix("lesto_"))


def test_what_is_described_is_served(world):
    found = scrape_all(world)
    served = {base_name(name) for name in found if name.startswith("lesto_")}
    own = {"seen"}  # the job's own
    assert served - DESCRIPTIONS.keys() == own
    assert DESCRIPTIONS.keys() - served <= ELSEWHERE
    assert LIBRARY_METRICS.keys() <= found.keys()


def test_labels_kinds_and_help_are_as_described(world):
    kinds = {
        MetricKind.COUNTER: "counter",
        MetricKind.GAUGE: "gauge",
        MetricKind.SUMMARY: "summary",
    }
    for name, samples in scrape_all(world).items():
        described = DESCRIPTIONS.get(base_name(name))
        if not name.startswith("lesto_") or described is None:
            continue
        for family, labels, _ in samples:
            assert labels.keys() - {"quantile"} == set(described.all_labels), name
            assert family.type == kinds[described.kind], name
            assert family.documentation == described.help, name


def test_a_functions_own_group_is_a_label(world):
    for _, labels, value in scrape_all(world)["lesto_seen_total"]:
        assert labels["rules"] == "all"
        assert value > 0


def test_numbers_make_sense(world):
    found = scrape_all(world)

    def values(name, **labels):
        return [v for _, ls, v in found[name] if labels.items() <= ls.items()]

    job = {"job_id": world.job_id}
    assert values("lesto_job_restarts_total", **job) == [1]
    assert values("lesto_job_running", **job) == [1]
    (up,) = values("lesto_job_uptime_seconds", **job)
    (running,) = values("lesto_job_state_seconds_total", state="RUNNING", **job)
    assert 0 < up < running
    (restored,) = values("lesto_job_last_restore_timestamp_seconds", **job)
    (completed,) = values("lesto_job_last_checkpoint_completed_timestamp_seconds", **job)
    assert restored < completed
    assert values("lesto_job_checkpoint_interval_seconds", **job) == [0.2]
    assert values("lesto_job_last_checkpoint_metadata_bytes", **job)[0] > 500
    assert values("lesto_job_last_checkpoint_size_bytes", **job)[0] > 0
    assert sum(values("lesto_restored_bytes", **job)) > 0
    assert max(values("lesto_restore_seconds", **job)) > 0
    assert min(values("lesto_initialization_seconds", **job)) > 0
    assert sum(values("lesto_timers_fired_total", **job)) > 0
    assert sum(values("lesto_sink_committables_committed_total", **job)) > 0
    assert sum(values("lesto_num_dead_letters_total", **job)) > 0
    assert sum(values("lesto_state_rocksdb_sst_bytes", **job)) > 0
    assert sum(values("lesto_state_entries", **job)) > 0
    for name in ("records", "batches", "bytes"):
        assert sum(values(f"lesto_{name}_in_total", **job)) > 0
        assert sum(values(f"lesto_{name}_out_total", **job)) > 0
    for time in ("busy", "idle"):
        assert sum(values(f"lesto_{time}_seconds_total", **job)) > 0
    assert min(values("lesto_backpressured_seconds_total", **job)) >= 0
    assert all(v < 1e6 for v in values("lesto_watermark_seconds", **job)), "seconds of 1970"
    assert all(v > 1e9 for v in values("lesto_watermark_lag_seconds", **job))
    assert {ls["subtask"] for _, ls, _ in found["lesto_records_in_total"]} == {"0", "1"}
    assert {ls["input"] for _, ls, _ in found["lesto_input_watermark_seconds"]} == {"0"}
    assert min(values("lesto_input_window_bytes", **job)) > 0
    assert values("lesto_jobmanager_leading") == [1]
    assert values("lesto_taskmanager_disk_free_bytes")[0] > 0
    assert len(values("lesto_slot_tasks")) == 4


def test_targets_are_labelled(world):
    entries = world.get("/prometheus/targets")
    kinds = [entry["labels"]["process"] for entry in entries]
    assert sorted(kinds) == ["slot"] * 4 + ["taskmanager"]
    assert all("taskmanager" in entry["labels"] for entry in entries)


def test_no_port_no_endpoint():
    config = Configuration.from_dict({options.METRICS_PORT.key: -1})
    with MiniCluster(config, slots=1) as cluster:
        cluster.wait_ready()
        with JobManagerClient(cluster.address, cluster.token) as client:
            (worker,) = client.cluster().taskmanagers
    assert worker.metrics_address == ""
    assert [slot.metrics_address for slot in worker.slots] == [""]

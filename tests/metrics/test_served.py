"""Every metric that docs/metrics.md names is served by a running job, with its labels and sense."""

import re
import time
import urllib.request
from collections import defaultdict
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.minicluster import MiniCluster
from lesto.client.run_options import RunOptions
from lesto.common import Configuration, Duration, RestartStrategies, WatermarkStrategy, options
from lesto.common.expressions import col, count
from lesto.connectors.datagen import DataGenSource, pool, sequence
from lesto.connectors.memory.blackhole import BlackholeSink
from lesto.datastream import ProcessFunction, StreamExecutionEnvironment
from lesto.datastream.window import TumblingEventTimeWindows
from lesto.jobmanager.server.rest.server import RestServer

pytestmark = pytest.mark.cluster

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| (?P<names>`.+?`) \| (?P<labels>[^|]*)\|")
WAIT_SECONDS = 40


def documented():
    """Name to labels, of each row of the page's tables."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if row := ROW.match(line):
            labels = {label.strip() for label in row["labels"].split(",")} - {""}
            found.update(dict.fromkeys(re.findall(r"`(\w+)`", row["names"]), labels))
    return found


class FailsOnce(ProcessFunction):
    def open(self, runtime_context):
        self.first = runtime_context.get_attempt_number() == 0

    def process_element(self, value, ctx):
        if self.first:
            msg = "once"
            raise ValueError(msg)
        yield value


def submit(cluster):
    settings = {
        "security.token": cluster.token,
        "execution.checkpointing.local-backup.enabled": "true",
        "execution.state-recovery.from-local": "true",
    }
    config = Configuration.from_dict(settings)
    env = StreamExecutionEnvironment(config, RunOptions(jobmanager=cluster.address))
    env.set_parallelism(2).enable_checkpointing(200)
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(3, 0))
    source = DataGenSource({"t": sequence(), "k": pool(10)}, rows_per_second=20_000)
    watermarks = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(10))
    watermarks = watermarks.with_watermark_alignment("measured", Duration.of_seconds(10))
    stream = env.from_source(source, watermarks.with_timestamp_column("t"), "endless")
    windows = stream.key_by("k").window(TumblingEventTimeWindows.of(Duration.of_millis(100)))
    windows.agg(count().alias("n"), col("t").max().alias("last")).sink_to(BlackholeSink())
    stream.process(FailsOnce()).sink_to(BlackholeSink())
    return env.execute_async("measured")


def scrape(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return [(s.name, s.labels, s.value) for family in families for s in family.samples]


def scrape_all(client, rest):
    """All samples, by the kind of process that serves them."""
    workers = client.cluster().taskmanagers
    slots = [slot.metrics_address for worker in workers for slot in worker.slots]
    return {
        "jobmanager": scrape(rest),
        "taskmanager": [s for worker in workers for s in scrape(worker.metrics_address)],
        "slot": [s for address in slots for s in scrape(address)],
    }


def by_name(samples):
    found = defaultdict(list)
    for name, labels, value in samples:
        found[name].append((labels, value))
    return found


@pytest.fixture
def measured():
    with MiniCluster(Configuration(), slots=2) as cluster:
        cluster.wait_ready()
        config = Configuration.from_dict({options.REST_PORT.key: 0})
        rest = RestServer(config)
        with JobManagerClient(cluster.address, cluster.token) as client:
            address = rest.start(client)
            try:
                with submit(cluster) as job:
                    yield client, address, documented()
                    job.cancel_and_wait()
            finally:
                rest.stop()


def test_what_is_documented_is_served(measured):
    client, rest, names = measured
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        served = scrape_all(client, rest)
        found = by_name(s for samples in served.values() for s in samples)
        missing = names.keys() - found.keys()
        if not missing and sum(v for _, v in found["lesto_checkpoints_total"]) >= 4:
            break
        assert time.monotonic() < deadline, f"not served: {sorted(missing)}"
        time.sleep(0.2)

    for name, labels in names.items():
        for sample_labels, _ in found[name]:
            assert labels <= sample_labels.keys(), name
    ours = {re.sub(r"_(count|sum)$", "", name) for name in found if name.startswith("lesto_")}
    assert ours <= names.keys(), "served, but not in docs/metrics.md"
    check_sense(by_name(served["jobmanager"]), by_name(served["slot"]))
    source = client.job(client.jobs()[0].job_id).vertices[0]
    assert "Source" in source.name
    assert source.records_in > 0, "REST and the live table show what a source has read"


def check_sense(jobmanager, slot):
    def total(name):
        return sum(value for _, value in slot[name])

    (restarts,) = [value for _, value in jobmanager["lesto_job_restarts_total"]]
    assert restarts >= 1
    assert [value for _, value in jobmanager["lesto_job_running"]] == [1]
    assert jobmanager["lesto_job_last_checkpoint_duration_seconds"][0][1] > 0
    assert jobmanager["lesto_job_last_checkpoint_size_bytes"][0][1] > 0
    assert total("lesto_records_in_total") > 0
    assert total("lesto_bytes_in_total") > 0
    assert total("lesto_bytes_out_total") > 0
    assert total("lesto_busy_seconds_total") > 0
    assert total("lesto_idle_seconds_total") > 0
    assert total("lesto_backpressured_seconds_total") >= 0
    assert total("lesto_checkpoint_duration_seconds") > 0
    assert total("lesto_checkpoint_size_bytes") > 0
    assert all(value < 1e6 for _, value in slot["lesto_watermark_seconds"]), "seconds of 1970"
    assert {labels["subtask"] for labels, _ in slot["lesto_records_in_total"]} == {"0", "1"}


def test_no_port_no_endpoint():
    config = Configuration.from_dict({options.METRICS_PORT.key: -1})
    with MiniCluster(config, slots=1) as cluster:
        cluster.wait_ready()
        with JobManagerClient(cluster.address, cluster.token) as client:
            (worker,) = client.cluster().taskmanagers
    assert worker.metrics_address == ""
    assert [slot.metrics_address for slot in worker.slots] == [""]

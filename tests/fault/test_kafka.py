"""The short form of ``kafka_kills``."""

import pytest
from kafka_broker import missing

pytestmark = [
    pytest.mark.fault,
    pytest.mark.kafka,
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(240),
]


def test_kafka_to_kafka_is_exact_under_kills_of_slots_the_jobmanager_and_the_broker(tmp_path):
    pytest.importorskip("confluent_kafka", reason="pip install 'lesto[kafka]'")
    if why := missing():
        pytest.skip(why)
    from tests.fault.kafka_kills import one_run, violations

    report = one_run(
        tmp_path, kills=3, rate=3_000, kinds=("slot", "broker", "jobmanager"),
        seed=3, interval="300ms", pause=(0.3, 1.0), quiet=True,
    )  # fmt: skip
    assert not violations(report), report
    assert report["restarts"] >= 1
    assert report["records"] == report["fed"] > 3_000

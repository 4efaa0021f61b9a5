"""The program of PyFlink that reads and writes JSON in Kafka, with its imports replaced."""

import json
import os
import subprocess
import sys

import pytest

from tests.contract.test_ported import ported

SECONDS = 90


@pytest.mark.timeout(SECONDS + 60)
def test_json_from_topic_to_topic(broker, topic, tmp_path):
    target = broker.create_topic(f"{topic}-out", 1)
    people = [{"id": i, "name": f"name {i}"} for i in range(20)]
    broker.produce(topic, [json.dumps(person).encode() for person in people])
    done = subprocess.run(
        [sys.executable, ported("kafka_json", tmp_path), broker.address, topic, target],
        env={k: v for k, v in os.environ.items() if not k.startswith("LESTO_")},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "add_jars changes nothing in Lesto" in done.stderr
    found = sorted((json.loads(m.value()) for m in broker.read(target)), key=lambda p: p["id"])
    assert found == [{"id": p["id"] + 1, "name": p["name"].upper()} for p in people]

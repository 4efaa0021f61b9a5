"""Kafka source to a sink that drops everything, and a source of ours to Kafka, with a real broker.

    python benchmarks/kafka.py --rows 3000000

JSON messages of 100 bytes into Arrow columns, the same as raw bytes, on an embedded cluster of one
and two slots; and exactly-once writing of JSON. The broker runs on the same machine. Prints one
line of JSON: records a second of wall time, and CPU microseconds a record of everything but the
broker.
"""

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

import pyarrow as pa

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from kafka_broker import KafkaBroker, missing  # noqa: E402

from lesto.common import WatermarkStrategy  # noqa: E402
from lesto.connectors.datagen import DataGenSource, pool, sequence  # noqa: E402
from lesto.connectors.kafka import KafkaSink, KafkaSource  # noqa: E402
from lesto.connectors.memory.blackhole import BlackholeSink  # noqa: E402
from lesto.datastream import StreamExecutionEnvironment  # noqa: E402

SCHEMA = pa.schema([("id", pa.int64()), ("key", pa.string()), ("value", pa.int64())])
MESSAGE_BYTES = 100


def fill(broker, topic, rows):
    """Messages of 100 bytes, in two partitions."""
    pad = "x" * (MESSAGE_BYTES - len('{"id":1234567890,"key":"k123456","value":12345678,"pad":""}'))
    step = 100_000
    for lo in range(0, rows, step):
        values = [
            f'{{"id":{i:>10},"key":"k{i % 1000:06d}","value":{i:>8},"pad":"{pad}"}}'.encode()
            for i in range(lo, min(rows, lo + step))
        ]
        broker.produce(topic, values, partition=lo // step % 2)


def run(build, parallelism):
    """Wall and CPU seconds of a job."""
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(parallelism)
    build(env)
    before = _cpu()
    begin = time.monotonic()
    env.execute("kafka")
    return time.monotonic() - begin, _cpu() - before


def _cpu():
    """CPU seconds of this process and of its children that have ended."""
    both = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in both)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=2_000_000)
    args = parser.parse_args()
    if why := missing():
        raise SystemExit(why)
    figures = {"rows": args.rows, "load": os.getloadavg()[0]}
    with KafkaBroker() as broker:
        broker.create_topic("input", 2)
        broker.create_topic("output", 2)
        fill(broker, "input", args.rows)

        def reading(**options):
            def build(env):
                source = KafkaSource("input", broker.address, stop="latest", **options)
                none = WatermarkStrategy.no_watermarks()
                env.from_source(source, none, "kafka").sink_to(BlackholeSink())

            return build

        def writing(env):
            fields = {"id": sequence(), "key": pool(1000), "value": sequence()}
            source = DataGenSource(fields, rows=args.rows)
            sink = KafkaSink("output", broker.address, key="key", transactional_id_prefix="bench")
            none = WatermarkStrategy.no_watermarks()
            env.from_source(source, none, "records").sink_to(sink)

        jobs = {
            "json_to_columns": reading(format="json", schema=SCHEMA),
            "raw": reading(format="raw"),
            "exactly_once_json": writing,
        }
        for name, build in jobs.items():
            for parallelism in (1, 2):
                wall, cpu = run(build, parallelism)
                figures[f"{name}_p{parallelism}"] = {
                    "records_per_second": round(args.rows / wall),
                    "wall_seconds": round(wall, 2),
                    "cpu_us_per_record": round(cpu * 1e6 / args.rows, 3),
                }
                print(name, parallelism, figures[f"{name}_p{parallelism}"], flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

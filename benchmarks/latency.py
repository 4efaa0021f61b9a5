"""Latency from source to sink through a keyed shuffle with state, at a steady rate, default
settings.

    python benchmarks/latency.py --form rows --rate 10000 --seconds 20

Each record is stamped when it leaves the source (columns: when it is made; rows: in a map behind
the source); the sink takes the difference when it gets the record. Two slots on an embedded
cluster. The first seconds are left out. Prints one line of JSON, in milliseconds.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from instruments import record_fields

from lesto.common import Configuration, WatermarkStrategy
from lesto.common.elements import ColumnarBatch, Form
from lesto.common.expressions import col
from lesto.common.sink import Sink, SinkWriter
from lesto.connectors.datagen import DataGenSource
from lesto.connectors.datagen.fields import Field
from lesto.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from lesto.datastream.state import ValueStateDescriptor

PARALLELISM = 2
WARM_UP_SECONDS = 3
PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "p99_9": 99.9, "max": 100}


class Now(Field):
    """The moment at which a record is made, in ns of the monotonic clock."""

    @property
    def type(self):
        return pa.int64()

    def generate(self, positions):
        return pa.array(np.full(len(positions), time.monotonic_ns()))


class Running(KeyedProcessFunction):
    """A running sum beside the stamp."""

    def open(self, runtime_context):
        self.total = runtime_context.get_state(ValueStateDescriptor("sum"))

    def process_element(self, record, ctx):
        key, value, stamp = record
        total = (self.total.value() or 0) + value
        self.total.update(total)
        yield key, total, stamp


class LatencySink(Sink):
    """Keeps how old each record is when it comes; writes it down when the job ends."""

    input_form = Form.ANY

    def __init__(self, folder):
        self.folder = folder

    def create_writer(self, context):
        return _LatencyWriter(f"{self.folder}/latency-{context.subtask}.npy")


class _LatencyWriter(SinkWriter):
    def __init__(self, path):
        self._path = path
        self._parts = []

    def write(self, batch):
        now = time.monotonic_ns()
        if isinstance(batch, ColumnarBatch):
            stamps = batch.data.column("stamp").to_numpy()
        else:
            stamps = np.array([stamp for _, _, stamp in batch.values])
        self._parts.append(np.stack([stamps, now - stamps]))

    def prepare_commit(self, checkpoint_id):
        return ()

    def close(self):
        if self._parts:
            np.save(self._path, np.concatenate(self._parts, axis=1))


def build(env, args, folder):
    fields = record_fields()
    if args.form == "columnar":
        fields["stamp"] = Now()
    source = DataGenSource(fields, rows=args.rate * args.seconds, rows_per_second=args.rate)
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("at")
    records = env.from_source(source, strategy, "records")
    if args.form == "columnar":
        aggregates = col("value").sum().alias("total"), col("stamp").last().alias("stamp")
        results = records.key_by("key").agg(*aggregates)
    else:
        stamped = records.map(lambda record: (record.key, record.value, time.monotonic_ns()))
        results = stamped.key_by(lambda record: record[0]).process(Running())
    results.sink_to(LatencySink(folder))


def run(args, folder):
    """Run once; ms by percentile."""
    config = {"parallelism.default": str(PARALLELISM), **dict(o.split("=", 1) for o in args.option)}
    env = StreamExecutionEnvironment(Configuration.from_dict(config))
    build(env, args, folder)
    env.execute(f"latency {args.form}")
    stamps, ages = np.concatenate([np.load(p) for p in Path(folder).glob("latency-*.npy")], axis=1)
    if len(stamps) != args.rate * args.seconds:
        raise SystemExit(f"{len(stamps)} records came of {args.rate * args.seconds}")
    ages = ages[stamps > stamps.min() + WARM_UP_SECONDS * 1_000_000_000] / 1e6
    return {
        "benchmark": "latency",
        "form": args.form,
        "rate": args.rate,
        "records": len(ages),
        **{name: round(float(np.percentile(ages, p)), 3) for name, p in PERCENTILES.items()},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--form", choices=["columnar", "rows"], default="rows")
    parser.add_argument("--rate", type=int, default=10_000, help="records a second, all sources")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--option", "-D", action="append", default=[], help="key=value")
    args = parser.parse_args()
    if args.seconds <= WARM_UP_SECONDS:
        parser.error(f"--seconds must be over {WARM_UP_SECONDS}")
    with tempfile.TemporaryDirectory(prefix="lesto-bench-") as folder:
        print(json.dumps(run(args, folder)))


if __name__ == "__main__":
    main()

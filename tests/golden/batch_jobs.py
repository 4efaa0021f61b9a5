"""Functions of whole batches: each method, each form, and event time behind them."""

from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa

from lesto.common import OutputTag, Time, Types, WatermarkStrategy, col
from lesto.common.expressions import count, window_start
from lesto.datastream import ProcessFunction
from lesto.datastream.window import TumblingEventTimeWindows
from tests.golden.harness import Golden, split_by_key
from tests.golden.row_jobs import EVENTS

SCHEMA = pa.schema([("k", pa.string()), ("v", pa.int64()), ("t", pa.int64())])
NAMED = Types.ROW_NAMED(["k", "v"], [Types.STRING(), Types.LONG()])
SIZE = 500
THREES = OutputTag("threes", NAMED)


def not_by_seven(v: np.ndarray) -> np.ndarray:
    return v % 7 != 0


def doubled(df: pd.DataFrame) -> pd.DataFrame:
    return df.assign(v=df["v"] * 2)[["k", "v"]]


def again(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, np.ndarray]:
    """Records whose value four divides, twice."""
    values = batch.column("v").to_numpy()
    indices = np.repeat(np.arange(len(values)), np.where(values % 4 == 0, 2, 1))
    return batch.take(pa.array(indices)), indices


class Split(ProcessFunction):
    def process_element(self, batch: pa.RecordBatch, ctx):
        threes = batch.column("v").to_numpy() % 3 == 0
        for chosen, tag in ((~threes, None), (threes, THREES)):
            indices = np.flatnonzero(chosen)
            part = batch.take(pa.array(indices)), indices
            yield part if tag is None else (tag, part)


def batches(stage):
    splits = split_by_key(EVENTS, lambda r: r[0], 3, 5)
    splits = [[[dict(zip("kvt", r, strict=True)) for r in b] for b in s] for s in splits]
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(400).with_timestamp_column("t")
    parts = (
        stage.source(splits, schema=SCHEMA, strategy=strategy)
        .filter(not_by_seven)
        .map(doubled, NAMED)
        .rebalance()
        .flat_map(again, NAMED)
        .process(Split(), NAMED)
    )
    return counted(parts, 1).union(counted(parts.get_side_output(THREES), -1))


def counted(stream, sign):
    windows = stream.key_by("k").window(TumblingEventTimeWindows.of(Time.milliseconds(SIZE)))
    found = windows.agg(start=window_start(), n=count(), total=col("v").sum())
    return found.select(
        "k", col("start").cast("int64").alias("start"), "n", total=col("total") * sign
    )


def batches_model():
    n, total = Counter(), Counter()
    for k, v, t in EVENTS:
        if v % 7:
            times = 2 if v * 2 % 4 == 0 else 1
            sign = -1 if v % 3 == 0 else 1
            n[k, t - t % SIZE, sign] += times
            total[k, t - t % SIZE, sign] += times * v * 2
    return [(k, start, n[k, start, s], total[k, start, s] * s) for k, start, s in n]


JOBS = [Golden("batches", batches, batches_model, sink="jsonl", backends=("hashmap", "rocksdb"))]

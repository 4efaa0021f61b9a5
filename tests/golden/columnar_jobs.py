"""Jobs of columns: expressions, running and windowed aggregates, files in every format."""

import json
import random
from collections import defaultdict

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from lesto.common import OutputTag, Time, Types, WatermarkStrategy, col, lit
from lesto.common.expressions import count, window_end, window_start
from lesto.connectors.files import CsvFormat, FileSource, JsonLinesFormat, ParquetFormat
from lesto.datastream.window import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from tests.golden.harness import Brake, Golden, batches, split_by_key
from tests.golden.window_jobs import (
    AT_ONCE,
    GAP,
    LATENESS,
    SIZE,
    late_batches,
    late_model,
    session_groups,
    sliding_windows_of,
)

SCHEMA = pa.schema(
    [("id", pa.int64()), ("k", pa.string()), ("g", pa.int32()), ("v", pa.int64()),
     ("f", pa.float64()), ("t", pa.int64())]
)  # fmt: skip


def _records():
    rng = random.Random(3)
    out = []
    for i in range(720):
        out.append(
            {
                "id": i,
                "k": rng.choice(["", "a", "bb", "\N{SNOWMAN}", 'a,b "q"', "zz"]),
                "g": rng.choice([-1, 0, 7]),
                "v": rng.choice([None, *range(-50, 50)]),
                "f": rng.randrange(-64, 64) / 8,
                "t": -3_000 + i * 10 + rng.randint(-200, 0),
            }
        )
    return out


RECORDS = _records()
NULL_KEYS = [{**r, "k": None if r["k"] == "zz" else r["k"]} for r in RECORDS]
TIME = WatermarkStrategy.for_bounded_out_of_orderness(300).with_timestamp_column("t")
FILES = 24


def table(records):
    return pa.Table.from_pylist(records, schema=SCHEMA)


def files(stage, name, write):
    """``FILES`` files in order of time, unless an earlier stage has written them."""
    folder = stage.folder / name
    if not folder.exists():
        folder.mkdir()
        for i, part in enumerate(batches(RECORDS, len(RECORDS) // FILES)):
            write(part, folder / f"{i:03d}.{name}")
    return str(folder)


def _csv(records, path):
    pa.csv.write_csv(table(records), path)


def _jsonl(records, path):
    path.write_text("".join(f"{json.dumps(r)}\n" for r in records), "utf-8")


def _parquet(records, path):
    pa.parquet.write_table(table(records), path, row_group_size=7)


# ----------------------------------------------------------------- expressions; CSV in, CSV out


def expressions(stage):
    source = FileSource(files(stage, "csv", _csv), format=CsvFormat(SCHEMA))
    stream = stage.env.from_source(source, WatermarkStrategy.no_watermarks(), "csv")
    return (
        stream.filter(Brake(stage, 2))
        .filter((col("v").is_not_null() & (col("v") % 3 != 0)) | (col("k") == lit("")))
        .with_columns(
            (col("v").fill_null(0) * 2 + col("g")).alias("w"), k=col("k").concat("-", col("k"))
        )
        .rebalance()
        .select("id", "k", "w", (col("f") / 2).alias("half"), small=col("g") < 0)
    )


def expressions_model():
    out = []
    for r in RECORDS:
        if (r["v"] is not None and int(_remainder(r["v"])) != 0) or r["k"] == "":
            w = (r["v"] or 0) * 2 + r["g"]
            out.append((r["id"], f"{r['k']}-{r['k']}", w, r["f"] / 2, r["g"] < 0))
    return out


def _remainder(value):
    """Zero exactly when three divides; its sign is the evaluator's business."""
    return value % 3


def expressions_view(results):
    """CSV holds text."""
    return [
        (int(i), k, int(w), float(half), {"true": True, "false": False}[small])
        for i, k, w, half, small in results
    ]


# ------------------------------------------------------- running aggregates; JSON Lines in and out


def running(stage):
    source = FileSource(files(stage, "jsonl", _jsonl), format=JsonLinesFormat(SCHEMA))
    stream = stage.env.from_source(source, WatermarkStrategy.no_watermarks(), "jsonl")
    return (
        stream.filter(Brake(stage, 2))
        .key_by("k", "g")
        .agg(
            count().alias("n"), col("v").count().alias("nv"), col("v").sum().alias("total"),
            col("v").min().alias("least"), col("v").max().alias("most"),
            col("f").mean().alias("mean"),
        )
    )  # fmt: skip


def running_model():
    state, out = defaultdict(list), []
    for r in RECORDS:
        rows = state[r["k"], r["g"]]
        rows.append(r)
        out.append((r["k"], r["g"], len(rows)))
    for (k, g), rows in state.items():
        v = [r["v"] for r in rows if r["v"] is not None]
        mean = sum(r["f"] for r in rows) / len(rows)
        out.append((k, g, len(rows), len(v), sum(v), min(v), max(v), mean))
    return out


def running_view(results):
    """Files interleave freely: on the way only the numbers are fixed, at a key's end all is."""
    last = {}
    for r in results:
        last[r[:2]] = max(last.get(r[:2], r), r, key=lambda x: x[2])
    return [r[:3] for r in results] + list(last.values())


# -------------------------------------------- exact running aggregates by Flink's names, null keys


def sums(stage):
    splits = split_by_key(NULL_KEYS, lambda r: r["k"], 3, 6)
    stream = stage.source(splits, schema=SCHEMA)
    keyed = stream.key_by("k")
    total = keyed.sum("g").select("id", "k", "g", kind=lit("sum"))
    most = keyed.max("f").select("id", "k", g=(col("f") * 8).cast("int64"), kind=lit("max"))
    return total.select("id", "k", col("g").cast("int64").alias("g"), "kind").union(most)


def sums_model():
    out, first, total, most = [], {}, defaultdict(int), {}
    for r in NULL_KEYS:
        k = r["k"]
        first.setdefault(k, r["id"])
        total[k] += r["g"]
        most[k] = max(most.get(k, r["f"]), r["f"])
        out.append((first[k], k, total[k], "sum"))
        out.append((first[k], k, int(most[k] * 8), "max"))
    return out


# ------------------------------------------------------------------ windows; Parquet in and out


def tumbling(stage):
    folder = files(stage, "parquet", _parquet)
    source = FileSource(folder, format=ParquetFormat(["k", "g", "v", "f", "t"]))
    stream = stage.env.from_source(source, TIME, "parquet").filter(Brake(stage, 2))
    return (
        stream.key_by("k", "g")
        .window(TumblingEventTimeWindows.of(Time.milliseconds(600), Time.milliseconds(50)))
        .agg(
            window_start().alias("start"), count().alias("n"), col("v").sum().alias("total"),
            (col("f") * 2).max().alias("most"),
        )
        .select("k", "g", col("start").cast("int64").alias("start"), "n", "total", "most")
    )  # fmt: skip


def _grouped(records, keys, windows_of):
    found = defaultdict(list)
    for r in records:
        for start, end in windows_of(r["t"]):
            found[(*(r[k] for k in keys), start, end)].append(r)
    return found


def _sum(records):
    values = [r["v"] for r in records if r["v"] is not None]
    return sum(values) if values else None


def tumbling_model():
    found = _grouped(
        RECORDS, ("k", "g"), lambda t: [((t - 50) // 600 * 600 + 50, (t - 50) // 600 * 600 + 650)]
    )
    return [
        (k, g, start, len(rows), _sum(rows), max(r["f"] * 2 for r in rows))
        for (k, g, start, _), rows in found.items()
    ]


def sliding(stage):
    splits = split_by_key(NULL_KEYS, lambda r: r["k"], 2, 6)
    windows = SlidingEventTimeWindows.of(
        Time.milliseconds(2_000), Time.milliseconds(500), Time.milliseconds(130)
    )
    return (
        stage.source(splits, schema=SCHEMA, strategy=TIME)
        .key_by("k")
        .window(windows)
        .agg(
            start=window_start(), end=window_end(), n=count(), first=col("id").first(),
            last=col("id").last(), mean=col("f").mean(),
        )
        .with_columns(start=col("start").cast("int64"), end=col("end").cast("int64"))
    )  # fmt: skip


def sliding_model():
    return [
        (k, start, end, len(rows), rows[0]["id"], rows[-1]["id"],
         sum(r["f"] for r in rows) / len(rows))
        for (k, start, end), rows in _grouped(NULL_KEYS, ("k",), sliding_windows_of).items()
    ]  # fmt: skip


EVENT_SCHEMA = pa.schema([("k", pa.string()), ("v", pa.int64()), ("t", pa.int64())])


def _columns(splits):
    return [[[dict(zip("kvt", r, strict=True)) for r in b] for b in s] for s in splits]


def sessions(stage):
    from tests.golden.row_jobs import EVENTS

    splits = _columns(split_by_key(EVENTS, lambda r: r[0], 3, 5))
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(400).with_timestamp_column("t")
    return (
        stage.source(splits, schema=EVENT_SCHEMA, strategy=strategy)
        .key_by("k")
        .window(EventTimeSessionWindows.with_gap(Time.milliseconds(GAP)))
        .agg(start=window_start(), end=window_end(), n=count(), total=col("v").sum())
        .with_columns(start=col("start").cast("int64"), end=col("end").cast("int64"))
    )


def sessions_model():
    return [
        (key, start, end, len(group), sum(r[1] for r in group))
        for key, start, end, group in session_groups()
    ]


# ------------------------------------------------- late, and too late: the same as in Python values

LATE = OutputTag(
    "late", Types.ROW_NAMED(["k", "v", "t"], [Types.STRING(), Types.LONG(), Types.LONG()])
)


def late(stage):
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("t")
    source = stage.source(_columns([late_batches()]), schema=EVENT_SCHEMA, strategy=strategy)
    results = (
        source.set_parallelism(1)
        .key_by("k")
        .window(TumblingEventTimeWindows.of(Time.milliseconds(SIZE)))
        .allowed_lateness(LATENESS)
        .side_output_late_data(LATE)
        .agg(start=window_start(), n=count(), total=col("v").sum())
    )
    windows = results.map(lambda r: ("window", r.k, _millis(r.start), r.n, r.total))
    return windows.union(results.get_side_output(LATE).map(lambda r: ("late", r.k, r.v, r.t)))


def _millis(at):
    import datetime as dt

    epoch = dt.datetime(1970, 1, 1, tzinfo=at.tzinfo)
    return (at - epoch) // dt.timedelta(milliseconds=1)


JOBS = [
    Golden("expressions", expressions, expressions_model, sink="csv", view=expressions_view,
           middle=0.05),
    Golden("running", running, running_model, sink="jsonl", view=running_view, middle=0.05,
           backends=("rocksdb", "rocksdb")),
    Golden("sums", sums, sums_model, sink="parquet", backends=("hashmap", "rocksdb"), collect=True),
    Golden("columnar_tumbling", tumbling, tumbling_model, sink="parquet", middle=0.05,
           backends=("rocksdb", "rocksdb"), from_checkpoint=True),
    Golden("columnar_sliding", sliding, sliding_model, sink="parquet", collect=True,
           backends=("rocksdb", "hashmap")),
    Golden("columnar_sessions", sessions, sessions_model, sink="parquet",
           backends=("rocksdb", "rocksdb")),
    Golden("columnar_late", late, late_model, hold=0.6, at_hold=True, middle=0.1, options=AT_ONCE),
]  # fmt: skip

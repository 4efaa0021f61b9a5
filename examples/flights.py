"""Every departure from New York in 2013, in event time, written exactly once.

Reads 336,776 flights, and writes

* ``<output>/hourly``: departures and mean delay per hour and carrier (Parquet; tumbling windows),
and
* ``<output>/aircraft``: each aircraft's running total of delay (JSON Lines; keyed state in Python).

Run it with ``lesto run examples/flights.py [--output DIR]`` or ``python examples/flights.py``.
"""

import argparse
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from rich.console import Console
from rich.table import Table

from lesto.common import Duration, Row, Time, Types, WatermarkStrategy
from lesto.common.expressions import col, count, window_start
from lesto.connectors.files import FileSink, FileSource, ParquetFormat
from lesto.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from lesto.datastream.state import ValueStateDescriptor
from lesto.datastream.window import TumblingEventTimeWindows

DATA = Path(__file__).parent / "data" / "flights.parquet"
COLUMNS = ["carrier", "tailnum", "dep_time", "dep_delay", "minute", "time_hour"]


class TotalDelay(KeyedProcessFunction):
    """Adds up the delay of one aircraft."""

    def open(self, runtime_context):
        self.total = runtime_context.get_state(ValueStateDescriptor("total_delay", Types.LONG()))

    def process_element(self, flight, ctx):
        total = (self.total.value() or 0) + flight.dep_delay
        self.total.update(total)
        yield Row(tailnum=flight.tailnum, departed_ms=ctx.timestamp(), total_delay=total)


def build(env, output):
    """The pipeline: one source, two results."""
    departures = (
        env.from_source(
            FileSource(str(DATA), format=ParquetFormat(COLUMNS)),
            WatermarkStrategy.no_watermarks(),
            "flights",
        )
        .filter(col("dep_time").is_not_null())
        .with_columns((col("time_hour").cast(int) + col("minute") * 60_000).alias("departure_ms"))
        .assign_timestamps_and_watermarks(
            # The file is ordered by day, so a departure is at most a day late.
            WatermarkStrategy.for_bounded_out_of_orderness(
                Duration.of_hours(24)
            ).with_timestamp_column("departure_ms")
        )
    )

    (
        departures.key_by("carrier")
        .window(TumblingEventTimeWindows.of(Time.hours(1)))
        .agg(
            window_start().alias("hour"),
            count().alias("departures"),
            col("dep_delay").mean().alias("mean_delay"),
        )
        .sink_to(FileSink(f"{output}/hourly", "parquet"))
    )

    (
        departures.filter(col("tailnum").is_not_null())
        .key_by("tailnum")
        .process(TotalDelay())
        .sink_to(FileSink(f"{output}/aircraft", "jsonl"))
    )


def summarise(output):
    """Read the results back and show what was found."""
    console = Console()
    hourly = ds.dataset(f"{output}/hourly").to_table()
    weighted = hourly.append_column(
        "delay", pc.multiply(hourly["mean_delay"], hourly["departures"].cast(pa.float64()))
    )
    by_carrier = (
        weighted.group_by("carrier")
        .aggregate([("departures", "sum"), ("delay", "sum"), ("mean_delay", "max")])
        .sort_by([("departures_sum", "descending")])
    )
    table = Table(title="Departures from New York in 2013", title_justify="left")
    table.add_column("carrier")
    for name in ("departures", "mean delay, min", "worst hour, min"):
        table.add_column(name, justify="right")
    for row in by_carrier.to_pylist():
        mean = row["delay_sum"] / row["departures_sum"]
        table.add_row(
            row["carrier"],
            f"{row['departures_sum']:,}",
            f"{mean:.1f}",
            f"{row['mean_delay_max']:.0f}",
        )
    console.print(table)

    aircraft = ds.dataset(f"{output}/aircraft", format="json").to_table()
    last = aircraft.group_by("tailnum").aggregate([("total_delay", "max"), ("tailnum", "count")])
    worst = last.sort_by([("total_delay_max", "descending")]).slice(0, 5)
    table = Table(title="Aircraft with most delay", title_justify="left")
    table.add_column("aircraft")
    table.add_column("departures", justify="right")
    table.add_column("most total delay, min", justify="right")
    for row in worst.to_pylist():
        table.add_row(row["tailnum"], f"{row['tailnum_count']:,}", f"{row['total_delay_max']:,}")
    console.print(table)
    console.print(
        f"{pc.sum(hourly['departures']).as_py():,} departures in {hourly.num_rows:,} "
        "hourly results, "
        f"{aircraft.num_rows:,} running totals of {last.num_rows:,} aircraft, in {output}"
    )


def main():
    """Build, run, summarise."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--output", default="build/flights", help="directory of the results")
    args = parser.parse_args()
    output = Path(args.output).resolve()
    shutil.rmtree(output, ignore_errors=True)

    env = StreamExecutionEnvironment.get_execution_environment()
    build(env, output)
    env.execute("flights")
    summarise(output)


if __name__ == "__main__":
    main()

"""Collects what a slow source gives, and prints it: results that a client fetches under fault."""

import argparse

from lesto.common import WatermarkStrategy
from lesto.connectors.datagen import DataGenSource, sequence
from lesto.datastream import StreamExecutionEnvironment


def main():
    """Build, run, print one number a line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    args = parser.parse_args()
    env = StreamExecutionEnvironment.get_execution_environment()
    source = DataGenSource({"id": sequence()}, rows=args.rows, rows_per_second=args.rate)
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
    with stream.execute_and_collect("collect") as results:
        for row in results:
            print(row.id, flush=True)


if __name__ == "__main__":
    main()

"""A source of one's own in plain Python: the lines of a journal that grows, a file a day.

Run it with ``python examples/custom_source.py [FOLDER]``: it counts words by day until interrupted,
or, with ``--once``, until all files are read.
"""

import argparse
from pathlib import Path

from lesto.common import WatermarkStrategy
from lesto.connectors.plain import PlainSource
from lesto.datastream import StreamExecutionEnvironment


class Journal(PlainSource):
    """A part for each file ``*.log`` of a folder; the position is a byte in it."""

    discovery_ms = 500  # a new day, a new file

    def __init__(self, folder, bounded=False):
        self.folder = str(folder)
        self.bounded = bounded

    def parts(self):
        return sorted(path.name for path in Path(self.folder).glob("*.log"))

    def read(self, part, position, limit):
        records = []
        with open(Path(self.folder) / part, "rb") as file:
            file.seek(position or 0)
            while len(records) < limit and (line := file.readline()).endswith(b"\n"):
                records.append((part, line.decode().rstrip("\n")))
                position = file.tell()
        return records, position


def build(env, folder, bounded):
    """Words so far, by file."""
    lines = env.from_source(Journal(folder, bounded), WatermarkStrategy.no_watermarks(), "journal")
    return (
        lines.map(lambda record: (record[0], len(record[1].split())))
        .key_by(lambda record: record[0])
        .sum(1)
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", default=".")
    parser.add_argument("--once", action="store_true")
    arguments = parser.parse_args()
    env = StreamExecutionEnvironment.get_execution_environment()
    build(env, arguments.folder, arguments.once).print()
    env.execute("words of a journal")


if __name__ == "__main__":
    main()

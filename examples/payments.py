"""Payments, watched for cards that are used too often: a job to look at while it runs.

    lesto run -m 127.0.0.1:6123 -d -p 2 examples/payments.py OUTPUT-FOLDER

Generates payments until it is stopped. Each is written once to ``OUTPUT-FOLDER/payments`` with the
number of that card's payments so far; minutes in which a card was used suspiciously often go to
``OUTPUT-FOLDER/alerts``. Kill any process meanwhile: ``--check`` says whether each payment is there
exactly once.
"""

import argparse
import json
import time
from pathlib import Path

from lesto.common import Duration, WatermarkStrategy
from lesto.common.expressions import col, count
from lesto.common.typeinfo import Types
from lesto.connectors.datagen import DataGenSource, pool, random_int, sequence, timestamps
from lesto.connectors.files import FileSink
from lesto.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from lesto.datastream.state import ValueStateDescriptor
from lesto.datastream.window import TumblingEventTimeWindows

CARDS = 5_000
SUSPICIOUS_PER_MINUTE = 270


class Numbered(KeyedProcessFunction):
    """Numbers the payments of each card."""

    def open(self, runtime_context):
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", Types.LONG()))

    def process_element(self, payment, ctx):
        number = (self.seen.value() or 0) + 1
        self.seen.update(number)
        yield {"id": payment.id, "card": payment.card, "number": number, "cents": payment.cents}


def build(env, folder, rate):
    """Payments to two folders of files."""
    fields = {
        "id": sequence(),
        "card": pool(CARDS, prefix="card-"),
        "cents": random_int(100, 50_000),
        "at": timestamps(rate, start_ms=int(time.time() * 1000)),
    }
    source = DataGenSource(fields, rows_per_second=rate)
    clock = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(1))
    payments = env.from_source(source, clock.with_timestamp_column("at"), "payments")
    by_card = payments.key_by("card")
    numbered = by_card.process(Numbered()).name("number per card").uid("numbered")
    numbered.map(json.dumps).sink_to(FileSink(f"{folder}/payments", "text")).name("payment files")
    minutes = by_card.window(TumblingEventTimeWindows.of(Duration.of_minutes(1)))
    often = minutes.agg(count().alias("payments")).filter(col("payments") > SUSPICIOUS_PER_MINUTE)
    often.sink_to(FileSink(f"{folder}/alerts", "jsonl")).name("alert files")


def check(folder, sources):
    """Read what was published, and say what is missing or there twice.

    Each of the first run's source subtasks makes every ``sources``-th id: up to the highest of its
    ids each one has to be there, whoever has read on from it since.
    """
    ids = []
    for path in sorted(Path(folder, "payments").rglob("part-*")):
        ids += [json.loads(line)["id"] for line in path.read_text().splitlines()]
    twice = len(ids) - len(set(ids))
    lanes = [{number for number in ids if number % sources == lane} for lane in range(sources)]
    missing = sum(max(lane) // sources + 1 - len(lane) for lane in lanes if lane)
    print(f"{len(ids):,} payments: {twice:,} twice, {missing:,} missing")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--rate", type=int, default=20_000, help="payments a second")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--sources", type=int, default=2, help="of the first run, for --check")
    arguments = parser.parse_args()
    if arguments.check:
        check(arguments.folder, arguments.sources)
        return
    env = StreamExecutionEnvironment.get_execution_environment()
    env.enable_checkpointing(2_000)
    build(env, arguments.folder, arguments.rate)
    env.execute("payments")


if __name__ == "__main__":
    main()

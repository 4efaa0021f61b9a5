"""Jobs whose pages are looked at, well or ill: ``lesto run -d page_job.py NAME ...``."""

import sys
import time

from lesto.common import RestartStrategies, WatermarkStrategy
from lesto.common.time import Time
from lesto.connectors.datagen import RowGenSource
from lesto.connectors.memory.blackhole import BlackholeSink
from lesto.datastream import StreamExecutionEnvironment
from lesto.datastream.window import TumblingEventTimeWindows
from lesto.table import StreamTableEnvironment

AIRPORTS = ["FRA", "MUC", "JFK", "SFO", "NRT", "SYD", "GRU", "CPT"]


def flight(position):
    """One departure, now."""
    return (AIRPORTS[position % len(AIRPORTS)], position % 97, int(time.time() * 1000))


def departures(env, rows_per_second=200, rows=None):
    """Flights with event times of now."""
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(
        lambda record, _: record[2]
    )
    return env.from_source(RowGenSource(flight, rows, rows_per_second), strategy, "departures")


def weigh(record):
    """Takes the time of a model, without the CPU of one."""
    time.sleep(0.004)
    return record


def price(record):
    """Knows the price of the first airport alone."""
    prices = {"FRA": 10}
    return record[0], prices[record[0]]


def healthy(env):
    (
        departures(env)
        .filter(lambda record: record[1] > 3)
        .name("delayed only")
        .key_by(lambda record: record[0])
        .window(TumblingEventTimeWindows.of(Time.seconds(2)))
        .reduce(lambda a, b: (a[0], a[1] + b[1], max(a[2], b[2])))
        .name("delay by airport")
        .sink_to(BlackholeSink())
    )


def slow(env):
    env.set_parallelism(2)
    weighed = departures(env, 50_000).rebalance().map(weigh).name("weigh")
    names = weighed.rebalance().map(lambda record: record[0]).name("names")
    names.sink_to(BlackholeSink())


def failing(env):
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(10_000, 1_000))
    keyed = departures(env, 2).key_by(lambda record: record[0])
    keyed.map(price).name("price").sink_to(BlackholeSink())


def failed(env):
    env.set_restart_strategy(RestartStrategies.no_restart())
    departures(env, 50).map(price).name("price").sink_to(BlackholeSink())


def finished(env):
    departures(env, None, 1_000).key_by(lambda record: record[0]).sum(1).sink_to(BlackholeSink())


def sql(env):
    tables = StreamTableEnvironment.create(env)
    tables.execute_sql(
        "CREATE TABLE bids (auction BIGINT, price BIGINT, at TIMESTAMP(3),"
        " WATERMARK FOR at AS at - INTERVAL '1' SECOND) WITH ('connector' = 'datagen',"
        " 'rows-per-second' = '50', 'fields.auction.min' = '1', 'fields.auction.max' = '20')"
    )
    tables.execute_sql(
        "CREATE TABLE top (auction BIGINT, bids BIGINT, highest BIGINT)"
        " WITH ('connector' = 'blackhole')"
    )
    tables.execute_sql(
        "INSERT INTO top SELECT auction, COUNT(*), MAX(price) FROM bids GROUP BY auction"
    )


#: By name; some are there to be stopped and cancelled.
JOBS = {f.__name__: f for f in (healthy, slow, failing, failed, finished, sql)}
JOBS |= {"stopped": healthy, "cancelled": healthy}


def main(names):
    for name in names:
        env = StreamExecutionEnvironment.get_execution_environment()
        JOBS[name](env)
        if name != "sql":
            env.execute(name)


if __name__ == "__main__":
    main(sys.argv[1:])

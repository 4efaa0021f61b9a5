"""Submits many small jobs in one process: starting a client for each takes longer than they do."""

import time

from lesto.client.run_options import RunOptions
from lesto.common import WatermarkStrategy
from lesto.common.config import Configuration
from lesto.connectors.datagen import DataGenSource, sequence
from lesto.connectors.memory.blackhole import BlackholeSink
from lesto.datastream import StreamExecutionEnvironment

START_SECONDS = 300


def submit_all(cluster, count):
    """Start so many jobs and wait until all run; return their ids."""
    config = Configuration.from_dict({"security.token": cluster.token})
    for number in range(count):
        env = StreamExecutionEnvironment(config, RunOptions(jobmanager=cluster.address))
        env.set_parallelism(1).enable_checkpointing(5_000)
        source = DataGenSource({"t": sequence()}, rows_per_second=10)
        stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
        stream.sink_to(BlackholeSink())
        env.execute_async(f"job {number}")
    until = time.monotonic() + START_SECONDS
    while True:
        jobs = cluster.client.jobs()
        if sum(job.tasks_running for job in jobs) == count:
            return [job.job_id for job in jobs]
        assert time.monotonic() < until, [job.state for job in jobs]
        time.sleep(0.5)

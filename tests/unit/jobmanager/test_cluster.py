"""What a client that watches a job is told."""

import asyncio
from types import SimpleNamespace

from lesto.jobmanager.server.cluster import Cluster


def test_who_watches_a_job_hears_its_end_even_if_it_ends_while_the_last_news_is_on_its_way():
    async def scenario():
        ended = asyncio.Event()
        runner = SimpleNamespace(revision=0, ended=ended, ending=False)
        job = SimpleNamespace(
            runner=runner, details=lambda: "ended" if ended.is_set() else "cancelling"
        )
        dispatcher = SimpleNamespace(get=lambda _: job)

        async def changed_since(_revision, _seconds):
            assert ended.is_set(), "waits for a job that runs"

        runner.changed_since = changed_since
        cluster = Cluster("jm", dispatcher, None, None, None)
        told = []
        async for details in cluster.watch("job", 50):
            told.append(details)
            ended.set()
        return told

    assert asyncio.run(scenario()) == ["cancelling", "ended"]

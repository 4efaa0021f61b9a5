"""Enumerators on their thread: what they assign, in which order, and where their errors go."""

import asyncio
import contextlib
import queue

import cloudpickle
import pytest
from jobgraphs import pipeline

from lesto.common.clock import SystemClock
from lesto.common.source import Source, SplitEnumerator
from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.server.source_coordinator import SourceCoordinator


class Text(str):
    """A split that is its own id."""

    __slots__ = ()

    @property
    def split_id(self):
        return str(self)


class Scripted(Source):
    """A source whose enumerator calls a function of the test at each step."""

    def __init__(self, script):
        self.script = script

    def create_enumerator(self, context, checkpoint):
        return _Enumerator(self.script, context, checkpoint)

    def create_reader(self, context):
        raise NotImplementedError

    def serialize_split(self, split):
        return split.encode()

    def deserialize_split(self, data):
        return Text(data.decode())


class _Enumerator(SplitEnumerator):
    def __init__(self, script, context, checkpoint):
        self.script, self.context, self.checkpoint = script, context, checkpoint

    def start(self):
        self.script("start", self, None)

    def handle_split_request(self, subtask):
        self.script("request", self, subtask)

    def add_splits_back(self, splits, subtask):
        self.script("back", self, (splits, subtask))

    def discover(self):
        self.script("discover", self, None)

    def snapshot_state(self, checkpoint_id):
        self.script("snapshot", self, checkpoint_id)
        return b"state %d" % checkpoint_id

    def close(self):
        self.script("close", self, None)


@contextlib.asynccontextmanager
async def coordinator(script):
    posted = queue.Queue()
    graph = pipeline(2, source=cloudpickle.dumps(Scripted(script)))
    made = SourceCoordinator(graph, SystemClock(), posted.put)
    try:
        yield made, posted
    finally:
        made.close()
        await asyncio.to_thread(made._executor.shutdown)


async def take(posted):
    return await asyncio.to_thread(posted.get, timeout=60)


def assigned(attempt, subtask, *splits, end=False):
    return ev.SplitsAssigned(attempt, "numbers", subtask, splits, end)


def test_what_a_call_assigns_is_passed_on_in_order_with_the_snapshots():
    def script(step, enumerator, subtask):
        if step == "request":
            enumerator.context.assign_split(Text("a"), subtask)
            enumerator.context.assign_split(Text("b"), 1 - subtask)
            enumerator.context.assign_split(Text("c"), subtask)
            enumerator.context.signal_no_more_splits(1 - subtask)

    async def scenario():
        async with coordinator(script) as (sources, posted):
            sources.start(1, {})
            sources.handle_split_request(1, "numbers", 0)
            sources.snapshot(1, 7)
            sources.handle_split_request(1, "numbers", 1)
            got = [await take(posted) for _ in range(5)]
            assert got == [
                assigned(1, 0, b"a", b"c"),
                assigned(1, 1, b"b", end=True),
                ev.EnumeratorsSnapshotted(1, 7, {"numbers": b"state 7"}),
                assigned(1, 1, b"a", b"c"),
                assigned(1, 0, b"b", end=True),
            ]

    asyncio.run(scenario())


def test_requests_and_snapshots_of_an_older_attempt_are_ignored():
    def script(step, enumerator, subtask):
        if step == "request":
            enumerator.context.assign_split(Text("a"), subtask)

    async def scenario():
        async with coordinator(script) as (sources, posted):
            sources.start(1, {})
            sources.start(2, {})
            sources.handle_split_request(1, "numbers", 0)
            sources.snapshot(1, 1)
            sources.handle_split_request(2, "numbers", 1)
            assert await take(posted) == assigned(2, 1, b"a")
            assert posted.empty()

    asyncio.run(scenario())


def test_a_new_attempt_gets_its_checkpoints_state_and_the_old_enumerator_is_closed():
    seen = queue.Queue()

    async def scenario():
        _Recorder.seen = seen
        graph = pipeline(2, source=cloudpickle.dumps(Scripted(_Recorder.record)))
        made = SourceCoordinator(graph, SystemClock(), lambda _e: None)
        made.start(1, {})
        made.start(2, {"numbers": b"old"})
        made.close()
        await asyncio.to_thread(made._executor.shutdown)

    asyncio.run(scenario())
    got = [seen.get_nowait() for _ in range(seen.qsize())]
    assert got == [("start", None), ("close", None), ("start", b"old"), ("close", b"old")]


class _Recorder:
    seen = None

    @staticmethod
    def record(step, enumerator, _subtask):
        _Recorder.seen.put((step, enumerator.checkpoint))


@pytest.mark.parametrize(
    ("step", "action"),
    [
        ("snapshot", lambda context: context.assign_split(Text("a"), 0)),
        ("request", lambda context: context.assign_split(Text("a"), 2)),
        ("start", lambda context: context.discovery_interval_ms(0)),
    ],
)
def test_what_an_enumerator_may_not_do_is_its_failure(step, action):
    def script(now, enumerator, _):
        if now == step:
            action(enumerator.context)

    async def scenario():
        async with coordinator(script) as (sources, posted):
            sources.start(3, {})
            sources.handle_split_request(3, "numbers", 0)
            sources.snapshot(3, 1)
            failed = await take(posted)
            assert isinstance(failed, ev.EnumeratorFailed)
            assert (failed.attempt, failed.operator_uid) == (3, "numbers")
            assert failed.failure.code == "LESTO-6101"
            await asyncio.to_thread(sources._executor.submit(lambda: None).result)
            assert posted.empty(), "a failed enumerator says nothing more"

    asyncio.run(scenario())


def test_code_that_cannot_be_loaded_is_a_failure_that_a_restart_does_not_mend():
    async def scenario():
        posted = queue.Queue()
        pickled = cloudpickle.dumps(Scripted(None)).replace(b"Scripted", b"Vanished")
        made = SourceCoordinator(pipeline(1, source=pickled), SystemClock(), posted.put)
        made.start(1, {})
        failed = await take(posted)
        made.close()
        await asyncio.to_thread(made._executor.shutdown)
        assert not failed.failure.retryable
        assert "Vanished" in failed.failure.message

    asyncio.run(scenario())


def test_discover_is_called_again_and_again_at_the_interval_asked_for():
    def script(step, enumerator, _):
        if step == "start":
            enumerator.context.discovery_interval_ms(5)
        if step == "discover":
            enumerator.context.assign_split(Text("new"), 0)

    async def scenario():
        async with coordinator(script) as (sources, posted):
            sources.start(1, {})
            for _ in range(3):
                assert await take(posted) == assigned(1, 0, b"new")
            sources.stop()
            await asyncio.to_thread(sources._executor.submit(lambda: None).result)
            while not posted.empty():
                posted.get()
            await asyncio.sleep(0.03)
            assert posted.empty(), "no discovery after the stop"

    asyncio.run(scenario())


def test_a_restarted_reader_gives_back_what_its_checkpoint_lacks_and_has_a_new_attempt():
    def script(step, enumerator, subtask):
        if step == "request":
            enumerator.number = getattr(enumerator, "number", 0) + 1
            enumerator.context.assign_split(Text(f"s{enumerator.number}"), subtask)
        if step == "back":
            splits, reader = subtask
            for split in splits:
                enumerator.context.assign_split(split, reader)

    async def scenario():
        async with coordinator(script) as (sources, posted):
            sources.start(1, {})
            sources.handle_split_request(1, "numbers", 0)
            sources.snapshot(1, 7)
            sources.handle_split_request(1, "numbers", 0)
            sources.handle_split_request(1, "numbers", 1)
            sources.reset_readers(do.ResetReaders(1, 2, 7, (("numbers", 0),)))
            sources.handle_split_request(1, "numbers", 1)
            got = [await take(posted) for _ in range(6)]
            assert got == [
                assigned(1, 0, b"s1"),
                ev.EnumeratorsSnapshotted(1, 7, {"numbers": b"state 7"}),
                assigned(1, 0, b"s2"),
                assigned(1, 1, b"s3"),
                assigned(2, 0, b"s2"),
                assigned(1, 1, b"s4"),
            ]
            sources.reset_readers(do.ResetReaders(9, 3, 7, (("numbers", 0),)))  # stale
            sources.reset_readers(do.ResetReaders(1, 3, 7, (("numbers", 0),)))
            assert await take(posted) == assigned(3, 0, b"s2")

    asyncio.run(scenario())


def test_an_enumerator_that_takes_nothing_back_has_the_whole_job_restarted():
    async def scenario():
        async with coordinator(_Simple.script) as (sources, posted):
            sources.start(1, {})
            sources.reset_readers(do.ResetReaders(1, 2, 0, (("numbers", 0),)))
            failed = await take(posted)
            assert (failed.attempt, failed.operator_uid) == (1, "numbers")
            assert "does not take splits back" in failed.failure.message

    asyncio.run(scenario())


class _Simple:
    @staticmethod
    def script(step, enumerator, subtask):
        if step == "back":
            SplitEnumerator.add_splits_back(enumerator, *subtask)

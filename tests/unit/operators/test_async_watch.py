"""A coroutine that blocks its loop is told, with its line; one that awaits is not."""

import asyncio
import inspect
import threading
import time

import pytest

from lesto.taskmanager.operators.async_watch import BEAT_SECONDS, BlockedLoopWatch


class Log:
    def __init__(self):
        self.told = []

    def warning(self, event, **more):
        self.told.append((event, more))


@pytest.fixture
def loop():
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made, thread
    made.call_soon_threadsafe(made.stop)
    thread.join()
    made.close()


def watched(loop, coroutine):
    made, thread = loop
    watch = BlockedLoopWatch(made, thread, "Ask", blocked_seconds=0.1)
    watch._log = log = Log()
    asyncio.run_coroutine_threadsafe(coroutine, made).result(10)
    watch.stop()
    return log.told


async def blocks():
    time.sleep(4 * BEAT_SECONDS)  # noqa: ASYNC251 - that is the mistake


async def awaits():
    await asyncio.sleep(4 * BEAT_SECONDS)


def test_a_blocking_call_is_told_once_with_its_line(loop):
    ((event, told),) = watched(loop, blocks())
    assert event == "async.loop_blocked"
    line = inspect.getsourcelines(blocks)[1] + 1
    assert told["at"] == f"{__file__}:{line}"
    assert "asyncio.to_thread" in told["remedy"]


def test_waiting_without_blocking_is_not_told(loop):
    assert watched(loop, awaits()) == []

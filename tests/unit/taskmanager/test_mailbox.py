"""The mailbox loop: mail in order, timers by their clock, no lost wake-up."""

import threading
import time

from lesto.common.clock import SystemClock, VirtualClock
from lesto.taskmanager.runtime.activity import Activity, ActivityClock
from lesto.taskmanager.runtime.mailbox import Mailbox, Timers


def test_timers_fire_in_order_of_time_and_can_be_cancelled():
    clock = VirtualClock()
    timers = Timers(clock.now_ms)
    fired = []
    timers.add(20, fired.append)
    timers.add(10, fired.append)
    cancel = timers.add(15, fired.append)
    cancel()
    assert timers.wait_ms() == 10
    assert not timers.fire()
    clock.advance(30)
    assert timers.fire()
    assert fired == [10, 20]
    assert timers.wait_ms() is None


def test_a_timer_that_registers_a_due_timer_does_not_starve_the_loop():
    clock = VirtualClock(100)
    timers = Timers(clock.now_ms)
    fired = []

    def again(at_ms):
        fired.append(at_ms)
        timers.add(0, again)

    timers.add(0, again)
    timers.fire()
    assert fired == [0]


def test_mail_runs_in_order_and_may_stop_the_loop():
    mailbox = Mailbox(SystemClock())
    ran = []
    for n in range(5):
        mailbox.post(lambda n=n: ran.append(n))
    mailbox.stop()
    mailbox.post(lambda: ran.append("late"))
    mailbox.run()
    assert ran[:5] == [0, 1, 2, 3, 4]


class Waiting:
    """A tasklet with work whenever ``items`` has some."""

    def __init__(self):
        self.items = []
        self.done = 0

    def poll(self):
        if not self.items:
            return False
        self.items.pop()
        self.done += 1
        return True

    def wake_at_ms(self):
        return None


def test_a_wake_up_at_any_moment_is_seen_at_once():
    mailbox = Mailbox(SystemClock())
    waiting = Waiting()
    mailbox.set_tasklets((waiting,))
    thread = threading.Thread(target=mailbox.run)
    thread.start()
    slowest = 0.0
    for n in range(2000):
        begin = time.monotonic()
        waiting.items.append(n)
        mailbox.wake()
        while waiting.done <= n:
            assert time.monotonic() - begin < 60, "a wake-up was lost"
            time.sleep(0)
        slowest = max(slowest, time.monotonic() - begin)
    mailbox.stop()
    thread.join()
    assert waiting.done == 2000


def test_a_tasks_time_is_split_without_loss():
    clock = ActivityClock()
    begin = clock._marked
    for activity in (Activity.BUSY, Activity.BACKPRESSURED, Activity.IDLE):
        clock.begin()
        time.sleep(0.01)
        clock.end(activity)
    total = clock.busy_ns + clock.idle_ns + clock.backpressured_ns
    assert total == clock._marked - begin
    assert min(clock.busy_ns, clock.idle_ns, clock.backpressured_ns) >= 10_000_000


def test_mail_waits_for_one_step_and_not_for_one_of_each_task():
    """A barrier that comes while a task works is looked at before the next task's step."""
    mailbox = Mailbox(SystemClock())
    order = []

    class Step(Waiting):
        def poll(self):
            order.append("step")
            if len(order) == 1:
                mailbox.post(lambda: order.append("mail"))
            return True

    mailbox.set_tasklets((Step(), Step()))
    mailbox.run_once()
    assert order == ["step", "mail", "step"]

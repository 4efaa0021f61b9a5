"""What a process says about its threads, stacks and values."""

from __future__ import annotations

import threading
import time

from lesto.common import inspection
from lesto.common.inspection import Doing, StackSampler, clipped, threads


def _spin(stop: threading.Event) -> None:
    while not stop.is_set():
        sum(range(200))


def _running(target: object) -> tuple[threading.Thread, threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=target, args=(stop,), name="spinner", daemon=True)
    thread.start()
    return thread, stop


def test_a_dump_has_all_threads_the_main_one_first() -> None:
    thread, stop = _running(_spin)
    try:
        found = threads()
    finally:
        stop.set()
        thread.join()
    assert found[0].name == "MainThread"
    (spinner,) = [one for one in found if one.name == "spinner"]
    assert spinner.daemon
    assert "_spin" in spinner.stack


def test_a_sample_counts_the_stacks_of_the_threads_it_is_given() -> None:
    thread, stop = _running(_spin)
    doing = Doing("job", "vertex", 1, "Map (2/2)")
    assert thread.ident is not None
    sampler = StackSampler({thread.ident: lambda: doing})
    try:
        sampler.run(duration_ms=200, interval_ms=5)
    finally:
        stop.set()
        thread.join()
    stacks = sampler.stacks()
    assert sum(count for _, _, count in stacks) == sampler.samples > 5
    for label, frames, _ in stacks:
        assert label == doing
        assert any("_spin" in frame and "test_inspection.py:" in frame for frame in frames)


def test_a_sample_leaves_out_what_does_nothing_that_counts() -> None:
    sampler = StackSampler({threading.get_ident(): lambda: None, -1: Doing})
    sampler.look()
    assert sampler.samples == 1
    assert sampler.stacks() == []


def test_a_sample_keeps_its_time_and_its_bounds(monkeypatch) -> None:
    monkeypatch.setattr(inspection, "SAMPLE_MAX_MS", 50)
    began = time.monotonic()
    StackSampler({}).run(duration_ms=60_000, interval_ms=1)
    assert time.monotonic() - began < 2

    monkeypatch.setattr(inspection, "STACKS_MAX", 1)
    sampler = StackSampler({threading.get_ident(): Doing})

    def deeper(levels: int) -> None:
        sampler.look() if levels == 0 else deeper(levels - 1)

    for levels in range(4):
        deeper(levels)
    counts = {frames[-1]: count for _, frames, count in sampler.stacks()}
    assert counts.pop("(other)") == 3
    assert list(counts.values()) == [1]


def test_values_are_texts_of_bounded_length() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError

    assert clipped("text") == "text"
    assert clipped(b"ab") == "b'ab'"
    assert clipped(None) == "None"
    assert len(clipped(list(range(10_000)))) < inspection.VALUE_CHARACTERS_MAX + 30
    assert clipped(Rude()) == "<Rude: its repr raised RuntimeError>"

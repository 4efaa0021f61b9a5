"""A source that plays a script of poll results, for tests of the source operator."""

import numpy as np

from lesto.common.elements import RowBatch
from lesto.common.source import NoData, Source, SourceBatch, SourceReader, SplitFinished
from lesto.common.watermarks import WatermarkStrategy


class Split:
    def __init__(self, split_id, at=0):
        self.split_id = split_id
        self.at = at


class ScriptedReader(SourceReader):
    """Plays a script of poll results; splits count the batches read from them."""

    def __init__(self, script):
        self.script = script
        self.splits = {}
        self.calls = []

    def poll(self):
        step = self.script.pop(0) if self.script else NoData()
        if isinstance(step, SourceBatch) and step.split_id in self.splits:
            self.splits[step.split_id].at += 1
        if isinstance(step, SplitFinished):
            self.splits.pop(step.split_id, None)
        return step

    def add_splits(self, splits):
        self.splits |= {s.split_id: s for s in splits}
        self.calls.append("add")

    def notify_no_more_splits(self):
        self.calls.append("no more")

    def snapshot_state(self, checkpoint_id):
        return list(self.splits.values())

    def start(self):
        self.calls.append("start")

    def close(self):
        self.calls.append("close")


class ScriptedSource(Source):
    def __init__(self, *script):
        self.reader = ScriptedReader(list(script))

    def create_enumerator(self, context, checkpoint):
        raise NotImplementedError

    def create_reader(self, context):
        self.context = context
        return self.reader

    def serialize_split(self, split):
        return f"{split.split_id}:{split.at}".encode()

    def deserialize_split(self, data):
        name, at = data.decode().split(":")
        return Split(name, int(at))


def rows(split, *times):
    batch = RowBatch([f"{split}{t}" for t in times], np.array(times, dtype=np.int64))
    return SourceBatch(batch, split)


MONOTONOUS = WatermarkStrategy.for_monotonous_timestamps()


def poll_all(h, n):
    return [h.operator.poll().status for _ in range(n)]

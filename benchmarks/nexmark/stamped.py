"""The connector 'nexmark' with a note when a reader has made a fifth of its events."""

import os
import time
from dataclasses import replace

from instruments import Notes

from lesto.common.source import Source, SourceBatch, SourceReader
from lesto.connectors.tables.nexmark import CONNECTOR as NEXMARK

NOTES, EVENTS, ALL_COLUMNS = "NEXMARK_NOTES", "NEXMARK_EVENTS", "NEXMARK_ALL_COLUMNS"
#: Part of the events before time is taken.
WARM_PART = 0.2


class StampedSource(Source):
    """Another source, watched."""

    def __init__(self, inner, folder, events):
        self._inner, self._folder, self._events = inner, folder, events
        self.schema, self.boundedness = inner.schema, inner.boundedness

    def create_enumerator(self, context, checkpoint):
        return self._inner.create_enumerator(context, checkpoint)

    def create_reader(self, context):
        return _Reader(self._inner.create_reader(context), Notes(self._folder), self._events)

    def serialize_split(self, split):
        return self._inner.serialize_split(split)

    def deserialize_split(self, data):
        return self._inner.deserialize_split(data)


class _Reader(SourceReader):
    def __init__(self, inner, notes, events):
        self._inner, self._notes, self._warm = inner, notes, events * WARM_PART
        self._told = self._seen = False

    def poll(self):
        found = self._inner.poll()
        self._seen = self._seen or isinstance(found, SourceBatch)
        if self._seen and not self._told and self._position() >= self._warm:
            self._told = True
            self._notes.write("warm", time.monotonic())
        return found

    def _position(self):
        """Events that were passed, whether or not the query reads their kind."""
        splits = self._inner._splits
        return splits[0].next if splits else float("inf")

    def start(self):
        self._inner.start()

    def add_splits(self, splits):
        self._inner.add_splits(splits)

    def notify_no_more_splits(self):
        self._inner.notify_no_more_splits()

    def snapshot_state(self, checkpoint_id):
        return self._inner.snapshot_state(checkpoint_id)

    def pause_splits(self, split_ids):
        return self._inner.pause_splits(split_ids)

    def notify_checkpoint_complete(self, checkpoint_id):
        self._inner.notify_checkpoint_complete(checkpoint_id)

    def close(self):
        self._inner.close()


def _scan(request):
    if os.environ.get(ALL_COLUMNS):
        request = replace(request, nested=())
    plan = NEXMARK.scan(request)
    events = int(os.environ[EVENTS])
    return replace(plan, source=StampedSource(plan.source, os.environ[NOTES], events))


CONNECTOR = replace(NEXMARK, scan=_scan)

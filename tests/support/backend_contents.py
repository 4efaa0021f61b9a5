"""Fills keyed state backends, and reads what they hold and where a handle's files are."""

from lesto.state.descriptors import ValueStateDescriptor

KINDS = ["hashmap", "rocksdb"]
VALUE = ValueStateDescriptor("v")


def fill(backend, n, value="x"):
    state = backend.get_state(VALUE)
    for i in range(n):
        backend.current_key = f"key{i}"
        state.update((i, value))


def content(backend):
    state = backend.get_state(VALUE)
    found = {}
    for key in backend.keys("v"):
        backend.current_key = key
        found[key] = state.value()
    return found


def paths_of(handle):
    return {named.name: named.file.path for named in handle.files}

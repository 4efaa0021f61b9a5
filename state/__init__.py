"""Keyed and operator state: descriptors, backends, snapshots, checkpoint storage."""

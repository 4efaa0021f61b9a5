"""Vectorised operators: Arrow batches in and out, state in state tables, compiled loops."""

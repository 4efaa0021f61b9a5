"""Vectorised operators: they take Arrow batches, keep state in state tables and run compiled loops."""

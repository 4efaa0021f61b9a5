"""Reducing records by one field: sum, min, max, min_by and max_by as reduce functions."""

from lesto.taskmanager.operators.keyed_reduce import _FieldReduce as FieldReduce

__all__ = ["FieldReduce"]

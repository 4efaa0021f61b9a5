"""Operators of SQL: columns addressed by position, changes with their kinds."""

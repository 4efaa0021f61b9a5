"""Casts between SQL types, column-wise."""

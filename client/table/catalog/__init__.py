"""Catalogs: databases, tables, views and functions by name."""

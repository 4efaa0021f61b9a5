"""Connectors as SQL tables: what WITH (...) says becomes a source, a sink or a lookup."""

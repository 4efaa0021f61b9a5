"""Gives names in SQL their meaning: from syntax trees to logical plans."""

"""Logical plans of queries, and what is known of them."""

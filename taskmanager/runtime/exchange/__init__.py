"""Channels between tasks: by reference within a slot, Arrow Flight between slots."""

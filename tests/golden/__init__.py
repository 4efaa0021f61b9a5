"""Whole jobs on a real cluster against plain models: straight, stopped in the middle, restored."""

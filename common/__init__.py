"""The vocabulary every part shares: batches, types, time, key groups, configuration, errors."""

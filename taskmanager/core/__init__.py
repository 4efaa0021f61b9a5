"""The worker's decisions: events in, instructions out, no I/O and no clock."""

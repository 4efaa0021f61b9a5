"""Rules of ranks."""

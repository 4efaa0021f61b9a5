"""Rules of groups."""

"""In-memory sources and sinks: collections, collected results, nothing at all."""

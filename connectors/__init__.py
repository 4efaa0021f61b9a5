"""One package a system: source, sink and format side by side."""

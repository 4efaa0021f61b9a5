"""From SQL text to bound plans."""

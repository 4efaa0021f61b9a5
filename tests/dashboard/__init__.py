"""The dashboard in a real browser. A package, so that browser and cluster end with its last test."""

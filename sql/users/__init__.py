"""Functions that users write: their base classes, and how operators call them batch by batch."""

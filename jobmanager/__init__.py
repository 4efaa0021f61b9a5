"""The coordinator: ``core`` decides, ``server`` executes."""

"""The worker: ``core`` decides, ``runtime`` executes, ``operators`` transform batches."""

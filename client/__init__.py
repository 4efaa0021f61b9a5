"""What a user touches: it builds a JobGraph and submits it."""

"""Using a detector."""

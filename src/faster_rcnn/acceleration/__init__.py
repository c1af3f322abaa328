"""A built detector becomes a faster one that finds the same."""

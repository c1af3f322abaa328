"""Model files, and weights that come from elsewhere."""

"""The network that runs once per image (section 3.2: shared features)."""

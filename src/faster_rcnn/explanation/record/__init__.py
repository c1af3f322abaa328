"""Recording: the values of the detector's own passes over an image, and what became of every box."""

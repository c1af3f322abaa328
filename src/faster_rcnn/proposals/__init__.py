"""External proposals for Fast R-CNN: selective search, and files of precomputed proposals."""

"""Pages, curves and pictures for people."""

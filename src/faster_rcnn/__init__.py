"""Faster R-CNN, the two-stage object detector."""

__version__ = "0.1.0"

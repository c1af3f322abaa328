"""Proposals from outside, for Fast R-CNN: selective search, and files of what was proposed earlier."""

"""Plots: a picture of each stage of a recorded image, in the paper's order."""

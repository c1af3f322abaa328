"""Comparison of Faster R-CNN with Fast R-CNN on selective search."""

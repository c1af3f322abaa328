"""Faster R-CNN against Fast R-CNN with selective search."""

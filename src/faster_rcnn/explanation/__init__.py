"""Explanation: what both stages computed for an image, why each object was found or missed, and what would find it."""

"""Labelled images: readers, checks, augmentation, loading."""

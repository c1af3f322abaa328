"""Labelled images: reading, checking, augmentation, loading."""

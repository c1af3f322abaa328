"""Inference: images in, detections and pictures out."""

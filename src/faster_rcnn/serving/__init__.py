"""Detectors for others: many images on many processes or machines, by Ray, and requests over HTTP (``http``)."""

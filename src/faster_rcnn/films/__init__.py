"""Films and cameras: their frames, and films with boxes. An animated explanation is in ``explanation/film.py``."""

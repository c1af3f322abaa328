"""Prediction for many images on many processes or machines, by engines that the user has installed."""

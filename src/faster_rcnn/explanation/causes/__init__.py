"""Causes: why each truth was found or missed, and why each false detection was reported."""

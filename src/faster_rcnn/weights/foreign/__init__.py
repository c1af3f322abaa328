"""Checkpoints of other projects, and published weights."""

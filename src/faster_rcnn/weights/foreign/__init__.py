"""Checkpoints of torchvision and Detectron2: reading, names of their tensors, and published weights."""

"""Model files, pretrained weights, and the checkpoints of other projects."""

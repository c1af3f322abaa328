"""Second stage: pooling, network, targets, detections (Fast R-CNN on proposals)."""

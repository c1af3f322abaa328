"""First stage: anchors, network, targets, proposals (section 3.1)."""

"""``faster-rcnn check``: faults of labelled images are found, named and mended, before anything is trained on them."""

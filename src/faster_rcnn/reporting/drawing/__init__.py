"""Drawing of pictures with boxes: fonts, tags, outlines, and sheets of several pictures."""

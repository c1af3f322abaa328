"""Plots: a picture of each stage of a recorded image, in the paper's order, and the frames of a film.

``image``, ``features``, ``anchors``, ``assignment``, ``objectness``, ``transforms``, ``proposals``, ``pooling``,
``probabilities`` and ``detections`` draw the stages, from a recording and the fates of one of its parts; ``scenes``
draws the film. They share a few tools: ``figure`` puts panels, titles and keys on a white sheet, ``view`` shows the
image at a place and a scale, ``marks`` draws boxes and arrows on a view, ``heat`` colours maps of numbers,
``positions`` and ``receptive_field`` find the anchors and the pixels of a position, and ``choice`` decides which box is
followed where none is named. All pictures are 1,000 pixels wide, whatever the size of the image.
"""

"""Images with boxes, for tests of the writers."""

from __future__ import annotations

from faster_rcnn.data.formats.written import WrittenBox, WrittenImage
from faster_rcnn.structures import ClassMap, ImageSize

CLASSES = ClassMap(("cat", "wild, dog", "bus"), (1, 5, 7))
SIZE = ImageSize(40, 60)
CAT = WrittenBox(10.25, 20.0, 5.5, 8.0, label=0, area=30.0)
CROWD = WrittenBox(0.0, 0.0, 60.0, 40.0, label=1, ignored=True)
DOG = WrittenBox(30.0, 5.0, 20.0, 10.0, label=1)
FIRST = WrittenImage("a.png", 3, SIZE, (CAT, CROWD, DOG))
EMPTY = WrittenImage("b c.png", 4, SIZE, ())
SPLITS = {"train": [FIRST], "val": [EMPTY]}
FOUND = {"val": [WrittenImage("a.png", 3, SIZE, (WrittenBox(10.0, 20.0, 5.0, 8.0, label=2, score=0.75),)), EMPTY]}
"""A detection in the first image, and none in the second one."""

from __future__ import annotations

from faster_rcnn.weights.classes import coco_classes
from faster_rcnn.weights.foreign.torchvision_export import meaning_of_labels


def test_labels_without_a_class_are_counted() -> None:
    text = meaning_of_labels(coco_classes())
    assert text.startswith("labels there: 0 is background, 1 is 'person', 2 is 'bicycle'")
    assert text.endswith("80 classes in the order of the model file; 10 labels have no class and may be reported there")

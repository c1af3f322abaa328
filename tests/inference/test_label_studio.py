from __future__ import annotations

from faster_rcnn.inference.label_studio import LabelledBox, prediction
from faster_rcnn.structures import ImageSize


def test_boxes_are_in_percent_of_the_sides_and_the_best_score_is_that_of_the_task() -> None:
    boxes = [LabelledBox(1, (20, 10, 40, 5), 0.5, "cat"), LabelledBox(3, (0, 0, 200, 50), 0.75, "dog")]
    found = prediction("cells", ImageSize(50, 200), boxes, "labels", "picture")
    assert (found["model_version"], found["score"]) == ("cells", 0.75)
    first, second = found["result"]
    assert first == {
        "id": "1", "from_name": "labels", "to_name": "picture", "type": "rectanglelabels", "original_width": 200,
        "original_height": 50, "image_rotation": 0, "score": 0.5,
        "value": {"x": 10, "y": 20, "width": 20, "height": 10, "rotation": 0, "rectanglelabels": ["cat"]},
    }  # fmt: skip
    assert (second["id"], second["value"]["width"], second["value"]["height"]) == ("3", 100, 100)


def test_a_task_without_boxes_has_the_score_0() -> None:
    assert prediction("m", ImageSize(5, 5), []) == {"model_version": "m", "score": 0.0, "result": []}

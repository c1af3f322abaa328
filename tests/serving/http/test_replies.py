from __future__ import annotations

from faster_rcnn.serving.http.replies import ResultReply, result_reply
from made_results import result_of


def test_a_reply_has_centres_corners_scores_and_classes() -> None:
    reply = result_reply(result_of([[10, 20, 14, 30]], [0.75], [1]))
    assert reply == {
        "image": {"width": 60, "height": 40},
        "predictions": [
            {
                "x": 12.0, "y": 25.0, "width": 4.0, "height": 10.0, "confidence": 0.75, "class": "dog", "class_id": 5,
                "box": [10.0, 20.0, 14.0, 30.0],
            }
        ],
    }  # fmt: skip
    assert ResultReply.model_validate(reply).model_dump(by_alias=True) == reply


def test_a_reply_without_detections() -> None:
    assert result_reply(result_of([], [], []))["predictions"] == []


def from_inference(reply: dict[str, object]) -> list[tuple[float, ...]]:
    """Corners as supervision 0.31 works them out of a reply of Roboflow's server."""
    predictions: list[dict[str, float]] = reply["predictions"]  # type: ignore[assignment]
    corners: list[tuple[float, ...]] = []
    for each in predictions:
        x_min, y_min = each["x"] - each["width"] / 2, each["y"] - each["height"] / 2
        corners.append((x_min, y_min, x_min + each["width"], y_min + each["height"]))
    return corners


def test_supervision_reads_the_same_box() -> None:
    reply = result_reply(result_of([[1.25, 2.5, 30.75, 39]], [0.5], [0]))
    assert from_inference(reply) == [(1.25, 2.5, 30.75, 39.0)]

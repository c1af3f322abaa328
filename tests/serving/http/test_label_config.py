from __future__ import annotations

import pytest

from faster_rcnn.serving.http.label_config import read_label_config
from faster_rcnn.serving.http.problems import ProblemError
from made_results import result_of

CONFIG = """<View>
<Header value="x"/><Image name="other" value="$second"/><Image name="img" value="$image" zoom="true"/>
<Choices name="kind" toName="img"><Choice value="cat"/></Choices>
<RectangleLabels name="boxes" toName="img">
<Label value="Cat"/><Label value="Animal" predicted_values="dog, sheep"/>
</RectangleLabels></View>"""


def test_names_key_and_labels_are_read() -> None:
    config = read_label_config(CONFIG)
    assert (config.from_name, config.to_name, config.key) == ("boxes", "img", "image")
    assert [config.label_of(name) for name in ("cat", "DOG", "sheep", "cow")] == ["Cat", "Animal", "Animal", None]
    assert config.without_label(["cat", None, "cow"]) == ["cow"]


def test_a_prediction_has_boxes_in_percent_and_no_class_without_a_label() -> None:
    # 60 x 40 pixels: x 15/60, y 10/40, width 30/60, height 20/40
    result = result_of([[15, 10, 45, 30], [0, 0, 60, 40], [0, 0, 6, 4]], [0.75, 0.5, 0.25], [1, 2, 0])
    prediction = read_label_config(CONFIG).prediction(result, "cells")
    assert (prediction["model_version"], prediction["score"]) == ("cells", 0.75)
    assert [region["id"] for region in prediction["result"]] == ["1", "3"]
    assert prediction["result"][0] == {
        "id": "1", "from_name": "boxes", "to_name": "img", "type": "rectanglelabels", "original_width": 60,
        "original_height": 40, "image_rotation": 0, "score": 0.75,
        "value": {"x": 25.0, "y": 25.0, "width": 50.0, "height": 50.0, "rotation": 0, "rectanglelabels": ["Animal"]},
    }  # fmt: skip
    nothing = read_label_config(CONFIG).prediction(result_of([], [], []), "cells")
    assert (nothing["score"], nothing["result"]) == (0.0, [])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "label_config is no XML: no element found"),
        ("<View>", "label_config is no XML"),
        ("<View/>", "label_config has no boxes for an image; it needs <Image"),
        (
            '<View><RectangleLabels name="a" toName="b"/><Image name="c" value="$d"/></View>',
            "has no boxes for an image",
        ),
        ('<!DOCTYPE a [<!ENTITY b "c">]><View/>', "label_config declares a document type"),
    ],
)
def test_a_configuration_without_boxes_is_refused(text: str, line: str) -> None:
    with pytest.raises(ProblemError) as refused:
        read_label_config(text)
    assert refused.value.status_code == 422
    assert line in refused.value.detail

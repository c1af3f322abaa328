"""The labelling configuration of a project of Label Studio: where boxes go, and which label a class has there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from faster_rcnn.inference.label_studio import LabelledBox, prediction
from faster_rcnn.inference.result import Result
from faster_rcnn.serving.http.problems import ProblemError

_WANTED = '<Image name="image" value="$image"/><RectangleLabels name="label" toName="image">...</RectangleLabels>'


@dataclass(frozen=True, slots=True)
class LabelConfig:
    """What predictions need of a configuration."""

    from_name: str
    """The name of ``<RectangleLabels>``."""
    to_name: str
    """The name of ``<Image>``."""
    key: str
    """The key of a task's data that holds the address of the image."""
    labels: Mapping[str, str]
    """The label of each name of a class, in small letters."""

    def label_of(self, name: str) -> str | None:
        """The label of a class; ``None`` where the project has none."""
        return self.labels.get(name.casefold())

    def without_label(self, names: Sequence[str | None]) -> list[str]:
        """The classes that the project has no label for."""
        return [name for name in names if name is not None and self.label_of(name) is None]

    def prediction(self, result: Result, model: str) -> dict[str, Any]:
        """The prediction of a task, without detections of classes that have no label."""
        return prediction(model, result.size, self._labelled(result), self.from_name, self.to_name)

    def _labelled(self, result: Result) -> Iterator[LabelledBox]:
        for place, found in enumerate(result.to_json()["detections"], 1):
            if label := self.label_of(found["label"]):
                x1, y1, x2, y2 = found["box"]
                yield LabelledBox(place, (x1, y1, x2 - x1, y2 - y1), found["score"], label)


def read_label_config(text: str) -> LabelConfig:
    """Read a configuration; raises ``ProblemError`` (422) where it has no place for boxes in an image."""
    if "<!doctype" in text.lower():  # entities that grow are declared there
        raise ProblemError(422, "label_config declares a document type, which Label Studio does not write")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ProblemError(422, f"label_config is no XML: {error}") from error
    images = {each.get("name"): each for each in root.iter("Image")}
    for boxes in root.iter("RectangleLabels"):
        image = images.get(boxes.get("toName"))
        if image is not None and boxes.get("name"):
            key = image.get("value", "").removeprefix("$")
            return LabelConfig(boxes.get("name", ""), boxes.get("toName", ""), key, _labels(boxes))
    raise ProblemError(422, f"label_config has no boxes for an image; it needs {_WANTED}")


def _labels(boxes: Element) -> dict[str, str]:
    """Labels by their own names and by the names of ``predicted_values``, which a project gives them for models."""
    found: dict[str, str] = {}
    for each in boxes.iter("Label"):
        value = each.get("value", "")
        for name in (value, *each.get("predicted_values", "").split(",")):
            if name.strip():
                found.setdefault(name.strip().casefold(), value)
    return found

"""Labels of a data set of FiftyOne; its package is large, so its samples are stood in for by what is used of them.

A data set gives its samples by ``iter_samples(progress, autosave)`` and has a ``media_type``; a sample has a
``filepath`` and takes fields by item (fiftyone 1.22: core/view.py, core/document.py, core/labels.py).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from faster_rcnn import Detector
from faster_rcnn.errors import OptionError
from faster_rcnn.integrations.fiftyone import apply_model
from files import image_file, loaded_model


class Sample(dict[str, Any]):
    """A sample with its fields."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.filepath = str(path)


class Samples:
    """A data set, or a view of one."""

    def __init__(self, *samples: Sample, media_type: str | None = "image") -> None:
        self.samples, self.media_type = samples, media_type
        self.saved: list[Sample] = []

    def iter_samples(self, *, progress: bool = False, autosave: bool = False) -> Iterator[Sample]:
        """Samples are saved after they were handed out, where that is asked for."""
        for each in self.samples:
            yield each
            if autosave:
                self.saved.append(each)


@pytest.fixture
def _fiftyone(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("fiftyone")
    for name in ("Detection", "Detections"):
        monkeypatch.setattr(module, name, SimpleNamespace, raising=False)
    monkeypatch.setitem(sys.modules, "fiftyone", module)


@pytest.mark.usefixtures("_fiftyone")
def test_detections_are_stored_as_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    detector = Detector(loaded_model(), "cpu", "float32")
    good, other = (Sample(image_file(tmp_path / name, seed=seed)) for seed, name in enumerate(("a.png", "b.png")))
    broken = Sample(tmp_path / "broken.png")
    Path(broken.filepath).write_bytes(b"no image")
    samples = Samples(good, broken, other)
    assert apply_model(samples, detector, "found", conf=0.0, max_det=3, classes="cat") == 2
    assert samples.saved == [good, broken, other]
    expected = detector.predict(good.filepath, 0.0, 3, classes="cat")
    labels = good["found"].detections
    assert [each.label for each in labels] == ["cat"] * len(expected)
    assert [each.confidence for each in labels] == [each.score for each in expected]
    x1, y1, x2, y2 = expected[0].box
    assert labels[0].bounding_box == pytest.approx([x1 / 60, y1 / 40, (x2 - x1) / 60, (y2 - y1) / 40])
    assert broken == {}
    assert "E105 cannot decode" in caplog.text
    assert "1 image of 3 could not be read, see above" in caplog.text


@pytest.mark.usefixtures("_fiftyone")
def test_an_iterator_of_classes_serves_all_samples(tmp_path: Path) -> None:
    detector = Detector(loaded_model(), "cpu", "float32")
    samples = [Sample(image_file(tmp_path / f"{seed}.png", seed=seed)) for seed in range(3)]
    assert apply_model(Samples(*samples), detector, conf=0.0, classes=(name for name in ("cat", "dog"))) == 3
    for sample in samples:
        found = detector.predict(sample.filepath, 0.0, classes=["cat", "dog"])
        assert [each.label for each in sample["predictions"].detections] == found.names


def test_films_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"^E125 samples are of the type 'video', and images are needed; for the fra"):
        apply_model(Samples(media_type="video"), Detector(loaded_model(), "cpu"))

"""The recipe for tracking in the documentation runs, where its packages are installed."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import faster_rcnn
from faster_rcnn.inference.frame import Frame
from faster_rcnn.inference.result import Result
from faster_rcnn.structures import ClassMap, Detections, ImageSize
from made_films import film_file
from pages_of_documentation import DOCS


class MadeDetector:
    """Detects one object that moves right and one that moves down, and misses the second one in two frames."""

    def predict(self, frames: Iterable[Frame], conf: float) -> Iterator[Result]:
        for frame in frames:
            step = 2.0 * frame.number
            boxes = torch.tensor([[5 + step, 5, 35 + step, 25], [60, 5 + step, 90, 30 + step]])
            if frame.number in (10, 11):
                boxes = boxes[:1]
            found = Detections(boxes, torch.full((len(boxes),), 0.9), torch.arange(len(boxes)))
            yield Result(found, ClassMap(("a", "b"), (1, 2)), ImageSize(64, 96), frame)


def test_each_object_keeps_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("supervision", "trackers"):
        pytest.importorskip(name, reason=f"needs {name}, which is no dependency: docs/how-to/video.md")
    [recipe] = re.findall(r"^```py\n(.*?)^```", (DOCS / "how-to" / "video.md").read_text(encoding="utf-8"), re.M | re.S)
    assert "ByteTrackTracker" in recipe
    monkeypatch.chdir(tmp_path)
    film_file(Path("film.mp4"), frames=20)
    monkeypatch.setattr(faster_rcnn.Detector, "load", lambda model: MadeDetector())
    names: dict[str, Any] = {}
    exec(compile(recipe, "video.md", "exec"), names)
    tracks: dict[str, list[list[float]]] = defaultdict(list)
    for line in capsys.readouterr().out.splitlines():
        _, number, box = line.split(maxsplit=2)
        tracks[number].append(json.loads(box))
    tracks.pop("-1", None)  # the first frames, in which a track is not certain
    right, down = sorted(tracks.values(), key=lambda boxes: boxes[-1][1])
    assert [len(right), len(down)] == [19, 17]
    assert [box[0] for box in right] == pytest.approx([5 + 2 * number for number in range(1, 20)])
    assert {box[0] for box in down} == {60}

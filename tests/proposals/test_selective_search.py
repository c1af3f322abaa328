"""Selective search: finds a plain object, the same way every time, and no more than asked."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from faster_rcnn.errors import MissingExtraError
from faster_rcnn.ops.boxes import iou
from faster_rcnn.proposals.selective_search import selective_search
from tiny import boxes_of, random_image


def picture() -> torch.Tensor:
    """A red rectangle at x 20..60, y 10..40 on grey noise."""
    pixels = random_image(64, 96) // 16 + 100
    pixels[:, 10:40, 20:60] = torch.tensor([230, 20, 20], dtype=torch.uint8)[:, None, None]
    return pixels


@pytest.mark.parametrize("mode", ["fast", "quality"])
def test_a_plain_rectangle_is_proposed(mode: str) -> None:
    found = selective_search(picture(), "fast" if mode == "fast" else "quality", max_proposals=2000)
    assert iou(found.boxes, boxes_of([[20, 10, 60, 40]])).max() > 0.85
    assert (found.scores.diff() < 0).all()
    assert found.scores[0] == 1
    assert found.scores[-1] > 0
    assert found.boxes.min() >= 0
    assert (found.boxes[:, 2] <= 96).all()
    assert (found.boxes[:, 3] <= 64).all()


def test_at_most_so_many_and_the_best_ones() -> None:
    all_of_them, few = (selective_search(picture(), "fast", count).boxes for count in (2000, 5))
    assert torch.equal(few, all_of_them[:5])


def test_every_process_proposes_the_same() -> None:
    program = (
        "import torch; from faster_rcnn.proposals.selective_search import selective_search as search\n"
        "steps = (torch.arange(90) // 9 * 25).to(torch.uint8).expand(3, 60, 90).clone()\n"
        "steps[0, :30] //= 2\n"
        "print(search(steps, 'fast', 50).boxes.tolist())"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert first == second
    assert first.count("[") > 5


def test_without_opencv_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'faster-rcnn\[proposals\]'"):
        selective_search(picture(), "fast", 10)

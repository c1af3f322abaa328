"""Folders of pictures: one for each missed truth in ``missed/``, one for each false positive in ``false/``."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from faster_rcnn.data.decode import read_image
from faster_rcnn.explanation.causes.false_positives import FalsePositive
from faster_rcnn.explanation.causes.kinds import Verdict
from faster_rcnn.explanation.dataset.judged import JudgedImage
from faster_rcnn.reporting.drawing.boxes import draw_boxes
from faster_rcnn.structures import ClassMap
from faster_rcnn.system.atomic import as_machine_error, make_folder
from faster_rcnn.system.progress import counted

MISSED, FALSE = "missed", "false"
MARGIN = 0.75
"""Surroundings on each side of a box, in shares of its longer side."""
SIDE = 480
"""Longer side of a picture in pixels; small crops are magnified to it."""
QUALITY = 90
LONGEST_NAME = 80
"""Characters of a file name that are taken from names of images and classes."""


def write_folders(folder: Path, images: Sequence[JudgedImage], classes: ClassMap, max_pixels: int) -> tuple[int, int]:
    """Write the pictures of judged images into a new folder; returns the numbers of missed truths and false positives.

    A picture shows the surroundings of a box: a missed truth, which is dashed, with the box that came furthest; or
    a false detection, with all truths around it dashed. Its name begins with the kind. The folder appears when all
    pictures are in it.

    Raises ``MachineError`` where it cannot be written.
    """
    make_folder(folder.resolve().parent)
    with as_machine_error(folder):
        place = Path(tempfile.mkdtemp(prefix=".explanation-", dir=folder.resolve().parent))
        try:
            counts = _write_all(place, images, classes, max_pixels)
            place.chmod(0o755)
            place.replace(folder.resolve())
        finally:
            shutil.rmtree(place, ignore_errors=True)
    return counts


def _write_all(place: Path, images: Sequence[JudgedImage], classes: ClassMap, max_pixels: int) -> tuple[int, int]:
    counts = {MISSED: 0, FALSE: 0}
    for name in counts:
        (place / name).mkdir()
    for image in counted(images, "images with pictures of what was missed", len(images)):
        missed = [each.verdict for each in image.truths if each.verdict.missed]
        if not missed and not image.false_positives:
            continue
        pixels, _ = read_image(image.record.path, max_pixels)
        for name, kind, picture in _pictures(image, missed, pixels, classes):
            counts[name] += 1
            stem = _plain(f"{kind}-{image.record.path.stem}")
            picture.save(place / name / f"{stem}-{counts[name]:05d}.jpg", quality=QUALITY)
    return counts[MISSED], counts[FALSE]


def _pictures(
    image: JudgedImage, missed: Sequence[Verdict], pixels: UInt8[Tensor, "3 height width"], classes: ClassMap
) -> Iterator[tuple[str, str, Image.Image]]:
    """Folder, kind and picture of each missed truth and of each false positive of an image."""
    for verdict in missed:
        yield MISSED, verdict.kind.value, missed_picture(image, verdict, pixels, classes)
    for false in image.false_positives:
        yield FALSE, false.kind.value, false_picture(image, false, pixels, classes)


def missed_picture(
    image: JudgedImage, verdict: Verdict, pixels: UInt8[Tensor, "3 height width"], classes: ClassMap
) -> Image.Image:
    """The surroundings of a missed truth, with the box that came furthest and its score, where there is one."""
    life = verdict.life
    step = None if life is None else life.box or life.proposal_box or life.anchor_box
    drawn = torch.tensor([] if step is None else [step], dtype=torch.float32).reshape(-1, 4)
    scores = None if life is None or life.score is None or not len(drawn) else [life.score]
    truth = image.record.truth.boxes[verdict.truth]
    return _cropped(pixels, truth, drawn, [verdict.label] * len(drawn), scores, truth[None], classes)


def false_picture(
    image: JudgedImage, false: FalsePositive, pixels: UInt8[Tensor, "3 height width"], classes: ClassMap
) -> Image.Image:
    """The surroundings of a false positive, with its score."""
    box = image.detections.boxes[false.detection]
    return _cropped(pixels, box, box[None], [false.label], [false.score], image.record.truth.boxes, classes)


def _cropped(
    pixels: UInt8[Tensor, "3 height width"],
    centre: Float[Tensor, " corners"],
    drawn: Float[Tensor, "drawn 4"],
    labels: list[int],
    scores: list[float] | None,
    truths: Float[Tensor, "truths 4"],
    classes: ClassMap,
) -> Image.Image:
    """Boxes, and truths that are dashed, on the part of an image around one box."""
    height, width = pixels.shape[1:]
    x1, y1, x2, y2 = centre.tolist()
    margin = max(8.0, MARGIN * max(x2 - x1, y2 - y1))
    left, top = max(0, int(x1 - margin)), max(0, int(y1 - margin))
    right, bottom = min(width, int(x2 + margin) + 1), min(height, int(y2 + margin) + 1)
    part = pixels[:, top : max(bottom, top + 1), left : max(right, left + 1)]
    shift = centre.new_tensor([left, top, left, top])
    truths = truths - shift
    inside = ((truths[:, 2:] > 0) & (truths[:, :2] < centre.new_tensor([part.shape[2], part.shape[1]]))).all(dim=1)
    scale = SIDE / max(part.shape[1:])
    return draw_boxes(part, drawn - shift, labels, classes, scores, truths[inside], scale)


def _plain(name: str) -> str:
    """A file name of letters, digits, dots and dashes."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)[:LONGEST_NAME]

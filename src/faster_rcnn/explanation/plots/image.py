"""The image as it was given, and as the backbone reads it: resized, normalized and padded (Fast R-CNN, section 5.2)."""

from __future__ import annotations

from PIL import Image
from torch import Tensor

from faster_rcnn.explanation.plots.figure import Key, Panel, cell_height, cell_width, figure
from faster_rcnn.explanation.plots.view import HATCH, OUTSIDE, hatch, picture_of, view_of
from faster_rcnn.explanation.record.lives import PartFates
from faster_rcnn.explanation.record.numbers import image_numbers
from faster_rcnn.explanation.record.recording import PartRecording, Recording


def plot_image(recording: Recording, fates: PartFates) -> Image.Image:
    """Draw a part of the image beside the input that the backbone reads, whose own pixels show, with its padding."""
    part, numbers = fates.part, image_numbers(fates.part)
    size, resized, padded = numbers.size, numbers.resized, numbers.padded
    given = view_of(recording, part, columns=2).picture
    kind = "Image" if fates.index == 0 else f"Tile {fates.index}"
    notes = [
        f"Every box of the detector is computed in the {resized.width} x {resized.height} pixels on the right. "
        f"An object of 32 pixels in the image has {32 * numbers.factor:.3g} there."
    ]
    keys = [Key("padding with zeros", OUTSIDE, "fill")] if padded != resized else []
    panels = [
        Panel(given, f"{kind}: {size.width} x {size.height} pixels"),
        Panel(
            _input(part),
            f"Input: resized to {resized.width} x {resized.height}, padded to {padded.width} x {padded.height}",
        ),
    ]
    return figure(panels, columns=2, keys=keys, notes=notes)


def _input(part: PartRecording) -> Image.Image:
    """The backbone's input with its normalization undone, one square for each pixel where they are enlarged."""
    pixels, padded = _denormalized(part), part.images.pixels.shape[-2:]
    scale = min(cell_width(2) / padded[1], cell_height(2) / padded[0])
    sheet = Image.new("RGB", (max(1, round(padded[1] * scale)), max(1, round(padded[0] * scale))), OUTSIDE)
    hatch(sheet, HATCH)
    inner = max(1, round(part.resized.width * scale)), max(1, round(part.resized.height * scale))
    method = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    sheet.paste(picture_of(pixels).resize(inner, method), (0, 0))
    return sheet


def _denormalized(part: PartRecording) -> Tensor:
    """The resized part (3, height, width) as bytes."""
    rule = part.network.preparation.image
    pixels = part.images.pixels[0, :, : part.resized.height, : part.resized.width].float()
    mean, spread = (pixels.new_tensor(each)[:, None, None] for each in (rule.mean, rule.std))
    return ((pixels * spread + mean) * 255).round().clamp(0, 255).byte().cpu()

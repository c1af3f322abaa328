"""Which images of a batch are computed together, where both ways give the same results.

An accelerator takes as long to start an operation on a few numbers as on many, and the program that starts it has to
wait wherever a result decides the size of the next one. There all images of a batch share each operation. A CPU starts
operations at once, and keeps the numbers of one image in its cache: there images are computed one after the other.
"""

from __future__ import annotations

from torch import Tensor

MAX_BOXES = 25_000
"""Boxes that one call of NMS compares, all with all: the number from which torchvision's ``batched_nms`` loops, too."""


def computed_together(tensor: Tensor) -> bool:
    """Whether the images of a batch share each operation, by the device of one of its tensors."""
    return tensor.device.type != "cpu"


def groups_of_images(images: int, boxes_per_image: int, tensor: Tensor) -> list[slice]:
    """Divide a batch into consecutive groups of images that are computed together.

    On a CPU each image is a group. Elsewhere a group is as large as ``MAX_BOXES`` allows, and at least one image.
    """
    size = max(1, MAX_BOXES // max(1, boxes_per_image)) if computed_together(tensor) else 1
    return [slice(first, first + size) for first in range(0, images, size)]

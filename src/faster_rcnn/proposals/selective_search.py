"""Selective search (Uijlings et al., IJCV 2013), the source of the proposals in Fast R-CNN (1504.08083)."""

from __future__ import annotations

import ctypes
import os
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from faster_rcnn.choices import SearchMode
from faster_rcnn.errors import MissingExtraError
from faster_rcnn.structures import Proposals


def selective_search(pixels: UInt8[Tensor, "3 height width"], mode: SearchMode, max_proposals: int) -> Proposals:
    """Search the ``max_proposals`` best proposals of an RGB image (uint8) at its own size, on one CPU thread.

    Scores fall linearly with the rank, from 1. The same image gives the same proposals in every process, because the
    random numbers in the ranks come from a fixed seed. Raises ``MissingExtraError`` where OpenCV is not installed.
    """
    cv2 = _opencv()
    image = np.ascontiguousarray(pixels.permute(1, 2, 0).flip(-1).numpy())  # BGR
    cv2.setNumThreads(1)
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(image)
    if mode == "fast":
        search.switchToSelectiveSearchFast()
    else:
        search.switchToSelectiveSearchQuality()
    # OpenCV multiplies the ranks by random numbers of the C library, whose generator it never seeds.
    ctypes.CDLL("ucrtbase" if os.name == "nt" else None).srand(0)
    found = torch.as_tensor(np.asarray(search.process()).reshape(-1, 4)[:max_proposals], dtype=torch.float32)
    boxes = torch.cat((found[:, :2], found[:, :2] + found[:, 2:]), dim=1)
    scores = 1 - torch.arange(len(boxes)) / max(len(boxes), 1)
    return Proposals(boxes, scores)


def _opencv() -> Any:
    try:
        import cv2

        cv2.ximgproc.segmentation.createSelectiveSearchSegmentation  # noqa: B018  # only the contrib package has it
    except (ImportError, AttributeError) as error:
        raise MissingExtraError("opencv-contrib-python-headless", "proposals") from error
    return cv2

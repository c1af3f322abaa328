"""The operators of an exported graph in ONNX; needs onnxscript, so this file is imported where a file is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import torch
from onnxscript import opset18 as op

from faster_rcnn.export.suppression import NO_BOX, onnx_operators

INT32, BOOL = onnx.TensorProto.INT32, onnx.TensorProto.BOOL


def translations() -> dict[Any, Callable[..., Any]]:
    """Functions of onnxscript for the operators of ``onnx_operators`` and RoI pooling, for ``torch.onnx.export``."""
    ours, pool = onnx_operators(), torch.ops.torchvision.roi_pool.default
    return {ours.nms_of_groups: _nms_of_groups, ours.best_of_rows: _best_of_rows, pool: _roi_pool}


def _nms_of_groups(boxes: Any, scores: Any, iou_threshold: float, limit: int) -> Any:
    """Each group is an image of the operator, with one class, so that no box is shifted."""
    selected = op.NonMaxSuppression(
        boxes,
        op.Unsqueeze(scores, _integers(1)),
        _integers(limit),
        _float(iou_threshold),
        _float(NO_BOX / 2),
    )
    places = op.Gather(selected, _integers(0, 2), axis=1)  # (survivors, 2): group and box
    # Integers, because OpenVINO scatters no truth values.
    nothing = op.Expand(_one_integer(0), op.Shape(scores))
    survivors = op.Expand(_one_integer(1), op.Slice(op.Shape(places), _integers(0), _integers(1)))
    return op.Cast(op.ScatterND(nothing, places, survivors), to=BOOL)


def _best_of_rows(scores: Any, count: int) -> Any:
    return op.TopK(scores, _integers(count), axis=1, largest=1, sorted=1)


def _roi_pool(features: Any, rois: Any, spatial_scale: float, pooled_height: int, pooled_width: int) -> Any:
    """The maxima, twice: torchvision's second output is where they were found, which nothing reads."""
    pooled = op.MaxRoiPool(features, rois, pooled_shape=[pooled_height, pooled_width], spatial_scale=spatial_scale)
    return pooled, pooled


def _integers(*values: int) -> Any:
    return op.Constant(value_ints=list(values))


def _float(value: float) -> Any:
    return op.Constant(value_floats=[value])


def _one_integer(value: int) -> Any:
    return op.Constant(value=onnx.helper.make_tensor("value", INT32, [1], [value]))

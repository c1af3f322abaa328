"""The effective receptive field of a position: the pixels that its objectness depends on.

The theoretical receptive field of a deep backbone is often the whole image; how much each pixel counts falls off
quickly from the centre (Luo et al., arXiv 1701.04128). The gradient of the objectness measures it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn import stages as stage
from faster_rcnn.explanation.plots.positions import Position, centres_of
from faster_rcnn.explanation.record.recording import FirstStage, PartRecording, Recording
from faster_rcnn.rpn.proposals import objectness_logit

SHARE = 0.9
"""The share of the gradient that lies inside the box of a receptive field."""


def receptive_field(recording: Recording, part: PartRecording, position: Position) -> Float[Tensor, "height width"]:
    """How much each pixel of the padded part changes the objectness at a position: absolute gradients, of all colours.

    The detector as it was loaded computes them, as optimized networks have no gradients.
    """
    model = recording.predictor.detector.model
    with torch.inference_mode(False), torch.enable_grad(), stage.evaluating(model):
        # A tensor of inference mode takes part in no gradient; its copy does.
        pixels = part.images.pixels.clone().float().requires_grad_()
        logits = model.rpn(model.backbone(pixels)).logits[0, list(position.anchors)]  # (k, outputs)
        [gradient] = torch.autograd.grad(objectness_logit(logits).sum(), pixels)
    return gradient[0].abs().sum(dim=0)


def receptive_box(
    part: PartRecording, first: FirstStage, position: Position, field: Float[Tensor, "height width"]
) -> Float[Tensor, "1 4"]:
    """The smallest square around a position that holds ``SHARE`` of its field, in the frame of the resized part."""
    x, y = centres_of(part, first, position.level)[position.row, position.column].tolist()
    rows, columns = (torch.arange(count, device=field.device) + 0.5 for count in field.shape)
    distances = torch.maximum((rows - y).abs()[:, None], (columns - x).abs()[None]).flatten()  # (H * W,)
    order = distances.argsort()
    weights = field.flatten()[order].double().cumsum(0)
    last = int(torch.searchsorted(weights, SHARE * weights[-1])) if float(weights[-1]) > 0 else 0
    reach = float(distances[order[min(last, len(order) - 1)]]) + 0.5
    return field.new_tensor([[x - reach, y - reach, x + reach, y + reach]])

from __future__ import annotations

import torch
from torch.testing import assert_close

from explained_images import tiny_explained
from faster_rcnn.explanation.plots.positions import position_at
from faster_rcnn.explanation.plots.receptive_field import receptive_box, receptive_field


def test_the_objectness_changes_with_the_pixels_of_its_field_only() -> None:
    recording = tiny_explained().recording
    part = recording.whole
    assert part.first is not None
    place = position_at(part, part.first, 0, (64.0, 48.0))
    field = receptive_field(recording, part, place)
    assert field.shape == part.images.pixels.shape[-2:]
    model, anchors = recording.predictor.detector.model, list(place.anchors)
    strongest = divmod(int(field.argmax()), field.shape[1])
    with torch.no_grad():
        before = model.rpn(model.backbone(part.images.pixels)).logits[0, anchors].sum()
        changed = part.images.pixels.clone()
        changed[0, :, strongest[0], strongest[1]] += 1e-2
        after = model.rpn(model.backbone(changed)).logits[0, anchors].sum()
    # The change of three colours is at most the step times the sum of their absolute gradients.
    assert 0 < float((after - before).abs()) <= 1.1e-2 * float(field.max())


def test_a_position_depends_on_its_surroundings_most() -> None:
    recording = tiny_explained().recording
    part = recording.whole
    assert part.first is not None
    left, right = (receptive_field(recording, part, position_at(part, part.first, 0, (x, 48.0))) for x in (20.0, 110.0))
    assert float(left[:, :40].sum()) > float(left[:, 45:].sum())
    assert float(right[:, 45:].sum()) > float(right[:, :40].sum())


def test_the_box_is_the_smallest_square_that_holds_the_share() -> None:
    part = tiny_explained().recording.whole
    assert part.first is not None
    place = position_at(part, part.first, 2, (48.0, 48.0))  # P4: row 2, column 2, at (32, 32)
    assert (place.row, place.column) == (2, 2)
    field = torch.zeros(64, 96)
    field[20:44, 20:44] = 1.0  # all within 12 pixels of the centre
    # A square of 23 x 23 pixels holds 529 of 576, 92 %; one of 22 x 22 holds 484, 84 %: the reach is 11 or 12.
    box = receptive_box(part, part.first, place, field)
    assert_close(box, torch.tensor([[20.0, 20.0, 44.0, 44.0]]))
    field[:] = 0
    field[32, 32] = 5.0
    assert_close(receptive_box(part, part.first, place, field), torch.tensor([[31.0, 31.0, 33.0, 33.0]]))


def test_a_field_of_zeros_is_the_centre() -> None:
    part = tiny_explained().recording.whole
    assert part.first is not None
    place = position_at(part, part.first, 0, (64.0, 48.0))
    box = receptive_box(part, part.first, place, torch.zeros(64, 96))
    assert float(box[0, 2] - box[0, 0]) <= 2


def test_the_layers_keep_their_mode() -> None:
    recording = tiny_explained().recording
    part, model = recording.whole, recording.predictor.detector.model
    assert part.first is not None
    model.train()
    receptive_field(recording, part, position_at(part, part.first, 0, (64.0, 48.0)))
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())

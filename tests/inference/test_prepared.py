"""A prepared detector gives what its model gives, in the frame of the image, and without gradients."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from faster_rcnn.errors import ModelFileError
from faster_rcnn.inference.prepared import PreparedDetector, prepare
from faster_rcnn.structures import Proposals
from files import loaded_model
from tiny import assert_equal_detections, boxes_of, random_image, training_batch, truth_of

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def exact() -> PreparedDetector:
    return prepare(loaded_model(), CPU, torch.float32)


def test_exact_detections_are_those_of_the_model_to_the_last_bit(exact: PreparedDetector) -> None:
    image = random_image(40, 60)
    with torch.no_grad():
        [expected] = loaded_model().model.detect([image])
    [found] = exact.detect([image])
    assert torch.equal(found.boxes, expected.boxes)
    assert torch.equal(found.scores, expected.scores)
    assert torch.equal(found.labels, expected.labels)


def test_an_optimized_detector_leaves_the_loaded_model_as_it_is() -> None:
    loaded = loaded_model()
    before = {name: each.clone() for name, each in loaded.model.state_dict().items()}
    detector = prepare(loaded, CPU, torch.float32, exact=False)
    assert detector.model is loaded.model
    assert detector.network is not loaded.model
    assert not detector.exact
    after = loaded.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(each, after[name]) for name, each in before.items())
    image = random_image(40, 60)
    [found], [expected] = detector.detect([image]), prepare(loaded_model(), CPU, torch.float32).detect([image])
    assert_close(found.scores[:10], expected.scores[:10], rtol=0, atol=1e-4)


def test_external_proposals_replace_the_first_stage(exact: PreparedDetector) -> None:
    given = Proposals(boxes_of([[0, 0, 30, 30], [10, 5, 55, 38]]), torch.tensor([0.9, 0.8]))
    [found] = exact.detect([random_image(40, 60)], [given])
    assert found.proposals is not None
    assert set(found.proposals.tolist()) <= {0, 1}
    assert len(found) > 0


def test_proposals_lie_in_the_image_best_first(exact: PreparedDetector) -> None:
    found = exact.propose(random_image(40, 60))
    assert 0 < len(found.boxes) <= 50
    assert bool((found.boxes >= 0).all())
    assert bool((found.boxes <= torch.tensor([60.0, 40.0, 60.0, 40.0])).all())
    assert torch.equal(found.scores, found.scores.sort(descending=True).values)


def test_validation_gives_losses_and_the_same_detections(exact: PreparedDetector) -> None:
    image = random_image(64, 96)  # the size to which the detector resizes
    losses, [found] = exact.validate(training_batch([image], [truth_of([[10, 10, 40, 50]], [1])], [0]))
    assert list(losses.named()) == ["rpn_objectness", "rpn_box", "roi_class", "roi_box"]
    assert bool(losses.total.isfinite())
    assert not losses.total.requires_grad
    assert_equal_detections(found, exact.detect([image])[0])


def test_int8_needs_ranges_of_activations() -> None:
    with pytest.raises(ModelFileError, match="E123"):
        prepare(loaded_model(), CPU, torch.int8)

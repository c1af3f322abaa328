"""The stages of one image in the paper's order, for its page: what each does, its picture, and its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from faster_rcnn.explanation.causes.explained import Explained
from faster_rcnn.explanation.page_numbers import (
    anchor_rows,
    assignment_rows,
    detection_rows,
    first_transform_rows,
    grid_rows,
    image_rows,
    level_rows,
    objectness_rows,
    pooling_rows,
    probability_rows,
    proposal_rows,
    sample_rows,
    second_transform_rows,
)
from faster_rcnn.explanation.plots.anchors import plot_anchors, plot_grid
from faster_rcnn.explanation.plots.assignment import plot_assignment, plot_sample
from faster_rcnn.explanation.plots.choice import chosen_part
from faster_rcnn.explanation.plots.detections import plot_detections
from faster_rcnn.explanation.plots.features import plot_features
from faster_rcnn.explanation.plots.image import plot_image
from faster_rcnn.explanation.plots.objectness import plot_objectness
from faster_rcnn.explanation.plots.pooling import plot_pooling
from faster_rcnn.explanation.plots.probabilities import plot_probabilities
from faster_rcnn.explanation.plots.proposals import plot_proposals
from faster_rcnn.explanation.plots.transforms import plot_first_transform, plot_second_transform
from faster_rcnn.explanation.record.lives import PartFates

FIRST, SECOND, TRUTH, PROPOSALS = "first stage", "second stage", "truth", "proposals"
ABSENT = {
    FIRST: "External proposals replace the first stage of this detector, so it has no anchors and no objectness.",
    SECOND: "This detector is a region proposal network alone: its proposals are its output.",
    TRUTH: (
        "The truth of this image is not known, so no anchor is positive or negative; the option --data names labelled "
        "images."
    ),
    PROPOSALS: "No proposal was made in this image, so there is no region to follow.",
}
"""Why a stage has no picture, by what it needs and lacks."""

Numbers = tuple[tuple[str, str], ...]
"""Names and values in words."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """One stage on the page."""

    key: str
    """Its anchor in the page's address."""
    title: str
    text: str
    """Two sentences that explain the stage."""
    picture: Image.Image | None
    numbers: Numbers
    absent: str = ""
    """Why it does not apply to this image, in one sentence; empty where it does."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a stage is made."""

    key: str
    title: str
    text: str
    needs: tuple[str, ...]
    plot: Callable[[Explained, PartFates], Image.Image]
    numbers: Callable[[Explained, PartFates], Numbers]


def stages_of(explained: Explained) -> tuple[Stage, ...]:
    """Every stage of the part of the image that holds the best detection; stages that do not apply say why."""
    fates = chosen_part(explained.recording, explained.fates, None)
    part = fates.part
    lacking = {
        FIRST: part.first is None,
        SECOND: part.second is None,
        TRUTH: explained.truth is None,
        PROPOSALS: not len(part.proposals.scores),
    }
    stages = []
    for plan in PLANS:
        absent = next((ABSENT[need] for need in plan.needs if lacking[need]), "")
        picture = None if absent else plan.plot(explained, fates)
        numbers = () if absent else plan.numbers(explained, fates)
        stages.append(Stage(plan.key, plan.title, plan.text, picture, numbers, absent))
    return tuple(stages)


def _detections_picture(explained: Explained, fates: PartFates) -> Image.Image:
    if explained.truth is None:
        return plot_detections(explained.recording)
    return plot_detections(explained.recording, explained.verdicts, explained.false_positives)


PLANS = (
    _Plan(
        "image",
        "The image, and its resized copy",
        "The network computes on a resized copy of the image, normalized and padded with zeros to a multiple of the "
        "body's largest stride. Anchors have fixed sizes in this copy, so its scale decides which objects they fit.",
        (),
        lambda explained, fates: plot_image(explained.recording, fates),
        lambda explained, fates: image_rows(fates.part),
    ),
    _Plan(
        "features",
        "Feature maps",
        "The backbone computes feature maps of the whole image once, and both stages read them. A coarse map has few "
        "features of wide view, a fine map has many features of small objects.",
        (),
        lambda explained, fates: plot_features(explained.recording, fates),
        lambda explained, fates: level_rows(fates.part),
    ),
    _Plan(
        "anchors",
        "Anchors at one position",
        "Each feature is the centre of k anchors, boxes of fixed sizes and shapes that the region proposal network "
        "scores and moves. What it computes there depends on the pixels of the receptive field alone.",
        (FIRST,),
        lambda explained, fates: plot_anchors(explained.recording, fates),
        anchor_rows,
    ),
    _Plan(
        "grid",
        "Anchors over the image",
        "The same k anchors lie at every feature of a level, so the network is translation-invariant up to its stride "
        "and its zero padding. Fine levels have small anchors, coarse levels large ones.",
        (FIRST,),
        lambda explained, fates: plot_grid(explained.recording, fates),
        lambda explained, fates: grid_rows(fates.part),
    ),
    _Plan(
        "assignment",
        "Positive, negative and neutral anchors",
        "In training, an anchor is positive where its IoU with a truth is high or the highest of all anchors, and "
        "negative where its IoU with every truth is low. Neutral anchors, between the two, take no part.",
        (FIRST, TRUTH),
        lambda explained, fates: plot_assignment(explained.recording, fates),
        assignment_rows,
    ),
    _Plan(
        "sample",
        "The sampled mini-batch",
        "Negative anchors outnumber positive ones by far, so each training step draws a fixed number of anchors, at "
        "most a share of them positive. These would be drawn from this image with seed 0.",
        (FIRST, TRUTH),
        lambda explained, fates: plot_sample(explained.recording, fates),
        sample_rows,
    ),
    _Plan(
        "objectness",
        "Objectness",
        "The first stage predicts for each anchor the probability that it holds an object of any class. Each map shows "
        "the best of the k anchors at every position of a level.",
        (FIRST,),
        lambda explained, fates: plot_objectness(explained.recording, fates),
        objectness_rows,
    ),
    _Plan(
        "first-transform",
        "First chance: anchor to proposal",
        "The first stage predicts a transform for each anchor, which moves and stretches it towards the object. This "
        "is the first of two chances to correct a box.",
        (FIRST, PROPOSALS),
        lambda explained, fates: plot_first_transform(explained.recording, fates),
        first_transform_rows,
    ),
    _Plan(
        "proposals",
        "The best boxes before and after NMS",
        "Of the boxes with the highest objectness, NMS removes those that overlap a better one too much. The best that "
        "remain are the proposals, the only regions that the second stage reads.",
        (FIRST, PROPOSALS),
        lambda explained, fates: plot_proposals(explained.recording, fates),
        proposal_rows,
    ),
    _Plan(
        "pooling",
        "RoI pool and RoI align of one region",
        "Each region of the feature map becomes a grid of fixed size, whatever the region's shape. RoI pool rounds its "
        "bins to whole features and takes maxima; RoI align samples exact points between the features.",
        (SECOND, PROPOSALS),
        lambda explained, fates: plot_pooling(explained.recording, fates),
        pooling_rows,
    ),
    _Plan(
        "probabilities",
        "Class probabilities",
        "The second stage predicts the class of each region, with background as one more class. The probabilities sum "
        "to 1, and that of a class is the score of its detection.",
        (SECOND, PROPOSALS),
        lambda explained, fates: plot_probabilities(explained.recording, fates),
        probability_rows,
    ),
    _Plan(
        "second-transform",
        "Second chance: proposal to output",
        "The second stage predicts a transform for each region and class, which moves the proposal to the output box. "
        "This is the second chance to correct the box.",
        (SECOND, PROPOSALS),
        lambda explained, fates: plot_second_transform(explained.recording, fates),
        second_transform_rows,
    ),
    _Plan(
        "detections",
        "Final boxes",
        "NMS within each class removes duplicates, and boxes below the threshold of the score are not reported. Where "
        "the truth is known, each detection is right or false and each truth is found or missed.",
        (),
        _detections_picture,
        lambda explained, fates: detection_rows(explained),
    ),
)  # fmt: skip

"""Which part, anchor and proposal a picture is about where the caller names none, and errors where there is none."""

from __future__ import annotations

from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.record.lives import Life, PartFates
from faster_rcnn.explanation.record.recording import FirstStage, Recording, SecondStage
from faster_rcnn.structures import GroundTruth


def chosen_part(recording: Recording, fates: tuple[PartFates, ...], part: int | None) -> PartFates:
    """The fates of a part, by its index; by default the part of the best detection.

    Raises ``OptionError`` (E125) where the image has no such part.
    """
    if part is None:
        parts = recording.detections.parts
        return fates[0 if parts is None or not len(parts) else int(parts[0])]
    if not 0 <= part < len(fates):
        raise OptionError(
            f"part {part}: the image has {len(fates)}, 0 for the whole image and then its tiles row by row; choose one "
            f"of 0 to {len(fates) - 1}",
            code="E125",
        )
    return fates[part]


def part_of_detection(recording: Recording, detection: int) -> int | None:
    """The part that a detection was found in, by its index in ``recording.detections``; ``None`` for no such one."""
    parts = recording.detections.parts
    return int(parts[detection]) if parts is not None and 0 <= detection < len(parts) else None


def first_of(fates: PartFates) -> FirstStage:
    """What the first stage computed for a part; raises ``OptionError`` (E125) where external proposals replaced it."""
    if fates.part.first is None:
        raise OptionError(
            "this pass used external proposals, so it has no anchors and no objectness; choose a picture of a later "
            "stage, such as plot_proposals(), or trace a detector with a first stage",
            code="E125",
        )
    return fates.part.first


def second_of(fates: PartFates) -> SecondStage:
    """What the second stage computed for a part; raises ``OptionError`` (E125) for a first stage alone."""
    if fates.part.second is None:
        raise OptionError(
            "this detector is a region proposal network alone, so it has no regions to classify; choose a picture of "
            "the first stage, such as plot_proposals(), or trace a detector with both stages",
            code="E125",
        )
    return fates.part.second


def truth_of(recording: Recording) -> GroundTruth:
    """The truth of the image; raises ``OptionError`` (E125) where it is not known."""
    if recording.truth is None:
        raise OptionError(
            "anchors are positive and negative for the ground truth, which is not known for this image; give it: "
            "detector.trace(image, truth=...)",
            code="E125",
        )
    return recording.truth


def chosen_proposal(recording: Recording, fates: PartFates, proposal: int | None) -> int:
    """A proposal of a part, by its index; by default that of the best detection of the part, else the best proposal.

    Raises ``OptionError`` (E125) where the part has no such proposal.
    """
    count = len(fates.part.proposals.scores)
    if count == 0:
        raise OptionError(
            "the first stage made no proposal in this part of the image, so there is no region to draw; lower "
            "rpn.score_floor or rpn.min_side, or trace another image",
            code="E125",
        )
    if proposal is None:
        return best_proposals(recording, fates, 1)[0]
    if not 0 <= proposal < count:
        raise OptionError(f"proposal {proposal}: this part has {count}; choose one of 0 to {count - 1}", code="E125")
    return proposal


def best_proposals(recording: Recording, fates: PartFates, count: int) -> list[int]:
    """Proposals of the best reported detections of a part, each once, then of the best proposals; at most ``count``."""
    lives = detections_of_part(recording, fates)
    known = [index for index in lives if float(recording.detections.scores[index]) >= recording.conf]
    own = recording.detections.proposals
    found = [] if own is None else [int(own[index]) for index in known or lives[:1]]
    return list(dict.fromkeys([*found, *range(len(fates.part.proposals.scores))]))[:count]


def detections_of_part(recording: Recording, fates: PartFates) -> list[int]:
    """Indices of the detections that were found in a part, best first, whatever their score."""
    parts = recording.detections.parts
    count = len(recording.detections)
    return [index for index in range(count) if (0 if parts is None else int(parts[index])) == fates.index]


def followed_anchor(recording: Recording, fates: PartFates) -> int:
    """The anchor of the best detection of a part, else of its best proposal, else the anchor of highest objectness."""
    origins = fates.part.proposals.anchors
    if origins is not None and len(origins):
        return int(origins[best_proposals(recording, fates, 1)[0]])
    if fates.anchors is None:
        raise ValueError("external proposals have no anchors")
    return int(fates.anchors.objectness.argmax())


def chosen_detection(recording: Recording, fates: PartFates, detection: int) -> Life:
    """The life of a detection of a part, by its index in ``recording.detections``.

    Raises ``OptionError`` (E125) where the image has no such detection, or another part has it.
    """
    count, own = len(recording.detections), recording.detections.proposals
    if own is None or not 0 <= detection < count:
        raise OptionError(f"detection {detection}: the image has {count}, counted from 0", code="E125")
    if detection not in detections_of_part(recording, fates):
        raise OptionError(f"detection {detection} was found in another part than {fates.index}", code="E125")
    return fates.life_of_region(int(own[detection]), int(recording.detections.labels[detection]))

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from faster_rcnn.explanation.dataset.labels import Neighbour
from faster_rcnn.explanation.gallery_crops import (
    FOUND,
    OUTSIDE,
    SIDE,
    crop_picture,
    evenly_over,
    false_gallery,
    missed_gallery,
)
from faster_rcnn.explanation.survey import Survey
from made_surveys import tiny_survey


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return tiny_survey(tmp_path_factory.mktemp("data") / "data")


def test_a_crop_shows_the_box_with_its_surroundings_and_grey_outside_the_image() -> None:
    pixels = torch.full((3, 100, 100), 200, dtype=torch.uint8)
    pixels[:, 40:60, 40:60] = 20
    picture = crop_picture(pixels, (40, 40, 60, 60), None, None)
    # The square has 2.2 times the box's side: 44 pixels from 28 on, so the box begins at 12/44 of the crop.
    assert picture.size == (SIDE, SIDE)
    assert picture.getpixel((SIDE // 2, SIDE // 2)) == (20, 20, 20)
    assert picture.getpixel((8, SIDE // 2)) == (200, 200, 200)
    assert picture.getpixel((round(SIDE * 9 / 44), SIDE // 2)) == (200, 200, 200)
    corner = crop_picture(pixels, (0, 0, 20, 20), None, None)
    assert corner.getpixel((2, 2)) == OUTSIDE
    assert corner.getpixel((SIDE // 2, SIDE // 2)) == (200, 200, 200)


def test_the_box_of_the_detector_is_orange_and_the_truth_dashed() -> None:
    pixels = torch.full((3, 100, 100), 128, dtype=torch.uint8)
    picture = crop_picture(pixels, (40, 40, 60, 60), (40, 40, 60, 60), (45, 45, 55, 55))
    first = round(SIDE * 12 / 44)
    assert picture.getpixel((first, first + 20)) in ((0, 0, 0), (255, 255, 255))
    inner = round(SIDE * 17 / 44)
    assert FOUND in {picture.getpixel((inner + shift, SIDE // 2)) for shift in range(3)}


@pytest.mark.parametrize("box", [(0.0, 0.0, 0.2, 0.2), (-50.0, -50.0, -10.0, -10.0), (0.0, 0.0, 5000.0, 3.0)])
def test_boxes_of_any_place_and_size_give_a_crop(box: tuple[float, float, float, float]) -> None:
    assert crop_picture(torch.zeros(3, 30, 40, dtype=torch.uint8), box, box, box).size == (SIDE, SIDE)


def test_galleries_hold_the_mistakes_of_the_survey(survey: Survey) -> None:
    missed, false = missed_gallery(survey), false_gallery(survey)
    verdicts = [each.verdict for each in survey.truths]
    assert missed.total == sum(verdict.missed for verdict in verdicts) == len(missed.crops)
    assert false.total == sum(len(image.false_positives) for image in survey.images)
    assert len(false.crops) == min(120, false.total) > 3
    for crop in false.crops:
        [one] = (each for each in survey.images[crop.image].false_positives if each.detection == crop.index)
        assert (crop.kind, crop.label, crop.score) == (one.kind, one.label, one.score)
        assert crop.name == survey.images[crop.image].record.path.name
    assert [crop.score for crop in false.crops] == sorted((crop.score for crop in false.crops), reverse=True)  # type: ignore[type-var]


def test_a_probable_missing_label_names_the_training_regions_that_it_resembles(survey: Survey) -> None:
    place = next(index for index, image in enumerate(survey.images) if image.false_positives)
    detection = survey.images[place].false_positives[0].detection
    near = (Neighbour("train/a.png", 0, (0, 0, 1, 1), 0.914), Neighbour("train/b.png", 0, (0, 0, 1, 1), 0.9))
    images = list(survey.images)
    images[place] = replace(images[place], neighbours={detection: near})
    crops = false_gallery(replace(survey, images=tuple(images))).crops
    found = [crop for crop in crops if "resembles labelled regions" in crop.sentence]
    assert [(crop.image, crop.index) for crop in found] == [(place, detection)]
    assert found[0].sentence.endswith("It resembles labelled regions of a.png (cosine 0.91), b.png (cosine 0.90).")


def test_a_gallery_has_at_most_the_asked_number_of_crops(survey: Survey) -> None:
    few = false_gallery(survey, 3)
    assert len(few.crops) == 3
    assert few.total == false_gallery(survey).total
    assert len({crop.kind for crop in few.crops}) == min(3, len({crop.kind for crop in false_gallery(survey).crops}))


def test_a_crop_is_made_of_the_pixels_of_its_image(survey: Survey) -> None:
    [first, *_] = missed_gallery(survey).crops
    image = survey.images[first.image]
    with Image.open(image.record.path) as picture:
        pixels = torch.tensor(np.asarray(picture.convert("RGB"))).permute(2, 0, 1)
    box = image.record.truth.boxes[first.index]
    x1, y1, x2, y2 = box.tolist()
    plain = crop_picture(pixels, (x1, y1, x2, y2), None, None)
    center = (SIDE // 2, SIDE // 2)
    assert Path(image.record.path).name == first.name
    assert plain.getpixel(center) == first.picture.getpixel(center)


@given(st.lists(st.sampled_from("abcd"), max_size=40), st.integers(0, 20))
def test_items_are_chosen_evenly_over_their_kinds(items: list[str], count: int) -> None:
    chosen = evenly_over(list(enumerate(items)), lambda item: item[1], count)
    assert len(chosen) == min(count, len(items))
    assert chosen == sorted(set(chosen))
    found, there = Counter(kind for _, kind in chosen), Counter(items)
    # A kind has fewer than another by more than one only where there are no more of it.
    for kind in there:
        assert found[kind] == there[kind] or found[kind] >= max(found.values(), default=0) - 1

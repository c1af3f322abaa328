"""The page of a data set: the funnel, what each mistake costs, and galleries of misses and of false positives.

The page is one HTML file that needs no other file, no network and no library.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faster_rcnn.explanation.causes.false_positives import FalseKind
from faster_rcnn.explanation.embedding import MAX_BYTES, data_urls, json_for_script, policy_of, script_text
from faster_rcnn.explanation.gallery_counts import counts_data, lowest_score
from faster_rcnn.explanation.gallery_crops import MAX_CROPS, Crop, Gallery, false_gallery, missed_gallery
from faster_rcnn.explanation.gallery_tables import advice_rows, false_rows, funnel_rows, group_tables, oracle_rows
from faster_rcnn.explanation.survey import Survey
from faster_rcnn.reporting.pages import render_page, write_page
from faster_rcnn.system.terminal import printable

TEMPLATE, SCRIPT = "explanation_dataset.html.jinja", "explanation_dataset.js"


@dataclass(frozen=True, slots=True)
class CropView:
    """A crop as the template shows it."""

    crop: Crop
    class_name: str
    url: str


@dataclass(frozen=True, slots=True)
class GalleryView:
    """A gallery as the template shows it."""

    key: str
    title: str
    total: int
    crops: tuple[CropView, ...]

    @property
    def kinds(self) -> list[str]:
        """The kinds that have crops."""
        return sorted({view.crop.kind for view in self.crops})

    @property
    def classes(self) -> list[tuple[int, str]]:
        """Labels and names of the classes that have crops."""
        return sorted({(view.crop.label, view.class_name) for view in self.crops})


def save_dataset_page(survey: Survey, path: Path, data: str, model: str, max_crops: int = MAX_CROPS) -> Path:
    """Write the page of a data set atomically and return its path.

    Args:
        survey: the judged split.
        path: the HTML file.
        data: the name of the data on the page.
        model: the name of the detector on the page.
        max_crops: the largest number of crops of each gallery.

    Raises:
        ImageError: an image of a crop cannot be read any more.
        MachineError: the file cannot be written.
    """
    return write_page(path, dataset_page(survey, data, model, max_crops))


def dataset_page(survey: Survey, data: str, model: str, max_crops: int = MAX_CROPS) -> str:
    """The HTML of the page of a data set; the arguments are those of ``save_dataset_page``."""
    missed, false = missed_gallery(survey, max_crops), false_gallery(survey, max_crops)
    urls = data_urls([crop.picture for crop in (*missed.crops, *false.crops)], MAX_BYTES)
    split = len(missed.crops)
    galleries = [
        _view("missed", "Missed truths", missed, urls[:split], survey),
        _view("false", "False positives", false, urls[split:], survey),
    ]
    script, funnel = script_text(SCRIPT), survey.funnel
    return render_page(
        TEMPLATE,
        data_name=data,
        model=model,
        split=survey.split.name,
        notes=survey.notes,
        images=len(survey.images),
        thresholds=survey.thresholds,
        impact=survey.impact,
        total=funnel.total,
        false_total=false.total,
        funnel=funnel_rows(survey),
        false_rows=false_rows(survey),
        has_tide=survey.tide is not None,
        oracles=oracle_rows(survey),
        groups=group_tables(survey),
        advice=survey.advice,
        followed=advice_rows(survey),
        galleries=galleries,
        floor=lowest_score(survey.images, survey.thresholds.conf),
        false_kinds=[str(kind) for kind in FalseKind],
        script=script,
        policy=policy_of(script),
        numbers=json_for_script(_numbers(survey)),
    )


def _numbers(survey: Survey) -> dict[str, Any]:
    """What the script counts."""
    labelled = {
        f"{place} {one.detection}"
        for place, image in enumerate(survey.images)
        for one in image.false_positives
        if one.kind == FalseKind.MISSING_LABEL
    }
    return {
        "images": counts_data(survey.images, lowest_score(survey.images, survey.thresholds.conf)),
        "missing": sorted(labelled),
    }


def _view(key: str, title: str, gallery: Gallery, urls: list[str], survey: Survey) -> GalleryView:
    names = [printable(survey.classes.name_of(crop.label)) for crop in gallery.crops]
    views = [CropView(crop, name, url) for crop, name, url in zip(gallery.crops, names, urls, strict=True)]
    return GalleryView(key, title, gallery.total, tuple(views))

"""``report.html`` of a training run: one page that needs no other file, to be read, kept and mailed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faster_rcnn.evaluation.figures import page_values
from faster_rcnn.evaluation.metrics import ClassMetrics, Metrics
from faster_rcnn.reporting.curves import Curve, draw_curves, highest
from faster_rcnn.reporting.pages import render_page, write_page
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config
from faster_rcnn.training.examples import SCORE, Example

REPORT = "report.html"
TEMPLATE = "report.html.jinja"

LOSSES = {
    "rpn_objectness": "RPN objectness",
    "rpn_box": "RPN box",
    "roi_class": "RoI class",
    "roi_box": "RoI box",
}
"""Titles of the losses on the page, by their names in ``metrics.csv`` after ``train_`` and ``val_``."""
ACCURACY = ("AP", "AP50", "AP75")

MAX_CLASSES = 40
"""Rows of the table of classes; with more classes, half as many of the best and of the worst are shown."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing and its title."""

    title: str
    drawing: str
    """An ``<svg>`` element."""


@dataclass(frozen=True, slots=True)
class ClassTable:
    """Classes under one heading, best first."""

    title: str
    rows: tuple[ClassMetrics, ...]


def write_report(
    folder: Path,
    summary: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    config: Config,
    metrics: Metrics | None,
    examples: Sequence[Example],
    refresh: int | None = None,
) -> Path:
    """Write the report of a run into its folder and return where it is.

    Args:
        folder: run folder.
        summary: content of ``summary.json``.
        rows: rows of ``metrics.csv``, one per epoch, 1 or more.
        config: all settings of the run.
        metrics: metrics of the best epoch on the validation split; None without such a split, or where that epoch was
            before an interruption.
        examples: pictures of the validation split.
        refresh: seconds after which the page of a run that goes on loads itself again; ``None`` at the end.

    Raises:
        MachineError: the disk is full or may not be written.
    """
    return write_page(folder / REPORT, render(folder, summary, rows, config, metrics, examples, refresh))


def render(
    folder: Path,
    summary: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    config: Config,
    metrics: Metrics | None,
    examples: Sequence[Example],
    refresh: int | None = None,
) -> str:
    """The HTML of the page; every text in it is escaped, since names of classes and files come from outside."""
    return render_page(
        TEMPLATE,
        refresh=refresh,
        folder=folder,
        name=Path(summary["data"]).resolve().name,
        summary=summary,
        best=summary["best"],
        validated="AP" in summary["best"],
        criterion="AR100, the recall with 100 proposals," if config.detector.kind == "rpn" else "AP",
        classes=sum(name is not None for name in summary["classes"]),
        figures=figures(rows, summary["best"]["epoch"]),
        epochs=[_epoch_line(row) for row in rows],
        metrics=metrics,
        tables=class_tables(metrics.per_class) if metrics else [],
        examples=examples,
        score=SCORE,
        evaluate=shlex.join(["faster-rcnn", "evaluate", str(folder), summary["data"], "--split", "val"]),
        changes=changed_settings(config),
        **({"details": None} if metrics is None else page_values(metrics)),
    )


def figures(rows: Sequence[Mapping[str, Any]], best_epoch: int) -> list[Figure]:
    """Curves of a run: accuracy, losses at one scale, learning rate; a curve without any value is left out."""
    best = next((index for index, row in enumerate(rows) if row["epoch"] == best_epoch), None)
    training, validation = _losses(rows, "train"), _losses(rows, "val")
    top = highest([*training, *validation])
    accuracy = [_curve(rows, name, name) for name in ACCURACY]
    wanted = (
        ("Accuracy on validation", accuracy, None),
        ("Losses in training", training, top),
        ("Losses on validation", validation, top),
        ("Learning rate", [_curve(rows, "lr", "learning rate")], None),
    )
    validated = any(curve.known() for curve in accuracy)
    return [
        Figure(title, draw_curves(title, curves, best if validated else None, limit))
        for title, curves, limit in wanted
        if any(curve.known() for curve in curves)
    ]


def class_tables(per_class: Sequence[ClassMetrics], max_classes: int = MAX_CLASSES) -> list[ClassTable]:
    """Tables of all classes, best first, without ground truth last; of many classes, the best and the worst."""
    measured = sorted((each for each in per_class if each.ap is not None), key=lambda each: -(each.ap or 0.0))
    if len(per_class) <= max_classes:
        return [ClassTable("", (*measured, *(each for each in per_class if each.ap is None)))]
    half = max_classes // 2
    if len(measured) <= max_classes:
        return [ClassTable("", tuple(measured))]
    return [
        ClassTable(f"The best {half}", tuple(measured[:half])),
        ClassTable(f"The worst {half}", tuple(measured[-half:])),
    ]


def changed_settings(config: Config) -> list[tuple[str, str, str]]:
    """Key, value and preset's value of every setting that differs from the preset."""
    usual = preset(config.preset).model_dump(mode="json")
    chosen = config.model_dump(mode="json")
    return [
        (f"{section}.{key}", _written(value), _written(usual[section][key]))
        for section, values in chosen.items()
        if isinstance(values, dict)
        for key, value in values.items()
        if value != usual[section][key]
    ]


def _losses(rows: Sequence[Mapping[str, Any]], prefix: str) -> list[Curve]:
    return [_curve(rows, f"{prefix}_{key}", name) for key, name in LOSSES.items()]


def _curve(rows: Sequence[Mapping[str, Any]], key: str, name: str) -> Curve:
    return Curve(name, tuple(row.get(key) for row in rows))


def _epoch_line(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table of epochs, with the sum of the losses instead of each of the four."""
    losses = [[row.get(f"{kind}_{key}") for key in LOSSES] for kind in ("train", "val")]
    return {
        "epoch": row["epoch"],
        "losses": [None if None in four else sum(four) for four in losses],
        "accuracy": [row.get(name) for name in ACCURACY],
        "lr": f"{row['lr']:.3g}",
    }


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

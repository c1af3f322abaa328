"""The report page: complete, self-contained, true to the numbers, and nobody's text is taken for markup."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from faster_rcnn.errors import MachineError
from faster_rcnn.evaluation.metrics import ClassMetrics, Metrics
from faster_rcnn.reporting.pages import duration
from faster_rcnn.settings.presets import PRESETS, preset
from faster_rcnn.settings.schema import Config
from faster_rcnn.training import session, validation
from faster_rcnn.training.examples import Example
from faster_rcnn.training.loop import Interrupted
from faster_rcnn.training.report import changed_settings, class_tables, figures, render, write_report
from made_data import make_squares, settings_file, train_with
from read_reports import WellFormed, stopped_after, text_of

EVIL = '<script>alert("1")</script>'


def made_rows(epochs: int, validated: bool = True) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for epoch in range(1, epochs + 1):
        fall = math.exp(-epoch)
        row: dict[str, Any] = {"epoch": epoch, "step": 10 * epoch, "lr": 0.02 / epoch, "training_seconds": 5.0 * epoch}
        losses = {"rpn_objectness": 0.1 + fall, "rpn_box": 0.05, "roi_class": 0.2 + fall, "roi_box": 0.15}
        row |= {f"train_{name}": value for name, value in losses.items()}
        if validated:
            row |= {f"val_{name}": 1.1 * value for name, value in losses.items()}
            row |= {"AP": 0.5 - fall, "AP50": 0.8 - fall, "AP75": 0.55 - fall, "APs": None}
        rows.append(row)
    return rows


def made_summary(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str | None] = ("cell", "platelet")
) -> dict[str, Any]:
    return {
        "data": "data/cells",
        "preset": "small",
        "classes": list(names),
        "ended": "all epochs are done",
        "epochs": len(rows),
        "steps": 10 * len(rows),
        "images": 1234,
        "best": rows[-1],
        "last": rows[-1],
        "training_seconds": 61.0,
        "training_seconds_per_image": 0.0494,
        "validation_seconds": 7.5,
        "total_seconds": 75.2,
        "device": "cpu",
        "precision": "float32",
        "threads": 2,
        "changes": ["from step 11 on: threads 4 -> 2"],
        "versions": {"faster_rcnn": "0.1.0", "torch": "2.9.1", "python": "3.11.2"},
    }


def made_metrics(*per_class: ClassMetrics, value: float | None = 0.5, images: int = 1200, truths: int = 34) -> Metrics:
    numbers: dict[str, Any] = {field.name: value for field in fields(Metrics) if field.name.startswith(("ap", "ar"))}
    return Metrics(**numbers, per_class=per_class, images=images, truths=truths, ignored=2, engine="made", notes=())


def page(
    epochs: int = 3,
    validated: bool = True,
    metrics: Metrics | None = None,
    examples: Sequence[Example] = (),
    config: Config | None = None,
    **summary: object,
) -> str:
    rows = made_rows(epochs, validated)
    config = config or preset("small")
    html = render(Path("runs/cells"), made_summary(rows) | summary, rows, config, metrics, examples)
    assert WellFormed.faults(html) == []
    return html


def test_the_headline_is_of_the_best_epoch() -> None:
    text = text_of(page(metrics=made_metrics(ClassMetrics("cell", 0.5, 0.75, 34))))
    # 0.5 - e^-3 = 0.4502, 0.8 - e^-3 = 0.7502
    assert "cells Faster R-CNN, preset small, trained to find 2 classes" in text
    assert "AP 0.450 AP50 0.750 AP75 0.500 Best epoch 3 of 3 Total time 1 min 15 s" in text
    assert "1,200 validation images with 34 labelled boxes and 2 ignored" in text
    assert "cell 0.500 0.750 34" in text
    assert "1 min 1 s, 0.049 s an image" in text
    assert "torch 2.9.1" in text


def test_every_epoch_is_in_the_table() -> None:
    text = text_of(page(epochs=2))
    # Epoch 2: 0.1 + 0.05 + 0.2 + 0.15 + 2 e^-2 = 0.7707, times 1.1 in validation = 0.8477
    assert "2 (best) 0.771 0.848 0.365 0.665 0.415 0.01" in text


def test_four_drawings_and_with_no_validation_two() -> None:
    titles = [figure.title for figure in figures(made_rows(3), best_epoch=2)]
    assert titles == ["Accuracy on validation", "Losses in training", "Losses on validation", "Learning rate"]
    titles = [figure.title for figure in figures(made_rows(3, validated=False), best_epoch=3)]
    assert titles == ["Losses in training", "Learning rate"]


def test_a_report_without_validation_states_that() -> None:
    text = text_of(page(validated=False))
    assert "no validation split" in text
    assert "AP50" not in text
    assert "Classes" not in text


def test_one_epoch() -> None:
    assert "Best epoch 1 of 1" in text_of(page(epochs=1))


def test_a_best_epoch_before_an_interruption_has_no_classes_but_a_command_for_them() -> None:
    text = text_of(page(metrics=None, data="my data/cells"))
    assert "faster-rcnn evaluate runs/cells &#39;my data/cells&#39; --split val" in text


def test_a_validation_split_without_boxes() -> None:
    rows = [row | {"AP": None, "AP50": None, "AP75": None} for row in made_rows(2)]
    metrics = made_metrics(ClassMetrics("cell", None, None, 0), value=None, images=1, truths=0)
    text = text_of(render(Path("run"), made_summary(rows), rows, preset("small"), metrics, []))
    assert "The validation split has no labelled boxes" in text
    assert "cell n/a n/a 0" in text
    assert "1 validation image with 0 labelled boxes" in text


def test_texts_of_users_are_never_markup() -> None:
    examples = [Example(EVIL, Image.new("RGB", (8, 6)), 1, 1)]
    config = preset("small")
    config = config.model_copy(update={"data": config.data.model_copy(update={"train": EVIL})})
    metrics = made_metrics(ClassMetrics(EVIL, 0.5, 0.5, 3))
    html = page(metrics=metrics, examples=examples, config=config, data=EVIL)  # which searches for scripts
    assert html.count("&lt;script&gt;") >= 5


def test_pictures_are_inside(tmp_path: Path) -> None:
    examples = [Example(f"{n}.jpg", Image.new("RGB", (8, 6)), n, 4) for n in range(2)]
    html = page(examples=examples)
    assert html.count('<img src="data:image/jpeg;base64,/9j/') == 2
    assert "1.jpg · 1 detected, 4 labelled" in html
    assert "Validation pictures" not in page()


def test_a_few_classes_are_sorted_and_those_without_truth_come_last() -> None:
    classes = [ClassMetrics(name, ap, ap, 1) for name, ap in (("a", 0.1), ("b", None), ("c", 0.9))]
    (table,) = class_tables(classes)
    assert [row.name for row in table.rows] == ["c", "a", "b"]


def test_of_very_many_classes_the_best_and_the_worst() -> None:
    classes = [ClassMetrics(f"class {n}", n / 1200 if n % 2 else None, 0.5, 1) for n in range(1200)]
    best, worst = class_tables(classes)
    assert [row.name for row in best.rows] == [f"class {n}" for n in range(1199, 1159, -2)]
    assert [row.name for row in worst.rows] == [f"class {n}" for n in range(39, 0, -2)]
    text = text_of(page(metrics=made_metrics(*classes)))
    assert "40 of 1,200 classes are shown; this command prints all of them: faster-rcnn evaluate" in text


def test_of_very_many_classes_those_with_truths_where_they_are_few() -> None:
    classes = [ClassMetrics(f"class {n}", 0.5 if n < 30 else None, 0.5, 1) for n in range(1200)]
    (table,) = class_tables(classes)
    assert len(table.rows) == 30
    assert "30 of 1,200 classes are shown" in text_of(page(metrics=made_metrics(*classes)))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_no_changes(name: str) -> None:
    assert changed_settings(preset(name)) == []


def test_changes_are_named_with_what_the_preset_has() -> None:
    config = preset("small")
    training = config.training.model_copy(update={"epochs": 8, "scale_jitter": (0.5, 2.0)})
    config = config.model_copy(update={"training": training})
    assert changed_settings(config) == [
        ("training.epochs", "8", "auto"),
        ("training.scale_jitter", "[0.5, 2.0]", "[0.8, 1.25]"),
    ]
    assert "training.scale_jitter [0.5, 2.0] [0.8, 1.25]" in text_of(page(config=config))
    assert "All settings are those of preset small" in text_of(page())


def test_durations() -> None:
    assert [duration(seconds) for seconds in (0.04, 59.9, 59.96, 725, 11_220)] == [
        "0.0 s",
        "59.9 s",
        "1 min 0 s",
        "12 min 5 s",
        "3 h 7 min",
    ]


def test_a_file_name_that_is_no_text_is_written_all_the_same(tmp_path: Path) -> None:
    rows = made_rows(1)
    examples = [Example("caf\udce9.jpg", Image.new("RGB", (8, 6)), 0, 0)]
    path = write_report(tmp_path, made_summary(rows), rows, preset("small"), None, examples)
    assert path == tmp_path / "report.html"
    assert "caf\\udce9.jpg" in path.read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    rows = made_rows(1)
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match=r"report\.html"):
        write_report(tmp_path / "file", made_summary(rows), rows, preset("small"), None, [])


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """Trains two epochs of two steps on small squares, in one go or in two, and returns the text of the report."""
    data = make_squares(tmp_path / "squares", {"train": 8, "val": 3})
    file = settings_file(tmp_path)

    def train(resume: bool = False) -> str:
        folder = train_with(data, out=tmp_path / "run", config=None if resume else file, resume=resume)
        html = (folder / "report.html").read_text(encoding="utf-8")
        assert WellFormed.faults(html) == []
        return text_of(html)

    return train


def measured_as(*aps: float) -> Callable[..., Metrics]:
    values = iter(aps)

    def measure(*_: object) -> Metrics:
        ap = next(values)
        return made_metrics(ClassMetrics("dark", ap, ap, 3), value=ap)

    return measure


def test_training_ends_with_a_report_of_its_best_epoch(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "measure_split", measured_as(0.7, 0.6))
    text = run()
    assert "squares Faster R-CNN, preset small, trained to find 2 classes" in text
    assert "AP 0.700 AP50 0.700 AP75 0.700 Best epoch 1 of 2" in text
    assert "dark 0.700 0.700 3" in text
    assert re.findall(r"val\d\.png", text) == ["val0.png", "val1.png", "val2.png"]
    assert "training.epochs 2 auto" in text


@pytest.mark.parametrize(("aps", "known"), [((0.7, 0.6), False), ((0.6, 0.7), True)])
def test_after_an_interruption_the_report_has_the_classes_of_an_epoch_that_came_after_it(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch, aps: tuple[float, float], known: bool
) -> None:
    monkeypatch.setattr(validation, "measure_split", measured_as(*aps))
    with monkeypatch.context() as patched:
        patched.setattr(session, "stop_signals", stopped_after(6))  # two steps, three images, and a step
        with pytest.raises(Interrupted):
            run()
    text = run(resume=True)
    assert ("dark 0.700 0.700 3" in text) is known
    assert ("before an interruption" in text) is not known
    assert "val2.png" in text

"""The model card of a detector on the Hugging Face Hub: what it finds, how it is used, what was measured."""

from __future__ import annotations

import yaml

from faster_rcnn.evaluation.change import NAMES
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.reporting.pages import decimal
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap
from faster_rcnn.system.terminal import printable
from faster_rcnn.system.wording import count_of


def model_card(
    repository: str,
    config: Config,
    classes: ClassMap,
    *,
    metrics: Metrics | None = None,
    data: str | None = None,
    licence: str | None = None,
) -> str:
    """The text of a ``README.md``: metadata that the hub reads, then sections for people.

    Args:
        repository: such as ``owner/name``.
        config: settings of the detector.
        classes: its classes.
        metrics: what was measured on labelled images.
        data: a name for these images.
        licence: the hub's name of the licence, such as ``apache-2.0``.
    """
    names = [name for name in classes.names if name is not None]
    sections = [
        f"---\n{yaml.safe_dump(_metadata(repository, metrics, data, licence), sort_keys=False, allow_unicode=True)}---",
        f"# {_text(repository.rpartition('/')[2])}",
        f"A Faster R-CNN that finds {count_of(len(names), 'class', 'classes')} of objects, in the format of "
        "[faster-rcnn](https://pypi.org/project/faster-rcnn/).",
        "## Use",
        f"```sh\npip install 'faster-rcnn[hub]'\nfaster-rcnn predict hf://{repository} photo.jpg\n```",
        "```python\nfrom faster_rcnn import Detector\n\n"
        f'detector = Detector.load("hf://{repository}")\nprint(detector.predict("photo.jpg").names)\n```',
        "## Classes",
        ", ".join(
            f"{_text(name)} ({class_id})" for name, class_id in zip(classes.names, classes.ids, strict=True) if name
        ),
        "The numbers are the ids of the classes in the data that the detector was trained on.",
        "## Detector",
        _detector(config),
        *_measured(metrics, data),
    ]
    return "\n\n".join(sections) + "\n"


def _metadata(repository: str, metrics: Metrics | None, data: str | None, licence: str | None) -> dict[str, object]:
    metadata: dict[str, object] = {
        "library_name": "faster-rcnn",
        "pipeline_tag": "object-detection",
        "tags": ["object-detection", "faster-rcnn"],
    }
    if licence is not None:
        metadata["license"] = licence
    defined = [] if metrics is None else [(key, getattr(metrics, field)) for key, field in NAMES.items()]
    values = [{"type": key, "value": round(value, 4)} for key, value in defined if value is not None]
    if values:
        task = {"type": "object-detection"}
        dataset = {"name": data or "not named", "type": "custom"}
        metadata["model-index"] = [
            {
                "name": repository.rpartition("/")[2],
                "results": [{"task": task, "dataset": dataset, "metrics": values}],
            }
        ]
    return metadata


def _detector(config: Config) -> str:
    image, backbone = config.image, config.backbone
    rows = {
        "preset": config.preset or "none",
        "stages": config.detector.kind,
        "body": backbone.body,
        "image size": f"short side {image.short_side} pixels, long side at most {image.long_side}",
        "NMS": f"IoU {config.roi.nms_iou:g}, at most {config.roi.max_detections} detections of an image",
    }
    return "\n".join(
        ["| setting | value |", "|---|---|", *(f"| {key} | {_text(value)} |" for key, value in rows.items())]
    )


def _measured(metrics: Metrics | None, data: str | None) -> list[str]:
    if metrics is None:
        return []
    on = f"On {_text(data)}: " if data else "On "
    rows = [f"| {key} | {decimal(getattr(metrics, field))} |" for key, field in NAMES.items()]
    per_class = [f"| {_text(each.name)} | {decimal(each.ap)} | {each.truths:,} |" for each in metrics.per_class]
    return [
        "## Measured",
        f"{on}{metrics.images:,} images with {metrics.truths:,} objects, by COCO's rules.",
        "\n".join(["| metric | value |", "|---|---|", *rows]),
        "\n".join(["| class | AP | objects |", "|---|---|---|", *per_class]),
    ]


def _text(value: object) -> str:
    """Text that is no markup of Markdown or HTML, on one line."""
    text = printable(str(value)).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{letter}" if letter in "\\`*_[]|#" else letter for letter in text)

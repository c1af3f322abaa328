"""Settings of inference: those that ``predict`` and ``evaluate`` may change in a trained detector with ``--set``.

All other settings belong to the weights, such as the sizes of anchors, or to training.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from faster_rcnn.errors import OptionError
from faster_rcnn.parsing.values import cut
from faster_rcnn.settings.resolve import all_keys, resolve_config
from faster_rcnn.settings.schema import Config

INFERENCE_SETTINGS = (
    "image.short_side",
    "image.long_side",
    "rpn.proposals_before_nms",
    "rpn.proposals_after_nms",
    "rpn.nms_iou",
    "rpn.min_side",
    "rpn.score_floor",
    "roi.score_floor",
    "roi.min_side",
    "roi.nms_iou",
    "roi.max_detections",
)
"""Settings that no weight depends on, and that detection reads."""


def with_inference_settings(config: Config, settings: str | Sequence[str] | None) -> Config:
    """The configuration of a trained detector with other settings of inference, each as ``section.key=value``.

    Raises ``OptionError`` (E125) for any other setting, and for a value that does not fit.
    """
    given = [settings] if isinstance(settings, str) else list(settings or ())
    for text in given:
        _refuse_others(text)
        _refuse_missing_stage(config, text)
    changed = resolve_config(None, None, given, {}, start=config)
    refuse_unchosen_floor(changed)
    return changed


def refuse_unchosen_floor(config: Config) -> None:
    """Raise ``OptionError`` (E125) for ``rpn.score_floor=auto`` in a detector that is trained already."""
    if config.rpn.score_floor == "auto":
        raise OptionError(
            "--set rpn.score_floor=auto: only training chooses a floor, by the objects of its validation split; give "
            "a number, such as rpn.score_floor=0.1, or train with --set rpn.score_floor=auto",
            code="E125",
        )


def _refuse_missing_stage(config: Config, text: str) -> None:
    """Raise ``OptionError`` for a setting of a stage that the detector does not have."""
    lacks = {"rpn": ("roi.", "second"), "fast-rcnn": ("rpn.", "first")}
    section, stage = lacks.get(config.detector.kind, ("no section", ""))
    if text.strip().startswith(section):
        raise OptionError(
            f"--set {cut(text, 200)}: this detector has detector.kind={config.detector.kind}, without a {stage} stage "
            "that could read it; leave it out",
            code="E125",
        )


def _refuse_others(text: str) -> None:
    if not isinstance(text, str):
        raise OptionError(
            f"settings {text!r:.40}: a setting is text, such as 'rpn.nms_iou=0.8'; give a list of them", code="E125"
        )
    key, equals, _ = text.partition("=")
    key = key.strip()
    if not equals or key in INFERENCE_SETTINGS:  # what is not written as a setting is refused where it is parsed
        return
    fault = "there is no such setting"
    if key in all_keys():
        fault = "this setting belongs to training or to the weights, and changes nothing in a trained detector"
    close = get_close_matches(key, INFERENCE_SETTINGS, n=1)
    hint = f"; did you mean '{close[0]}'?" if close and key not in all_keys() else ""
    raise OptionError(
        f"--set {cut(text, 200)}: {fault}{hint}; the settings of inference are {', '.join(INFERENCE_SETTINGS)}",
        code="E125",
    )

"""``faster-rcnn compare``: Faster R-CNN against Fast R-CNN with selective search, the same body and the same budget.

The first paragraph of the paper as a measurement: where the time of an image goes in each, and what it finds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from faster_rcnn.cli.outputs import STDOUT, model_file, require_folder, require_json, write_json
from faster_rcnn.comparison.measure import PROPOSED, Pair, Timing, compare_systems, refuse_unusable, searched
from faster_rcnn.comparison.report import write_comparison
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.errors import OptionError
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.settings.schema import Config
from faster_rcnn.system.console import say, show
from faster_rcnn.system.devices import choose_device
from faster_rcnn.system.locking import only_writer
from faster_rcnn.training import run_folder
from faster_rcnn.training.resume import config_to_resume, data_differences
from faster_rcnn.training.run import train
from faster_rcnn.weights.finding import find_model_file
from faster_rcnn.weights.model_file import read_model_config


@dataclass(frozen=True, slots=True)
class Training:
    """How both systems are trained where they are not given: the options of ``train``."""

    model: str | None = None
    settings: Sequence[str] = ()
    flags: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """What need not be made."""

    faster: str | None = None
    """Run folder or model file; both detectors are given, or none."""
    fast: str | None = None
    proposals: Path | None = None
    """Of selective search, for all images that are used."""


def run(
    data: Path,
    given: Given,
    training: Training,
    *,
    split: str | None = None,
    images: int = 20,
    rounds: int = 3,
    out: Path | None = None,
    json: str | None = None,
    device: str = "auto",
) -> int:
    """Train both or take both, measure both on one split, and write a table and a page."""
    read = [data, given.proposals, *(model_file(each) for each in (given.faster, given.fast) if each is not None)]
    require_json(json, read)
    choose_device(device)
    timing = Timing(images, rounds)
    folder = out or Path("runs") / f"{data.resolve().stem}-comparison"
    require_folder("--out", folder)
    with only_writer(folder):
        pair = _both(data, given, training, split, folder)
        comparison = compare_systems(data, pair, split, folder, timing, device)
        if json != STDOUT:
            show(comparison.table())
        if json is not None:
            write_json(json, comparison.to_json())
        say(f"drawn in {write_comparison(folder, comparison)}")
    both = f"{pair.proposals} {folder / PROPOSED}"
    say(f"recall as curves: faster-rcnn recall {data} --split {comparison.split} --proposals {both} --plot recall.svg")
    return 0


def _both(data: Path, given: Given, training: Training, split: str | None, folder: Path) -> Pair:
    """The two detectors that are given, or trained; and the proposals of selective search.

    Whatever would stop the comparison in the end stops it before the training.
    """
    if given.faster is not None and given.fast is not None:
        return Pair(
            given.faster,
            given.fast,
            given.proposals or searched(data, read_model_config(find_model_file(given.fast)), folder),
        )
    if given.faster is not None or given.fast is not None:
        raise OptionError("give both detectors with --faster and --fast, or none: then both are trained")
    config = resolve_config(training.model, None, training.settings, training.flags or {})
    _refuse_other_kinds(config)
    refuse_unusable(data, config, split, given.proposals)
    proposals = given.proposals or searched(data, config, folder)
    faster = _trained(data, training, None, folder / "faster-rcnn")
    fast = _trained(data, training, proposals, folder / "fast-rcnn")
    return Pair(str(faster), str(fast), proposals)


def _refuse_other_kinds(config: Config) -> None:
    if config.detector.kind != "faster-rcnn" or config.training.scheme != "joint":
        raise OptionError(
            "compare trains both stages jointly, and the second one on selective search: leave out detector.kind and "
            "training.scheme"
        )


def _trained(data: Path, training: Training, proposals: Path | None, folder: Path) -> Path:
    """A run folder; what an earlier call of the command finished or began is kept."""
    model, settings, flags = training.model, training.settings, training.flags or {}
    if run_folder.is_finished(folder):
        given = {**flags, "proposals": None if proposals is None else str(proposals)}
        config = config_to_resume(folder, model, None, None, settings, given)  # refuses other settings
        if found := data_differences(folder, data, load_dataset(data, config.data)):
            raise OptionError(
                f"{folder} holds a detector that was trained on other data: {'; '.join(found)}; choose another folder "
                "with --out",
                code="E132",
            )
        say(f"was trained before: {folder}")
        return folder
    begun = run_folder.holds_begun_run(folder)
    return train(data, model=model, settings=settings, flags=flags, out=folder, proposals=proposals, resume=begun)

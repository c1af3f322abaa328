"""``faster-rcnn recall``: how many truths proposals of some files cover, as tables, JSON and the paper's Figure 4."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from faster_rcnn.cli.outputs import STDOUT, require_file, require_json, write_json
from faster_rcnn.data.reading import load_split
from faster_rcnn.errors import MissingExtraError, OptionError
from faster_rcnn.evaluation.detector import tell_split
from faster_rcnn.evaluation.recall_of_files import _refuse_other_images, recall_of
from faster_rcnn.proposals.file import ProposalFile, load_proposals
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.system.console import say, show

PICTURES = (".svg", ".png", ".pdf")


def run(
    data: Path,
    proposals: Sequence[Path],
    *,
    split: str | None = None,
    plot: Path | None = None,
    json: str | None = None,
) -> int:
    """Measure files of proposals on one split; print a table for each, or with ``--json -`` nothing but the numbers."""
    require_json(json, [data, *proposals])
    require_file("--plot", plot, [data, *proposals])
    _refuse_twice(proposals)
    drawing = None if plot is None else _drawing(plot)  # a package that is missing is told before the work
    files = [load_proposals(path) for path in proposals]
    dataset = load_split(data, DataConfig(), split)
    part = tell_split(dataset, split)
    for file in files:
        _refuse_other_images(part, file, dataset.root)
    recalls = dict(zip(_names(files), (recall_of(part, file, dataset.root) for file in files), strict=True))
    if json != STDOUT:
        for name, recall in recalls.items():
            show(f"{name} on {part.name}: {recall.images} images, {recall.truths} truths\n{recall.table()}")
    if json is not None:
        measured = zip(files, recalls.values(), strict=True)
        entries = [{"file": str(file.path), "method": file.method, **each.to_json()} for file, each in measured]
        write_json(json, {"split": part.name, "proposals": entries})
    if plot is not None and drawing is not None:
        drawing.draw_recall(recalls, plot, f"{data.resolve().stem}, {part.name}")
        say(f"wrote {plot}")
    return 0


def _refuse_twice(paths: Sequence[Path]) -> None:
    twice = [path for path, count in Counter(path.resolve() for path in paths).items() if count > 1]
    if twice:
        raise OptionError(f"--proposals {twice[0]} is given twice; give each file once")


def _names(files: Sequence[ProposalFile]) -> list[str]:
    """Methods; with the file's name where two files are of the same one."""
    count = Counter(file.method for file in files)
    return [file.method if count[file.method] == 1 else f"{file.method}, {file.path}" for file in files]


def _drawing(plot: Path) -> ModuleType:
    """The module that draws, once it is known that ``plot`` can be drawn; matplotlib is imported with it."""
    if plot.suffix.lower() not in PICTURES or plot.is_dir():
        raise OptionError(f"--plot {plot} cannot be drawn; name a file that ends in {', '.join(PICTURES)}")
    try:
        from faster_rcnn.evaluation import recall_plot
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plots") from error
    return recall_plot

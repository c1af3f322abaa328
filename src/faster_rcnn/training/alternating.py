"""The paper's 4-step alternating training (section 3.2), each step an ordinary run in a folder of its own.

1. The RPN is trained. 2. A detector of its own is trained on the proposals of step 1. 3. The RPN is trained anew on the
detector's backbone, which stays fixed. 4. The second stage goes on, on the proposals of step 3, with the same fixed
backbone. What is kept: the backbone of step 2, the RPN of step 3, the second stage of step 4.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from faster_rcnn.data.objects import without_classes
from faster_rcnn.data.records import Dataset
from faster_rcnn.errors import DatasetError, ModelFileError
from faster_rcnn.inference.external_proposals import FILE, known_of_split, propose_with
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.model import FasterRCNN
from faster_rcnn.parsing.json_values import parsed
from faster_rcnn.proposals.file import load_proposals
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import Proposals
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.system.devices import PRECISIONS, choose_device
from faster_rcnn.system.files import read_bytes
from faster_rcnn.system.locking import only_writer
from faster_rcnn.training import run_folder
from faster_rcnn.training.report import REPORT
from faster_rcnn.training.session import Task, go_on_with, train_task
from faster_rcnn.weights.model_file import LoadedModel, load_model, new_model, save_model, stored_tensors

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What all four steps share."""

    data: Path
    dataset: Dataset
    config: Config
    folder: Path
    changes: tuple[str, ...]
    """As of ``Task``."""


def train_alternating(
    data: Path,
    dataset: Dataset,
    config: Config,
    folder: Path,
    initialise: Callable[[FasterRCNN], str],
    changes: tuple[str, ...] = (),
) -> Path:
    """Train in four steps and return the run folder; steps that a run finished before an interruption are kept.

    ``changes`` are those of ``Task``.
    """
    plan = _Plan(data, dataset, config, folder, changes)
    run_folder.write_config(folder, config)
    first = _train_rpn(plan, 1, initialise, fixed=False)
    second = _train_detector(plan, 2, initialise, _propose(plan, 1, first), fixed=False)
    third = _train_rpn(plan, 3, _starting_with(second, ("backbone.",)), fixed=True)
    fourth = _train_detector(
        plan, 4, _starting_with(second, ("backbone.", "roi.")), _propose(plan, 3, third), fixed=True
    )
    return _unite(plan, third, fourth)


def _train_rpn(plan: _Plan, number: int, initialise: Callable[[FasterRCNN], str], *, fixed: bool) -> LoadedModel:
    task = _task(plan, number, "rpn", initialise, {}, fixed)
    return _train_step(task, number, "the RPN")


def _train_detector(
    plan: _Plan,
    number: int,
    initialise: Callable[[FasterRCNN], str],
    outside: dict[str, list[Proposals]],
    *,
    fixed: bool,
) -> LoadedModel:
    task = _task(plan, number, "fast-rcnn", initialise, outside, fixed)
    return _train_step(task, number, "Fast R-CNN on the RPN's proposals")


def _task(
    plan: _Plan,
    number: int,
    kind: Literal["rpn", "fast-rcnn"],
    initialise: Callable[[FasterRCNN], str],
    outside: dict[str, list[Proposals]],
    fixed: bool,
) -> Task:
    """One step as a run: its stage alone, in a folder of its own."""
    config = plan.config
    training = {"scheme": "joint", "shared_layers": "fixed" if fixed else "trained"}
    changed = config.model_copy(
        update={
            "detector": config.detector.model_copy(update={"kind": kind}),
            "training": config.training.model_copy(update=training),
        }
    )
    dataset = without_classes(plan.dataset) if kind == "rpn" else plan.dataset
    folder = plan.folder / f"step-{number}"
    folder.mkdir(exist_ok=True)
    return Task(plan.data, dataset, changed, folder, plan.folder, initialise, outside, plan.changes)


def _train_step(task: Task, number: int, what: str) -> LoadedModel:
    """The best model of one step, trained unless that was done before."""
    shared = " with the shared layers fixed" if task.config.training.shared_layers == "fixed" else ""
    if (task.folder / run_folder.SUMMARY).exists():
        _LOG.info(f"step {number} of 4 was done before: {task.folder}")
    else:
        _LOG.info(f"step {number} of 4: {what}{shared}")
        with only_writer(task.folder):  # which is a run that could be gone on with by itself
            train_task(task, run_folder.read_state(task.folder))
    return load_model(task.folder / run_folder.BEST)


def _propose(plan: _Plan, number: int, rpn: LoadedModel) -> dict[str, list[Proposals]]:
    """The RPN's proposals: as many as in training for the training split, as many as in inference for validation.

    An image in which it sees nothing has none, as in joint training: its regions are its truths.
    """
    folder, settings = plan.folder / f"step-{number}", plan.config.rpn
    outside = {}
    device = choose_device(plan.config.training.device)
    precision = PRECISIONS[plan.config.training.precision]
    limits = {"train": settings.proposals_after_nms_training, "val": settings.proposals_after_nms}
    for name, most in limits.items():
        if name not in plan.dataset.splits:
            continue
        path = folder / f"{name}-{FILE}"
        if not path.exists():
            rpn.model.inference_filter = rpn.model.training_filter
            predictor, split = Predictor(rpn, device, precision), plan.dataset.splits[name]
            try:
                propose_with(predictor, f"step {number}", path, plan.dataset.root, [split])
            except KeyboardInterrupt:
                _LOG.info(f"step {number} is done; go on with: {go_on_with(plan.data, plan.folder)}")
                raise
        split = plan.dataset.splits[name]
        outside[name] = known_of_split(load_proposals(path), plan.dataset.root, split, most, plan.config.data)
    return outside


def _starting_with(start: LoadedModel, parts: tuple[str, ...]) -> Callable[[FasterRCNN], str]:
    """Gives a new detector some parts of another; the rest stays new."""

    def initialise(model: FasterRCNN) -> str:
        taken = {name: tensor for name, tensor in stored_tensors(start.model).items() if name.startswith(parts)}
        model.load_state_dict(taken, strict=False)
        return f"weights of step 2: {', '.join(part.rstrip('.') for part in parts)}"

    return initialise


def _unite(plan: _Plan, rpn: LoadedModel, detector: LoadedModel) -> Path:
    """One detector of the RPN of step 3 and all of step 4, with the numbers that step 4 was measured by."""
    folder = plan.folder
    model = new_model(folder, plan.config, plan.dataset.classes)
    parts: dict[str, Any] = {
        name: tensor for name, tensor in stored_tensors(rpn.model).items() if name.startswith("rpn.")
    }
    model.load_state_dict(parts | stored_tensors(detector.model), strict=False)
    for name in (run_folder.BEST, run_folder.LAST):
        save_model(folder / name, model, plan.config, plan.dataset.classes)
    last = folder / "step-4"
    summaries = [_summary(folder / f"step-{step}") for step in (1, 2, 3, 4)]
    for name in (run_folder.METRICS, REPORT):
        content = _content(last, name)
        with atomic_write(folder / name) as temporary:
            temporary.write_bytes(content)
    seconds = {name: sum(each[name] for each in summaries) for name in ("training_seconds", "total_seconds", "images")}
    how = {"ended": "all four steps are done", "changes": _changes(summaries)}
    run_folder.write_summary(folder, summaries[-1] | seconds | how)
    _LOG.info(f"all four steps are done; their detector: {folder / run_folder.BEST}")
    return folder


def _summary(step: Path) -> dict[str, Any]:
    """The summary of a step that is finished; raises ``ModelFileError`` where it is damaged."""
    older = {"precision": "?", "threads": "?", "changes": []}  # what summaries of an earlier version lack
    try:
        found: object = parsed("it", _content(step, run_folder.SUMMARY).decode())
    except (DatasetError, UnicodeDecodeError) as error:
        raise _damaged(step, run_folder.SUMMARY) from error
    numbers = ("training_seconds", "total_seconds", "images")
    if not isinstance(found, dict) or not all(isinstance(found.get(name), int | float) for name in numbers):
        raise _damaged(step, run_folder.SUMMARY)
    return older | found


def _content(step: Path, name: str) -> bytes:
    try:
        return read_bytes(step / name)
    except OSError as error:
        raise _damaged(step, name) from error


def _damaged(step: Path, name: str) -> ModelFileError:
    return ModelFileError(
        f"{step / name} is gone or damaged; delete {step / run_folder.SUMMARY} and run the command again, which writes "
        "the files of that step anew",
        code="E123",
    )


def _changes(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Changes of precision and threads, within a step and from one to the next."""
    within = [f"step {number} of 4, {each}" for number, one in enumerate(summaries, 1) for each in one["changes"]]
    used = [f"{each['precision']} on {each['threads']} threads" for each in summaries]
    return within + [f"step {number} of 4 in {how}" for number, how in enumerate(used, 1) if len(set(used)) > 1]

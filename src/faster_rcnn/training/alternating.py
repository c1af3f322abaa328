"""The paper's 4-step alternating training (section 3.2), each step an ordinary run in a folder of its own.

1. The RPN is trained. 2. A detector of its own is trained on the proposals of step 1. 3. The RPN is trained anew on the
detector's backbone, which stays fixed. 4. The second stage goes on, on the proposals of step 3, with the same fixed
backbone. What is kept: the backbone of step 2, the RPN of step 3, the second stage of step 4.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from faster_rcnn.data.objects import without_classes
from faster_rcnn.data.records import Split
from faster_rcnn.errors import DatasetError, ModelFileError
from faster_rcnn.inference.external_proposals import FILE, known_proposals_of_split, write_rpn_proposals
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.parsing.json_values import parsed
from faster_rcnn.proposals.file import load_proposals
from faster_rcnn.settings.schema import with_score_floor
from faster_rcnn.structures import Proposals
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.system.devices import PRECISIONS, choose_device
from faster_rcnn.system.files import read_bytes
from faster_rcnn.system.locking import only_writer
from faster_rcnn.training import run_folder
from faster_rcnn.training.initial_weights import Parts
from faster_rcnn.training.machine_settings import with_training
from faster_rcnn.training.report import REPORT
from faster_rcnn.training.score_floor import store_floor
from faster_rcnn.training.session import Task, go_on_with, train_task
from faster_rcnn.weights.model_file import LoadedModel, load_model, new_model, save_model, stored_tensors

_LOG = logging.getLogger(__name__)


def train_alternating(task: Task) -> Path:
    """Train in four steps; returns the run folder.

    Steps that were finished before an interruption are kept. Several processes train each step together; the first one
    does what lies between the steps.
    """
    of_first = task.processes.of_first
    of_first(partial(run_folder.write_config, task.folder, task.config))
    first = _train_rpn(task, 1, task.start, fixed=False)
    second = _train_detector(task, 2, task.start, _propose(task, 1, first), fixed=False)
    third = _train_rpn(task, 3, Parts(second, ("backbone.",), "step 2"), fixed=True)
    shared = Parts(second, ("backbone.", "roi."), "step 2")
    fourth = _train_detector(task, 4, shared, _propose(task, 3, third), fixed=True)
    return of_first(partial(_unite, task, third, fourth))


def _train_rpn(whole: Task, number: int, start: LoadedModel | Parts | None, *, fixed: bool) -> LoadedModel:
    task = replace(_step_of(whole, number, "rpn", fixed=fixed), dataset=without_classes(whole.dataset), start=start)
    return _train_step(task, number, "the RPN")


def _train_detector(
    whole: Task,
    number: int,
    start: LoadedModel | Parts | None,
    proposals: Mapping[str, Sequence[Proposals]],
    *,
    fixed: bool,
) -> LoadedModel:
    task = replace(_step_of(whole, number, "fast-rcnn", fixed=fixed), start=start, proposals=proposals)
    return _train_step(task, number, "Fast R-CNN on the RPN's proposals")


def _step_of(whole: Task, number: int, kind: Literal["rpn", "fast-rcnn"], *, fixed: bool) -> Task:
    """One step as a run: its stage alone, in a folder of its own; ``auto`` chooses for the detector of all steps."""
    config = with_score_floor(whole.config, whole.config.rpn.min_objectness)
    stage = config.detector.model_copy(update={"kind": kind})
    changed = config.model_copy(update={"detector": stage})
    folder = whole.folder / f"step-{number}"
    whole.processes.of_first(partial(folder.mkdir, exist_ok=True))
    layers = "fixed" if fixed else "trained"
    return replace(whole, config=with_training(changed, scheme="joint", shared_layers=layers), folder=folder)


def _train_step(task: Task, number: int, what: str) -> LoadedModel:
    """The best model of one step, trained unless that was done before."""
    shared = " with the shared layers fixed" if task.config.training.shared_layers == "fixed" else ""
    of_first = task.processes.of_first
    if of_first(partial(run_folder.is_finished, task.folder)):
        _LOG.info(f"step {number} of 4 was done before: {task.folder}")
    else:
        _LOG.info(f"step {number} of 4: {what}{shared}")
        # The step is a run that could be resumed by itself.
        with only_writer(task.folder) if task.processes.is_first else nullcontext():
            train_task(task, of_first(partial(run_folder.read_state, task.folder)))
    return of_first(partial(load_model, task.folder / run_folder.BEST))


def _propose(task: Task, number: int, rpn: LoadedModel) -> dict[str, list[Proposals]]:
    """The RPN's proposals: as many as in training for the training split, as many as in inference for validation.

    An image in which the RPN finds nothing has none, as in joint training: its regions are its ground truth.
    """
    return task.processes.of_first(partial(_proposals_of_rpn, task, number, rpn))


def _proposals_of_rpn(task: Task, number: int, rpn: LoadedModel) -> dict[str, list[Proposals]]:
    """Proposals by the name of the split, computed unless their file is there."""
    folder, settings = task.folder / f"step-{number}", task.config.rpn
    found = {}
    limits = {"train": settings.proposals_after_nms_training, "val": settings.proposals_after_nms}
    for name, limit in limits.items():
        if name not in task.dataset.splits:
            continue
        path, split = folder / f"{name}-{FILE}", task.dataset.splits[name]
        if not path.exists():
            _write_proposals(task, number, rpn, split, path)
        found[name] = known_proposals_of_split(load_proposals(path), task.dataset.root, split, limit, task.config.data)
    return found


def _write_proposals(task: Task, number: int, rpn: LoadedModel, split: Split, path: Path) -> None:
    device, precision = choose_device(task.config.training.device), PRECISIONS[task.config.training.precision]
    try:
        write_rpn_proposals(
            prepare(_proposing_as_in_training(rpn), device, precision),
            f"step {number}",
            path,
            task.dataset.root,
            [split],
        )
    except KeyboardInterrupt:
        _LOG.info(f"step {number} is done; go on with: {go_on_with(task.data, task.folder)}")
        raise


def _proposing_as_in_training(rpn: LoadedModel) -> LoadedModel:
    """The same detector, giving as many proposals in inference as in training."""
    settings = rpn.config.rpn
    limits = {
        "proposals_before_nms": settings.proposals_before_nms_training,
        "proposals_after_nms": settings.proposals_after_nms_training,
    }
    config = rpn.config.model_copy(update={"rpn": settings.model_copy(update=limits)})
    model = new_model("the RPN", config, rpn.classes)
    model.load_state_dict(rpn.model.state_dict())
    return LoadedModel(model.eval(), config, rpn.classes)


def _unite(task: Task, rpn: LoadedModel, detector: LoadedModel) -> Path:
    """One detector of the RPN of step 3 and all of step 4, with the numbers that step 4 was measured by."""
    folder = task.folder
    model = new_model(folder, task.config, task.dataset.classes)
    parts: dict[str, Any] = {
        name: tensor for name, tensor in stored_tensors(rpn.model).items() if name.startswith("rpn.")
    }
    model.load_state_dict(parts | stored_tensors(detector.model), strict=False)
    for name in (run_folder.BEST, run_folder.LAST):
        save_model(folder / name, model, task.config, task.dataset.classes, thresholds=detector.thresholds)
    settings = task.config.training
    device, precision = choose_device(settings.device), PRECISIONS[settings.precision]
    store_floor(folder, task.config, task.dataset.splits.get("val"), device, precision)
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
    older = {"precision": "?", "threads": "?", "changes": []}  # values that summaries of an earlier version lack
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

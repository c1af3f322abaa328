"""Metrics of a split whose images several processes predicted: each matches its own, and the first merges them.

hotcoco's ``StreamingEval`` matches a part of the images and merges the parts. The metrics equal those of one process in
all digits: it ranks detections of equal score by the number of their image, and each image keeps the number that it has
in the whole split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from faster_rcnn.data.records import Split
from faster_rcnn.evaluation import engine
from faster_rcnn.evaluation.coco import ExactDetections, columns_of, metrics_of, order_of_ids
from faster_rcnn.evaluation.details import Details
from faster_rcnn.evaluation.engine import Columns, Curves
from faster_rcnn.evaluation.in_detail import ChosenScores, details_of
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.evaluation.split import columns_of_split, measure_split, truths_of
from faster_rcnn.structures import Detections
from faster_rcnn.system.distributed import Processes


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What a process found in its images."""

    places: tuple[int, ...]
    """Indices of the records that it could read, in increasing order."""
    matched: bytes | None
    """Its detections, matched with the truths of these records, as ``StreamingEval`` writes them."""
    found: dict[int, Detections]
    """The detections themselves, by index of the record, where they cannot be merged after matching."""


def measure_shares(split: Split, found: Mapping[int, Detections], processes: Processes) -> Metrics:
    """COCO's metrics of the detections of all processes, in every process; all of them call it together.

    The metrics are those of ``measure_split`` for the detections of all processes.

    Args:
        split: all images and their ground truth, the same in each process.
        found: detections of this process, in original pixels, by the index of their record in the split. No two
            processes have the same index; an index that no process has is an image that could not be read.
        processes: the processes that share the split.

    Raises:
        MachineError: nothing that can measure is installed.
    """
    if not processes.are_several:
        return measure_split(split, found)
    parts = processes.gathered_by_first(_part_of(split, found, processes))
    return processes.of_first(partial(_measured, split, parts))


def columns_of_shares(split: Split, found: Mapping[int, Detections], processes: Processes) -> Columns | None:
    """Truths and the detections of all processes, in the first process, as ``measure_shares`` takes them."""
    parts = processes.gathered_by_first(dict(found))
    if not processes.is_first:
        return None
    return columns_of_split(split, {place: each for part in parts for place, each in part.items()})


def details_of_shares(
    split: Split, found: Mapping[int, Detections], processes: Processes, chosen: ChosenScores | None = None
) -> Details | None:
    """Details of the detections of all processes, in every process; see ``details_of``."""
    columns = columns_of_shares(split, found, processes)

    def work() -> Details | None:
        return None if columns is None else details_of(columns, split.classes, chosen)

    return processes.of_first(work)


def _part_of(split: Split, found: Mapping[int, Detections], processes: Processes) -> _Part:
    # The versions must agree: another version may write a state otherwise.
    versions = set(processes.gathered(None if engine.streaming_evaluator() is None else engine.hotcoco_name()))
    places = tuple(sorted(found))
    if len(versions) > 1 or None in versions or not _category_names(split):
        return _Part(places, None, dict(found))
    return _Part(places, _matched(split, places, found), {})


def _category_names(split: Split) -> list[str]:
    return [name for name in split.classes.names if name is not None]


def _measured(split: Split, parts: Sequence[_Part]) -> Metrics:
    """Metrics of the parts of all processes."""
    places = tuple(sorted(place for part in parts for place in part.places))
    states = [part.matched for part in parts if part.matched is not None]
    if not states or not places:
        return measure_split(split, {place: found for part in parts for place, found in part.found.items()})
    return metrics_of(_merged(states), _columns_of(split, places, {}), split.classes)


def _matched(split: Split, places: Sequence[int], found: Mapping[int, Detections]) -> bytes:
    """Detections matched with the truths of some records."""
    columns = _columns_of(split, places, found)
    images, truths, scored = columns.truths.images, columns.truths, columns.detections
    numbers = _numbers_of(split, places)
    renumbered = replace(
        columns,
        truths=replace(truths, images=numbers[images - 1]),
        detections=replace(scored, images=numbers[scored.images - 1]),
    )
    evaluation = engine.streaming_evaluator()(engine.category_entries(columns.num_categories), iou_type="bbox")
    entries = [
        {"id": number, "height": size.height, "width": size.width}
        for number, size in zip(numbers.tolist(), columns.sizes, strict=True)
    ]
    if entries:
        evaluation.update(entries, engine.truth_entries(renumbered.truths), _rows(renumbered))
    state: bytes = evaluation.to_bytes()
    return state


def _rows(columns: Columns) -> NDArray[np.float64]:
    """Detections as the rows that hotcoco takes: image, x, y, width, height, score, category."""
    found = columns.detections
    rows: NDArray[np.float64] = np.column_stack((found.images, found.boxes_xywh, found.scores, found.categories))
    return rows


def _numbers_of(split: Split, places: Sequence[int]) -> NDArray[np.int64]:
    """The numbers, from 1, that some records have in the order of the ids of all records, in increasing order."""
    order = order_of_ids([record.image_id for record in split.records])
    numbers = np.empty(len(order), dtype=np.int64)
    numbers[order] = np.arange(1, len(order) + 1)
    found: NDArray[np.int64] = np.sort(numbers[list(places)])
    return found


def _columns_of(split: Split, places: Sequence[int], found: Mapping[int, Detections]) -> Columns:
    truths = truths_of([split.records[place] for place in places])
    return columns_of(truths, [found.get(place, _NOTHING) for place in places], split.classes)


_NOTHING = ExactDetections(
    torch.zeros(0, 4, dtype=torch.float64), torch.zeros(0, dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
)


def _merged(states: Sequence[bytes]) -> Curves:
    streaming = engine.streaming_evaluator()
    evaluation = streaming.merge(streaming.from_bytes(state) for state in states).finalize()
    evaluation.accumulate()
    return engine.curves_from(evaluation, engine.hotcoco_name())

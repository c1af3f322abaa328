"""Losses and metrics of the validation split after an epoch, computed as ``evaluate`` computes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch

from faster_rcnn.data.batches import image_seed
from faster_rcnn.data.records import Split
from faster_rcnn.evaluation.detector import predict_shares
from faster_rcnn.evaluation.engine import Columns
from faster_rcnn.evaluation.in_detail import thresholds_of
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.evaluation.split import columns_of_split, measure_split
from faster_rcnn.inference.external_proposals import source_of
from faster_rcnn.inference.inputs import AnyImage
from faster_rcnn.inference.predictor import Predictor, TruthSource
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.result import Prediction
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap, Detections, GroundTruth, Proposals
from faster_rcnn.system.devices import choose_precision
from faster_rcnn.system.distributed import ALONE, Processes
from faster_rcnn.weights.model_file import LoadedModel
from faster_rcnn.weights.thresholds import Thresholds

COLUMNS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100")
"""Metrics in the row of an epoch."""


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """Losses and metrics of a detector on one split."""

    losses: dict[str, float]
    """Means of the losses over the images, by name."""
    metrics: Metrics
    split: str
    """Name of the split."""
    boxes: Columns | None
    """Truths and detections, in the first of several processes."""
    thresholds: Thresholds | None
    """Thresholds of scores by class, in the first of several processes; a region proposal network has none."""

    def columns(self) -> dict[str, float | None]:
        """Columns of an epoch's row: losses, as ``val_...``, and metrics."""
        values = self.metrics.to_json(self.split)
        return {f"val_{name}": value for name, value in self.losses.items()} | {name: values[name] for name in COLUMNS}


class Validator:
    """Measures a detector in training as ``evaluate`` measures its file: the numbers are equal to the last digit.

    The exception is a file that has got a floor of objectness when training had ended (``rpn.score_floor=auto``).
    """

    def __init__(
        self,
        split: Split,
        config: Config,
        classes: ClassMap,
        proposals: Sequence[Proposals] | None,
        precision: torch.dtype,
        processes: Processes = ALONE,
    ) -> None:
        """``proposals`` are external ones in the order of the records, for Fast R-CNN."""
        self._split, self._config, self._classes, self._processes = split, config, classes, processes
        self._proposals, self._precision = proposals, precision
        self._places = {record.path: index for index, record in enumerate(split.records)}

    def validate(self, model: FasterRCNN, image_done: Callable[[], None]) -> Validation:
        """Measure ``model``, which stays as it is; ``image_done`` is called after each image of this process.

        Several processes measure a part of the images each, and all get the numbers of all images.

        Raises:
            DatasetError: more than 5 % of the images cannot be decoded.
        """
        loaded = LoadedModel(deepcopy(model), self._config, self._classes)
        device = next(model.parameters()).device
        predictor = validating_predictor(
            loaded, device, self._precision, self._split, self._proposals, truths=self._truth_of
        )
        found: dict[int, Detections] = {}
        sums: dict[str, float] = {}

        def keep(place: int, one: Prediction) -> tuple[int, Detections, dict[str, float]]:
            image_done()
            assert one.losses is not None  # the predictor has truths
            named = one.losses.named()
            # One transfer for an image, where a GPU would be waited for once a loss.
            losses = dict(zip(named, torch.stack(list(named.values())).tolist(), strict=True))
            return place, one.result.detections, losses

        def take(kept: tuple[int, Detections, dict[str, float]] | None) -> None:
            if kept is None:  # an image that could not be read
                image_done()
                return
            place, detections, losses = kept
            found[place] = detections
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value

        predict_shares(predictor, self._split, self._processes, keep, take)
        metrics = self._processes.of_first(lambda: measure_split(self._split, found))
        means = {name: value / metrics.images for name, value in self._processes.from_first(sums).items()}
        columns = columns_of_split(self._split, found) if self._processes.is_first else None
        return Validation(means, metrics, self._split.name, columns, self._thresholds_of(columns))

    def _thresholds_of(self, columns: Columns | None) -> Thresholds | None:
        if columns is None or self._config.detector.kind == "rpn":
            return None
        return thresholds_of(columns, self._classes, self._split.name)

    def _truth_of(self, image: AnyImage) -> tuple[GroundTruth, int]:
        """Truth and seed of an image of the split; the seed is the same in every epoch."""
        assert isinstance(image, Path)
        place = self._places[image]
        return self._split.records[place].truth, image_seed(0, 0, place)


def validating_predictor(
    loaded: LoadedModel,
    device: torch.device,
    precision: torch.dtype,
    split: Split,
    proposals: Sequence[Proposals] | None,
    truths: TruthSource | None = None,
) -> Predictor:
    """A detector as ``evaluate`` runs it in ``precision``, on the external proposals of a split if there are some.

    ``evaluate`` gets a precision that is not this machine's ``auto`` by its name, by which float32 is exact.
    """
    detector = prepare(loaded, device, precision, exact=precision != choose_precision("auto", device))
    return Predictor(detector, proposals=None if proposals is None else source_of(split, proposals), truths=truths)

"""``Detector``, the Python API: load a detector, predict, evaluate, train.

Nothing is printed unless a call has ``progress=True``: messages and warnings go to the logger ``faster_rcnn``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Unpack, get_args, overload

import torch

from faster_rcnn.choices import Precision
from faster_rcnn.evaluation.detector import measure_in_detail, settings_for, split_to_measure
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.explanation.causes.truths import GivenTruth
from faster_rcnn.explanation.trace import Trace, trace_image
from faster_rcnn.inference.choice import ChoiceOptions, choice_of
from faster_rcnn.inference.given import GivenImage, image_given, images_given, path_given
from faster_rcnn.inference.inputs import KINDS
from faster_rcnn.inference.limits import Conf, refuse_unknown
from faster_rcnn.inference.loading import detector_from, write_model
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.result import Result
from faster_rcnn.inference.tiles import tiling_of
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap
from faster_rcnn.system.console import shown_if, while_shown
from faster_rcnn.system.progress import counted
from faster_rcnn.system.terminal import printable
from faster_rcnn.training.call import TrainCall, called_with
from faster_rcnn.training.launch import train_or_launch
from faster_rcnn.weights.model_file import LoadedModel, packed_model, unpacked_model

Compile = bool | Literal["auto"]


class Detector:
    """A trained detector.

    >>> detector = Detector.load("runs/cells")  # doctest: +SKIP
    >>> detector.predict("slide.png").names  # doctest: +SKIP
    ['red cell', 'red cell', 'platelet']
    """

    def __init__(
        self,
        model: LoadedModel | str | Path,
        device: str | torch.device = "auto",
        precision: Precision = "auto",
        compile: Compile = "auto",
        settings: str | Sequence[str] | None = None,
    ) -> None:
        """Load a detector as ``load`` does, or prepare a ``LoadedModel`` that is in memory."""
        source = model if isinstance(model, LoadedModel) else str(path_given("model", model))
        refuse_unknown("precision", precision, get_args(Precision))
        refuse_unknown("compile", compile, (True, False, "auto"))
        self._options = str(device), precision, compile
        self._source, self._detector = detector_from(source, precision, str(device), settings, compile=compile is True)

    @staticmethod
    def load(
        model: str | Path,
        device: str | torch.device = "auto",
        precision: Precision = "auto",
        compile: Compile = "auto",
        settings: str | Sequence[str] | None = None,
    ) -> Detector:
        """Load a model file, a run folder (its best model), an exported file, published weights, or one from a hub.

        Args:
            model: such as ``runs/cells``, ``torchvision:fasterrcnn_resnet50_fpn_v2``, ``hf://owner/name``.
            device: auto (a GPU where there is one), cpu, cuda or cuda:N.
            precision: of convolutions and matrix products; auto takes bfloat16 where it is fast. With an explicit
                float32, an imported detector gives torchvision's results to the last bit; the float32 of auto is
                faster. int8 is for files of ``faster-rcnn quantize``, on a CPU; auto takes it where it is faster.
            compile: compile the network with torch's compiler on a CPU, which makes it faster and takes about half a
                minute for each shape of images. True compiles for every shape at its first image, up to 8 shapes; False
                and auto do not. Later changes of the weights have no effect on a compiled network.
            settings: settings of inference in place of the detector's own, as those of ``faster-rcnn predict --set``,
                such as ``["roi.nms_iou=0.6"]``.

        A detector can be copied, pickled and sent to another process. Start processes with ``spawn`` or ``forkserver``:
        one that is forked after a network of torch has computed on several threads waits forever at its first image.

        Raises:
            ModelFileError: the model does not exist, is damaged, or was not quantized and the precision is int8.
            OptionError: the device or precision does not exist, ``compile`` is True on a GPU or in int8, or a setting
                is none of inference.
            MachineError: published weights cannot be downloaded, or ``compile`` is True without a C++ compiler.
        """
        return Detector(model, device, precision, compile, settings)

    @staticmethod
    @called_with(TrainCall)
    def train(call: TrainCall) -> Detector:
        """Train on labelled images as ``faster-rcnn train`` does, and load the best model of the run.

        The arguments are those of ``TrainCall`` and ``TrainOptions``: ``data``, the command's options by their names
        (``settings`` are its ``--set``, such as ``["training.flip=0"]``; ``transform`` may be the function itself),
        ``callbacks`` and ``progress``.

        >>> detector = Detector.train("cells", model="small", epochs=20, progress=True)  # doctest: +SKIP

        Raises:
            DatasetError: the data cannot be used.
            OptionError: an argument makes no sense, or the run cannot be resumed with it.
            DivergedError: the loss or its gradient became infinite or NaN.
            Exception: an error of a callback; the run is saved first.
        """
        with shown_if(call.progress):
            folder = train_or_launch(Path(call.data), call, call.callbacks)
        return Detector.load(folder, call.device or "auto", call.precision or "auto")

    @property
    def model(self) -> FasterRCNN:
        """The network: ``model(batch)`` gives losses, ``model.detect(images)`` detections."""
        return self._detector.model

    @property
    def classes(self) -> ClassMap:
        """Names and ids of the labels."""
        return self._detector.classes

    @property
    def config(self) -> Config:
        """The settings that the detector was built and trained with, and those of inference that it was loaded with."""
        return self._detector.config

    # A str or bytes is a Sequence, too; type checkers take the first signature that fits, which is the right one.
    @overload
    def predict(  # type: ignore[overload-overlap]
        self,
        images: GivenImage,
        conf: Conf = 0.5,
        max_det: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        *,
        progress: bool = False,
        **choice: Unpack[ChoiceOptions],
    ) -> Result: ...

    @overload
    def predict(  # type: ignore[overload-overlap]
        self,
        images: Sequence[GivenImage],
        conf: Conf = 0.5,
        max_det: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        *,
        progress: bool = False,
        **choice: Unpack[ChoiceOptions],
    ) -> list[Result]: ...

    @overload
    def predict(
        self,
        images: Iterable[GivenImage],
        conf: Conf = 0.5,
        max_det: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        *,
        progress: bool = False,
        **choice: Unpack[ChoiceOptions],
    ) -> Iterator[Result]: ...

    def predict(
        self,
        images: GivenImage | Iterable[GivenImage],
        conf: Conf = 0.5,
        max_det: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        *,
        classes: str | Iterable[str] | None = None,
        iou: float | None = None,
        agnostic_nms: bool = False,
        progress: bool = False,
    ) -> Result | list[Result] | Iterator[Result]:
        """Detect objects in one image, in a list of images, or in the images of an iterator.

        Args:
            images: a path, encoded bytes, a binary file object, a PIL image, an RGB array (height, width, 3) or an RGB
                tensor (3, height, width); grey ones of one channel or none, and RGBA, whose alpha is removed, are
                converted as such files are. Arrays and tensors hold uint8, or floats in 0..1. Or many of them: a
                list, or an array of paths, gives a list; any other iterable gives an iterator, which is one image
                ahead of the results that are taken.
            conf: lowest score that is reported; below the detector's ``roi.score_floor`` nothing is. ``"auto"`` gives
                each class the threshold of its best F1, ``"precision=0.95"`` and ``"recall=0.9"`` that of a target.
            max_det: largest number of detections of an image; with tiles the only limit of an image, as the detector's
                ``roi.max_detections`` then limits each tile.
            tile: side in pixels of the square tiles into which larger images are cut; the whole image is processed
                once, too, and each image is read when its turn comes.
            overlap: share of a tile's side that its neighbour covers, too; by default 0.2. Smaller objects are whole in
                some tile.
            classes: names of the classes that are reported; detections of others take no part in NMS and limits.
            iou: NMS threshold of the second stage, in place of the detector's ``roi.nms_iou``.
            agnostic_nms: whether NMS compares detections of different classes, too.
            progress: whether a bar and messages are shown on standard error; for an iterator, while it is consumed.

        Raises:
            ImageError: an image cannot be used, or an object is no image; an item of an iterator, when it is taken.
            OptionError: another argument makes no sense, the detector lacks a class, or it is a Fast R-CNN, which
                takes no tiles.
        """
        choice = choice_of(classes, iou, agnostic_nms)
        predictor = Predictor(self._detector, tiling=tiling_of(tile, overlap), choice=choice)
        given = images_given(images)
        if isinstance(given, KINDS):
            with shown_if(progress):
                return predictor.predict_one(given, conf, max_det)
        results = predictor.stream(given, conf, max_det)
        if isinstance(given, list):
            with shown_if(progress):
                return list(counted(results, "images", len(given)))
        return while_shown(counted(results, "images", None)) if progress else results

    __call__ = predict

    def evaluate(
        self,
        data: str | Path,
        split: str | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        *,
        progress: bool = False,
        **choice: Unpack[ChoiceOptions],
    ) -> Metrics:
        """Measure COCO's metrics on labelled images, as ``faster-rcnn evaluate`` does.

        Args:
            data: folder or file of labelled images.
            split: the split that is measured; by default test where the data has it, otherwise val.
            tile: cut larger images into tiles, as ``predict`` does.
            overlap: share of a tile's side that its neighbour covers, too.
            progress: whether messages, warnings and a bar are shown on standard error, as the command shows them.
            choice: ``classes``, ``iou`` and ``agnostic_nms`` as in ``predict``; chosen classes are measured alone.

        Raises:
            DatasetError: the data cannot be used.
            OptionError: an option makes no sense, or the detector is a Fast R-CNN, which takes no tiles.
            ModelFileError: the data has classes that the detector lacks.
        """
        tiling = tiling_of(tile, overlap)
        predictor = Predictor(self._detector, tiling=tiling, choice=choice_of(**choice))
        folder = path_given("data", data)
        with shown_if(progress):
            part = split_to_measure(folder, settings_for(folder, self.config.data, tiling), split)
            return measure_in_detail(predictor, part, "the detector")

    def trace(
        self,
        image: GivenImage,
        truth: GivenTruth | None = None,
        conf: float = 0.5,
        tile: int | None = None,
        overlap: float | None = None,
        *,
        iou_threshold: float = 0.5,
    ) -> Trace:
        """Predict one image, and keep what both stages computed: every box, score and transform, and why.

        Args:
            image: as in ``predict``; the detections of the trace are those of ``predict``, bit for bit.
            conf: as in ``predict``.
            tile: as in ``predict``.
            overlap: as in ``predict``.
            truth: the objects that are really there, for verdicts: pairs such as ``("cat", (x1, y1, x2, y2))`` in
                pixels of the upright image, or a ``GroundTruth`` with the labels of this detector.
            iou_threshold: lowest IoU of a detection with the truth that it counts for.

        Raises ``ImageError`` and ``OptionError`` as ``predict``, and ``OptionError`` for a truth that cannot be used.
        """
        predictor = Predictor(self._detector, tiling=tiling_of(tile, overlap))
        return trace_image(predictor, image_given(image, "image"), truth, conf, iou_threshold)

    def save(self, path: str | Path) -> Path:
        """Write the detector as a model file, with the settings it was loaded with; returns the path."""
        return write_model(self._source, path_given("path", path))

    def __reduce__(self) -> tuple[Callable[..., Detector], tuple[object, ...]]:
        """Pickle and copy as a model file, or the name of an exported one, and options; all else is made anew."""
        source = packed_model(self._source) if isinstance(self._source, LoadedModel) else self._source
        return _unpickled, (source, *self._options)

    def __repr__(self) -> str:
        names = [name for name in self.classes.names if name is not None]
        first = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        return printable(f"Detector({self.config.preset}, {len(names)} classes: {first}; on {self._detector.device})")


def _unpickled(source: bytes | str, device: str, precision: Precision, compile: Compile) -> Detector:
    model = unpacked_model(source, "the pickled detector") if isinstance(source, bytes) else source
    return Detector(model, device, precision, compile)

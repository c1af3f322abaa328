"""``Detector``, the door for Python: load a detector, predict, evaluate, train.

Nothing is printed unless a call has ``progress=True``: messages and warnings go to the logger ``faster_rcnn``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal, get_args, overload

import torch

from faster_rcnn.errors import OptionError
from faster_rcnn.evaluation.detector import measure_detector, settings_for, split_to_measure
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.inference.choice import choice_of
from faster_rcnn.inference.given import GivenImage, images_given, path_given
from faster_rcnn.inference.inputs import KINDS
from faster_rcnn.inference.loading import ready_detector
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.result import Result
from faster_rcnn.inference.tiles import tiling_of
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap
from faster_rcnn.system.console import shown
from faster_rcnn.system.progress import counted
from faster_rcnn.system.terminal import printable
from faster_rcnn.training.call import TrainCall, called_with
from faster_rcnn.training.run import train
from faster_rcnn.weights.model_file import LoadedModel, packed_model, unpacked_model
from faster_rcnn.weights.resolve import resolve_model

Precision = Literal["auto", "float32", "bfloat16", "int8"]
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
    ) -> None:
        """Load a detector as ``load`` does, or take one that is in memory."""
        loaded = model if isinstance(model, LoadedModel) else resolve_model(str(path_given("model", model)))
        if precision not in get_args(Precision):
            raise OptionError(f"precision '{precision}' is none of {', '.join(get_args(Precision))}", code="E125")
        if compile not in (True, False, "auto"):
            raise OptionError(f"compile '{compile}' is none of 'auto', True, False", code="E125")
        self._loaded = loaded
        self._asked = str(device), precision, compile
        self._detector = ready_detector(loaded, precision, str(device), compile=compile is True)

    @staticmethod
    def load(
        model: str | Path,
        device: str | torch.device = "auto",
        precision: Precision = "auto",
        compile: Compile = "auto",
    ) -> Detector:
        """Load a model file, a run folder (its best model) or published weights by their name.

        Args:
            model: such as ``runs/cells`` or ``torchvision:fasterrcnn_resnet50_fpn_v2``.
            device: auto (a GPU where there is one), cpu, cuda or cuda:N.
            precision: of convolutions and matrix products; auto takes bfloat16 where it is fast. In float32 that is
                asked for, an imported detector gives torchvision's answers to the last bit; auto's is faster. int8 is
                for files that ``faster-rcnn quantize`` wrote, on a CPU; auto takes it for them where it is faster.
            compile: let torch's compiler make the network faster on a CPU, which takes half a minute or so for each
                shape of images. True does so for every shape at its first image, up to 8; False and auto do not. The
                weights are those of the time of compiling.

        A detector can be copied, pickled and sent to another process, with its weights, classes, settings and these
        options; what it compiled or packed is made again there. Start processes with ``spawn`` or ``forkserver``: one
        that was forked after a detector (or any other network of torch) has worked on several threads waits forever at
        its first image, unless ``torch.set_num_threads(1)`` was called before.

        Raises:
            ModelFileError: there is no such model, or it is damaged, or is to work in int8 and was not quantized.
            OptionError: the device or precision does not exist, or compiling was asked for on a GPU or in int8.
            MachineError: published weights are not here and there is no network, or compiling was asked for and there
                is no C++ compiler.
        """
        return Detector(model, device, precision, compile)

    @staticmethod
    @called_with(TrainCall)
    def train(call: TrainCall) -> Detector:
        """Train on labelled images as ``faster-rcnn train`` does, and load the best model of the run.

        The arguments are those of ``TrainCall``: ``data``, the command's options by their names (``settings`` are its
        ``--set``, such as ``["training.flip=0"]``), ``callbacks`` and ``progress``. Nothing is printed unless
        ``progress=True``; messages and warnings go to the logger ``faster_rcnn``.

        >>> detector = Detector.train("cells", model="small", epochs=20, progress=True)  # doctest: +SKIP

        Raises:
            DatasetError: the data cannot be used.
            OptionError: an argument makes no sense, or the run cannot go on with it.
            DivergedError: the loss or its gradient stopped being finite.
            Exception: a callback raised it; the run is saved before.
        """
        with _shown(call.progress):
            folder = train(Path(call.data), call, call.callbacks)
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
        """The settings it was built and trained with."""
        return self._detector.config

    # A str or bytes is a Sequence too; the first signature that fits is taken, which is right.
    @overload
    def predict(  # type: ignore[overload-overlap]
        self,
        images: GivenImage,
        conf: float = 0.5,
        max_det: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        *,
        classes: str | Iterable[str] | None = None,
        iou: float | None = None,
        agnostic_nms: bool = False,
        progress: bool = False,
    ) -> Result: ...

    @overload
    def predict(  # type: ignore[overload-overlap]
        self,
        images: Sequence[GivenImage],
        conf: float = 0.5,
        max_det: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        *,
        classes: str | Iterable[str] | None = None,
        iou: float | None = None,
        agnostic_nms: bool = False,
        progress: bool = False,
    ) -> list[Result]: ...

    @overload
    def predict(
        self,
        images: Iterable[GivenImage],
        conf: float = 0.5,
        max_det: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        *,
        classes: str | Iterable[str] | None = None,
        iou: float | None = None,
        agnostic_nms: bool = False,
        progress: bool = False,
    ) -> Iterator[Result]: ...

    def predict(
        self,
        images: GivenImage | Iterable[GivenImage],
        conf: float = 0.5,
        max_det: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        *,
        classes: str | Iterable[str] | None = None,
        iou: float | None = None,
        agnostic_nms: bool = False,
        progress: bool = False,
    ) -> Result | list[Result] | Iterator[Result]:
        """Find objects in one image, in a list of them, or in whatever an iterator gives.

        Args:
            images: a path, encoded bytes, a binary file object, a PIL image, an RGB array (height, width, 3) or an RGB
                tensor (3, height, width); grey ones of one channel or none, and RGBA, whose alpha is removed, are
                converted as such files are. Arrays and tensors hold uint8, or floats in 0..1. Or many of them: a
                list, or an array of paths, gives a list; any other iterable is consumed one image ahead of the results
                that are taken.
            conf: lowest score that is reported; the detector itself reports nothing below its ``roi.score_floor``.
            max_det: most detections of one image; with tiles the only limit, as the detector's own
                ``roi.max_detections`` is then each tile's.
            tile: side in pixels of the square tiles into which larger images are cut; the whole image is processed
                once, too, and each image is read when its turn comes.
            overlap: share of a tile's side that its neighbour covers, too; 0.2 where not given. Objects smaller than
                the overlap are whole in some tile.
            classes: names of the classes that are reported; others take part in nothing.
            iou: NMS threshold of the second stage, in place of the detector's ``roi.nms_iou``.
            agnostic_nms: whether NMS compares detections of different classes, too.
            progress: whether a bar and messages are shown on standard error; for an iterator, while it is consumed.

        Raises:
            ImageError: an image cannot be used; the message names it. What is no image at all is refused at the call,
                and what an iterator gives when its turn comes.
            OptionError: one of the other arguments makes no sense, the detector lacks such a class, or, as a Fast
                R-CNN, it takes no tiles.
        """
        choice = choice_of(classes, iou, agnostic_nms)
        predictor = Predictor(self._detector, tiling=tiling_of(tile, overlap), choice=choice)
        given = images_given(images)
        if isinstance(given, KINDS):
            with _shown(progress):
                return predictor.predict_one(given, conf, max_det)
        results = predictor.stream(given, conf, max_det)
        if isinstance(given, list):
            with _shown(progress):
                return list(counted(results, "images", len(given)))
        return _while_shown(results) if progress else results

    __call__ = predict

    def evaluate(
        self,
        data: str | Path,
        split: str | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        *,
        progress: bool = False,
    ) -> Metrics:
        """COCO's metrics on labelled images, as ``faster-rcnn evaluate`` gives them.

        Args:
            data: folder or file of labelled images.
            split: which part of them; test where there is one, else val.
            tile: cut larger images into tiles, as ``predict`` does.
            overlap: share of a tile's side that its neighbour covers, too.
            progress: whether messages, warnings and a bar are shown on standard error, as the command shows them.

        Raises:
            DatasetError: the data cannot be used.
            OptionError: ``tile`` or ``overlap`` makes no sense, or the detector takes no tiles.
            ModelFileError: the data has classes that the detector lacks.
        """
        tiling = tiling_of(tile, overlap)
        predictor = Predictor(self._detector, tiling=tiling)
        folder = path_given("data", data)
        with _shown(progress):
            part = split_to_measure(folder, settings_for(folder, self.config.data, tiling), split)
            return measure_detector(predictor, part, "the detector")

    def __reduce__(self) -> tuple[Callable[..., Detector], tuple[object, ...]]:
        """Pickled and copied as a model file and the options that it was loaded with; the rest is made anew."""
        return _unpickled, (packed_model(self._loaded), *self._asked)

    def __repr__(self) -> str:
        names = [name for name in self.classes.names if name is not None]
        first = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        return printable(f"Detector({self.config.preset}, {len(names)} classes: {first}; on {self._detector.device})")


def _shown(progress: bool) -> AbstractContextManager[None]:
    """What shows progress and the log during a call, if that is asked for."""
    return shown() if progress else nullcontext()


def _while_shown(results: Iterator[Result]) -> Iterator[Result]:
    """The same results, with progress and the log shown until they end."""
    with shown():
        yield from counted(results, "images", None)


def _unpickled(content: bytes, device: str, precision: Precision, compile: Compile) -> Detector:
    return Detector(unpacked_model(content, "the pickled detector"), device, precision, compile)

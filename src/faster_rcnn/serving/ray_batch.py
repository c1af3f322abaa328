"""``RayBatch``: detection for ``map_batches`` of Ray Data, with one detector in each actor.

The class itself needs no Ray: it takes a batch as Ray Data passes it, and returns a table.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from faster_rcnn.choices import Precision
from faster_rcnn.data.opening import NamedBytes
from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.inference.choice import choice_of
from faster_rcnn.inference.inputs import AnyImage
from faster_rcnn.inference.limits import Conf, refuse_limits
from faster_rcnn.inference.loading import loaded_with, ready_detector
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.tiles import tiling_of
from faster_rcnn.serving.rows import Rows, pa
from faster_rcnn.weights.model_file import LoadedModel
from faster_rcnn.weights.resolve import resolve_model

Column = np.ndarray[Any, np.dtype[Any]]


class RayBatch:
    """Detects objects in batches of images, as a callable class for ``ray.data.Dataset.map_batches``.

    Each actor loads the detector once. The rows that come out are those of ``faster_rcnn.serving.rows.SCHEMA``: one for
    each detection, one for an image without any, and one with the reason in ``error`` for an image that failed, so that
    every image is there and none of them stops the job.

    >>> images = ray.data.read_binary_files("photos", include_paths=True)  # doctest: +SKIP
    >>> found = images.map_batches(  # doctest: +SKIP
    ...     RayBatch, fn_constructor_args=["runs/cells"], batch_size=16, concurrency=3, num_cpus=1
    ... )
    """

    def __init__(
        self,
        model: LoadedModel | str | Path,
        conf: Conf = 0.5,
        max_det: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        *,
        classes: str | Iterable[str] | None = None,
        iou: float | None = None,
        agnostic_nms: bool = False,
        precision: Precision = "auto",
        device: str = "auto",
        settings: str | Sequence[str] | None = None,
        threads: int | None = None,
    ) -> None:
        """Load the detector.

        Args:
            model: a model file, a run folder or a published name, which every machine must have; or a model in memory.
            conf: as in ``Detector.predict``, as are the arguments from here to ``agnostic_nms``.
            max_det: largest number of detections of an image.
            tile: side in pixels of the tiles into which larger images are cut.
            overlap: share of a tile's side that its neighbour covers, too.
            classes: names of the classes that are reported.
            iou: NMS threshold of the second stage.
            agnostic_nms: whether NMS compares detections of different classes.
            precision: as in ``Detector.load``, as are ``device`` and ``settings``.
            device: auto is the GPU that Ray gives to the actor, or else the CPU.
            settings: settings of inference in place of the detector's own.
            threads: CPU threads of torch in this process, which should be the actor's ``num_cpus``; by default torch's
                own number.

        Raises:
            ModelFileError: the model cannot be loaded.
            OptionError: an argument makes no sense.
        """
        refuse_limits(conf, max_det)
        tiling, choice = tiling_of(tile, overlap), choice_of(classes, iou, agnostic_nms)
        if threads is not None:
            torch.set_num_threads(threads)
        loaded = model if isinstance(model, LoadedModel) else resolve_model(str(model))
        detector = ready_detector(loaded_with(loaded, settings), precision, device)
        self.predictor = Predictor(detector, tiling=tiling, choice=choice)
        self.predictor.min_scores(conf)  # raises where the model holds no thresholds
        self.conf = conf
        self.max_det = max_det

    def __call__(self, batch: Mapping[str, Column]) -> pa.Table:
        """Detect objects in a batch of images.

        Args:
            batch: columns ``path``, the names of the images, and ``bytes``, their encoded files, as
                ``ray.data.read_binary_files(..., include_paths=True)`` reads them; or ``path`` and ``image``, RGB
                arrays (height, width, 3), as ``ray.data.read_images(..., include_paths=True)`` does.

        Raises ``OptionError`` for a batch without these columns (E125).
        """
        if "path" not in batch or not {"image", "bytes"} & set(batch):
            raise OptionError(
                f"a batch has the columns {', '.join(batch) or 'none'}; it needs path and bytes, or path and image: "
                "read the images with include_paths=True",
                code="E125",
            )
        names = [str(each) for each in batch["path"]]
        if "image" in batch:
            return self.predict(names, list(batch["image"]))
        return self.predict(names, [_named(*each) for each in zip(batch["bytes"], names, strict=True)])

    def predict(self, names: Sequence[str], images: Iterable[AnyImage | ImageError]) -> pa.Table:
        """The rows of images of any kinds.

        Args:
            names: the name of each image in the column ``image``.
            images: the images; an error stands for one that could not be read.
        """
        rows = Rows(names)
        read: deque[int] = deque()
        with rows.with_decoder_warnings():
            outcomes = self.predictor.predict_each(_readable(images, rows, read), self.conf, self.max_det)
            for one in outcomes:
                if isinstance(one, ImageError):
                    rows.fail(read.popleft(), one)
                else:
                    rows.add(read.popleft(), one.result)
                del one  # its pixels are not held while the next image is read
        return rows.table()


def _readable(images: Iterable[AnyImage | ImageError], rows: Rows, read: deque[int]) -> Iterator[AnyImage]:
    """The images that could be read; their numbers go into ``read``, and the errors of the others into the rows."""
    for number, image in enumerate(images):
        if isinstance(image, ImageError):
            rows.fail(number, image)
        else:
            read.append(number)
            yield image


def _named(content: object, name: str) -> NamedBytes | ImageError:
    if not isinstance(content, bytes):
        return ImageError(f"{name} has no bytes: its file was not read", code="E104")
    return NamedBytes(content, name)

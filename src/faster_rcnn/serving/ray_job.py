"""Prediction with Ray Data: batches of names go to the actors, and rows come back and are written part by part."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from faster_rcnn.errors import MachineError
from faster_rcnn.serving.ray_batch import RayBatch
from faster_rcnn.serving.ray_cluster import Actors
from faster_rcnn.serving.remote_files import ImageReader
from faster_rcnn.serving.results_folder import ResultsFolder
from faster_rcnn.serving.rows import failed_rows, pa
from faster_rcnn.system.progress import progress
from faster_rcnn.weights.model_file import unpacked_model

if TYPE_CHECKING:
    import ray

IMAGES_OF_A_PART = 500
"""Images of one Parquet file. An interrupted run loses the images of the few parts that are not whole yet."""
IMAGES_OF_A_BATCH = 32
BATCHES_OF_AN_ACTOR = 16
"""Batches that each actor gets at least, where there are enough images, so that all end at about the same time."""
MAX_BLOCKS = 10_000
"""Blocks of a data set of Ray, each of which costs the driver some memory and time."""

RETRIES = 3
"""How often a batch is repeated whose process ended before it is left out of the first round."""

REASON = "the process that predicted it ended, most often for lack of memory"

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """A prediction of many images."""

    model: bytes
    """The content of its model file."""
    options: Mapping[str, Any]
    """Arguments of ``RayBatch``, without model, device and threads."""
    reader: ImageReader


@dataclass(slots=True)
class Tally:
    """Counts of what a run has done."""

    images: int = 0
    """Images that were predicted."""
    detections: int = 0
    failed: int = 0

    def add(self, rows: pa.Table) -> None:
        """Count the rows of one image, and log the reason why it failed, or a warning about it."""
        error, warning = rows["error"][0].as_py(), rows["warning"][0].as_py()
        if error is not None:
            self.failed += 1
            _LOG.warning(f"{error}; its row in the results holds this reason")
            return
        self.images += 1
        self.detections += len(rows) - rows["label"].null_count
        if warning is not None:
            _LOG.warning(warning)


class Parts:
    """Collects the rows of images, which come in any order, and gives each part when its images are complete."""

    def __init__(self, names: Sequence[str], size: int) -> None:
        """Divide the images, in their order, into parts of ``size`` images; the last part may have fewer."""
        self._names = names
        self._numbers = {name: number for number, name in enumerate(names)}
        self._size = size
        self._seen = bytearray(len(names))
        self._rows: dict[int, dict[int, pa.Table]] = {}
        self.tally = Tally()

    def add(self, table: pa.Table) -> Iterator[pa.Table]:
        """Take rows, those of an image one after the other, and give the parts that they complete.

        An image that came before is left out: Ray may repeat a batch whose process ended.
        """
        for name, rows in _by_image(table):
            number = self._numbers[name]
            if self._seen[number]:
                continue
            self._seen[number] = True
            self.tally.add(rows)
            part = number // self._size
            collected = self._rows.setdefault(part, {})
            collected[number] = rows
            if len(collected) == min(self._size, len(self._names) - part * self._size):
                del self._rows[part]
                yield pa.concat_tables([collected[each] for each in sorted(collected)])

    def missing(self) -> list[str]:
        """The images without rows so far."""
        return [name for name, seen in zip(self._names, self._seen, strict=True) if not seen]


def run_job(
    job: Job,
    names: Sequence[str],
    done: int,
    folder: ResultsFolder,
    actors: Actors,
) -> Tally:
    """Predict images and write their rows, with a bar of all images; ``done`` of them were predicted earlier.

    A batch whose process ends, for lack of memory or by a kill, is repeated. Images of batches that fail again and
    again are predicted one by one in a second round, and what fails there becomes a row with the reason.

    Raises ``MachineError`` where the cluster is lost, or a part cannot be written.
    """
    import ray

    parts = Parts(names, IMAGES_OF_A_PART)
    with progress("images", done + len(names), done=done) as meter, _as_machine_error():
        model = ray.put(job.model)
        for length in (_block_length(len(names), actors.count), 1):
            missing = parts.missing()
            for table in _tables(job, model, missing, length, actors) if missing else ():
                _write(parts.add(table), folder)
                meter.advance(steps=len(table["image"].unique()))
        lost = failed_rows(parts.missing(), REASON)
        _write(parts.add(lost), folder)
        meter.advance(steps=len(lost))
    return parts.tally


def _write(parts: Iterator[pa.Table], folder: ResultsFolder) -> None:
    for part in parts:
        folder.write(part)


def _block_length(images: int, actors: int) -> int:
    """Images of one block: a batch, or fewer where there are few images, or more where there are very many."""
    return max(1, min(IMAGES_OF_A_BATCH, images // (BATCHES_OF_AN_ACTOR * actors)), images // MAX_BLOCKS)


def _tables(
    job: Job, model: ray.ObjectRef[bytes], names: Sequence[str], length: int, actors: Actors
) -> Iterator[pa.Table]:
    """The rows of images as they are predicted, in blocks of ``length`` images, without those of blocks that fail."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = -1
    blocks = [pa.table({"path": names[start : start + length]}) for start in range(0, len(names), length)]
    predicted = ray.data.from_arrow(blocks).map_batches(
        _Actor,
        fn_constructor_args=(model, dict(job.options), actors.device, job.reader, os.getcwd()),
        batch_size=min(length, IMAGES_OF_A_BATCH),
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=min(actors.count, len(blocks))),
        num_cpus=1,
        num_gpus=actors.gpus or None,
        ray_remote_args_fn=_retries,
    )
    yield from predicted.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)


def _retries() -> dict[str, int]:
    return {"max_task_retries": RETRIES}


class _Actor:
    """What each process of Ray Data runs: ``RayBatch`` with the images read from their places."""

    def __init__(
        self, model: ray.ObjectRef[bytes], options: Mapping[str, Any], device: str, reader: ImageReader, folder: str
    ) -> None:
        import ray

        with suppress(OSError):  # another machine may lack the folder; it then reports each image that it cannot read
            os.chdir(folder)  # names of images may be relative
        loaded = unpacked_model(ray.get(model), "the model")
        self.reader = reader
        self.batch = RayBatch(loaded, **options, device=device, threads=None if device == "cuda" else 1)

    def __call__(self, table: pa.Table) -> pa.Table:
        """The rows of the images whose names are in the column ``path``."""
        names = table["path"].to_pylist()
        try:
            return self.batch.predict(names, self.reader.read_all(names))
        except Exception as error:
            if len(names) > 1:  # the second round finds out which image it is
                raise
            reason = " ".join(str(error).splitlines())
            return failed_rows(names, f"{names[0]}: internal fault: {type(error).__name__}: {reason}")


def _by_image(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    start = 0
    for name, same in groupby(table["image"].to_pylist()):
        length = len(list(same))
        yield name, table.slice(start, length)
        start += length


@contextmanager
def _as_machine_error() -> Iterator[None]:
    """Turn errors of Ray, which are no fault of an image, into one line."""
    from ray.exceptions import RayError

    try:
        yield
    except RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise MachineError(
            f"Ray cannot go on: {lines[-1]}; the parts that are whole are kept. Run the command again to go on"
        ) from error

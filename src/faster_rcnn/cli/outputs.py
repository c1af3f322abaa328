"""Writes results to standard output, into a stream, or to a file, which is either complete or absent."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import TextIOBase
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

from faster_rcnn.data.layout.folders import IMAGE_SUFFIXES
from faster_rcnn.errors import MachineError, ModelFileError, OptionError
from faster_rcnn.films.names import FILM_SUFFIXES
from faster_rcnn.reporting.json_text import json_text
from faster_rcnn.system.atomic import as_machine_error, atomic_write, is_stream, open_stream, refuse_unwritable
from faster_rcnn.system.console import say, show
from faster_rcnn.system.streams import writing_results
from faster_rcnn.system.terminal import printable_lines
from faster_rcnn.weights.finding import find_model_file

STDOUT = "-"

DATA_SUFFIXES = IMAGE_SUFFIXES | {".xml", ".txt", ".csv", ".yaml", ".yml"}
"""Endings of the files of a data set, beside COCO's .json, which results may have too."""

MODEL_SUFFIXES = {".safetensors", ".pt", ".pth", ".ckpt", ".pkl", ".onnx", ".bin", ".pt2"}
"""Endings of models, and of the weights beside an OpenVINO model, which is an .xml file."""

OTHER_SUFFIXES = IMAGE_SUFFIXES | FILM_SUFFIXES | MODEL_SUFFIXES | {".csv", ".xml", ".yaml", ".yml"}
"""Endings of files that are not JSON: an existing file with one of them has other content, and is kept."""


def require_file(option: str, target: str | Path | None, inputs: Iterable[str | Path | None] = ()) -> None:
    """Refuse an output file that cannot be written, before the work begins.

    Args:
        option: the option that names the file, for messages.
        target: a file, a stream, ``-`` or ``None``.
        inputs: files and folders that the command reads.

    Raises:
        OptionError: the target is a folder, an input, a file of labelled images in an input's folder, or a file of a
            training run.
        MachineError: the target cannot be written for another reason.
    """
    if target is None or target == STDOUT:
        return
    if not str(target) or Path(target).is_dir():
        raise OptionError(
            f"{option} {str(target) or repr('')} is a folder; name a file, or - for standard output", code="E137"
        )
    if Path(target).is_file():
        _refuse_inputs(option, Path(target), inputs)
        _refuse_file_of_run(option, Path(target))
    _refuse_file_as_folder(option, Path(target).parent, "the file")
    refuse_unwritable(Path(target))


def require_json(target: str | None, inputs: Iterable[str | Path | None] = ()) -> None:
    """Refuse a ``--json`` file as ``require_file`` does, and also one that exists and is not JSON or is ground truth.

    Raises:
        OptionError: as in ``require_file``; or the existing file is an image, a model, a table or COCO's ground truth.
        MachineError: the file cannot be written, or standard output is closed.
    """
    require_file("--json", target, inputs)
    if target == STDOUT and not sys.stdout.writable():
        raise MachineError("--json -: standard output is closed; name a file")
    if target is None or target == STDOUT or not Path(target).is_file():
        return
    real = Path(target).resolve()
    if real.stat().st_size and (real.suffix.lower() in OTHER_SUFFIXES or _is_truth(real)):
        what = "COCO's ground truth" if real.suffix.lower() == ".json" else f"a {real.suffix} file"
        raise OptionError(
            f"--json {target} is there and is {what}, which results would overwrite; name another file", code="E132"
        )


def require_folder(option: str, target: Path | None) -> None:
    """Refuse an output folder that cannot be written to, before the work begins.

    Raises:
        OptionError: the path, or a part of it, is a file.
        MachineError: the folder cannot be made, or nothing can be written into it.
    """
    if target is None:
        return
    if os.path.lexists(target) and not target.is_dir():
        what = "a link to nothing" if not target.exists() else "a file"
        raise OptionError(f"{option} {target} is {what}; name a folder", code="E137")
    _refuse_file_as_folder(option, target, "the folder")
    try:
        refuse_unwritable(target / "any")
    except MachineError as error:
        reason = getattr(error.__cause__, "strerror", None) or error
        raise MachineError(f"{option} {target}: nothing can be written there: {reason}; name another folder") from error


def refuse_same_file(outputs: Mapping[str, str | Path | None]) -> None:
    """Raise ``OptionError`` (E132) where two options name one file; streams may be named twice."""
    options: dict[Path, str] = {}
    for option, target in outputs.items():
        if target is None or target == STDOUT or is_stream(Path(target)):
            continue
        other = options.setdefault(Path(target).resolve(), option)
        if other != option:
            raise OptionError(
                f"{option} {target} is the file of {other}, too, and would overwrite it; name another file", code="E132"
            )


def model_file(model: str) -> Path | None:
    """The file of a detector, for ``require_file``; ``None`` for a published name or one that does not exist."""
    try:
        return find_model_file(model)
    except ModelFileError:
        return None


@contextmanager
def json_lines(target: str) -> Iterator[Callable[[object], None]]:
    """Open a target for JSON lines; gives a function that writes one value a line, at once.

    A file appears under its name when the context ends without an error.
    """
    if target == STDOUT:
        yield _shown_line_writer()
    elif is_stream(Path(target)):
        with as_machine_error(Path(target)):
            stream = open_stream(Path(target))
        try:
            yield _stream_writer(stream, Path(target))
        finally:
            with as_machine_error(Path(target)):
                stream.close()  # which writes what is still buffered
    else:
        with atomic_write(Path(target)) as temporary, temporary.open("w", encoding="utf-8") as file:
            yield _line_writer(file)


@runtime_checkable
class Report(Protocol):
    """A result with a form for people and a form for programs."""

    def table(self) -> str:
        """Text for a terminal."""

    def to_json(self) -> object:
        """What JSON can hold."""


def deliver(report: Report, target: str | None) -> None:
    """Print a result as a table, and write it as JSON to ``target``; where that is ``-``, the JSON alone is printed."""
    if target != STDOUT:
        show(report.table())
    deliver_numbers(report.to_json(), target)


def deliver_numbers(numbers: object, target: str | None) -> None:
    """Write a result as JSON to ``target`` where one is given, and name the file."""
    if target is None:
        return
    write_json(target, numbers)
    if target != STDOUT:
        say(f"numbers in {target}")


def write_json(target: str, value: object) -> None:
    """Write one value, indented for people."""
    if target == STDOUT:
        _shown_line_writer(indent=2)(value)
        return
    with atomic_write(Path(target)) as temporary:
        temporary.write_text(json_text(value, indent=2) + "\n", encoding="utf-8")


def _shown_line_writer(indent: int | None = None) -> Callable[[object], None]:
    """A writer to standard output, perhaps a terminal: characters that control it are escaped, and read back equal."""
    write, flush, encoding = (
        sys.stdout.write,
        sys.stdout.flush,
        sys.stdout.encoding,
    )  # a progress bar replaces the stream

    def write_line(value: object) -> None:
        text = json_text(value, encoding, indent)
        if printable_lines(text) != text:
            text = json_text(value, "ascii", indent)
        with writing_results():
            write(text + "\n")
            flush()

    return write_line


def _line_writer(file: TextIOBase) -> Callable[[object], None]:
    def write_line(value: object) -> None:
        file.write(json_text(value) + "\n")
        file.flush()

    return write_line


def _stream_writer(stream: BinaryIO, path: Path) -> Callable[[object], None]:
    def write_line(value: object) -> None:
        with as_machine_error(path):
            stream.write(json_text(value).encode() + b"\n")
            stream.flush()

    return write_line


def _refuse_file_as_folder(option: str, folder: Path, what: str) -> None:
    """Raise ``OptionError`` where a folder of a path is a file."""
    above = next((each for each in (folder, *folder.parents) if os.path.lexists(each)), None)
    if above is not None and above.exists() and not above.is_dir():
        raise OptionError(
            f"{option}: {above} is a file, so {what} cannot be made below it; name another place", code="E137"
        )


def _refuse_inputs(option: str, target: Path, inputs: Iterable[str | Path | None]) -> None:
    """Raise ``OptionError`` where an existing file is an input, or belongs to the labelled images in one."""
    for each in (Path(given) for given in inputs if given is not None and os.path.exists(given)):
        if _is_data_of(each, target) if each.is_dir() else target.samefile(each):
            raise OptionError(
                f"{option} {target} is what this command reads ({each}) and would be overwritten; name another file",
                code="E132",
            )


def _refuse_file_of_run(option: str, target: Path) -> None:
    """Raise ``OptionError`` where an existing file belongs to a training run."""
    from faster_rcnn.training import run_folder

    real = target.resolve()
    if real.name in run_folder.FILES and run_folder.holds_run(real.parent):
        raise OptionError(
            f"{option} {target} is a file of the training run in {target.parent} and would be overwritten; name "
            "another file",
            code="E132",
        )


def _is_data_of(folder: Path, file: Path) -> bool:
    real = file.resolve()  # a link is followed: the file behind it would be overwritten
    return real.is_relative_to(folder.resolve()) and (real.suffix.lower() in DATA_SUFFIXES or _is_truth(real))


def _is_truth(path: Path) -> bool:
    """Whether a JSON file holds COCO's ground truth; results and metrics have no annotations."""
    try:
        content = json.loads(path.read_bytes()) if path.suffix.lower() == ".json" else None
    except (ValueError, RecursionError):
        return True  # a broken file is not a result of this command
    return isinstance(content, dict) and "annotations" in content

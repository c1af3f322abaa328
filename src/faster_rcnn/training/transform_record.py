"""The record of a run's transform: a run stores its name and never its code, and so never loads any by itself."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from faster_rcnn.data.transform import Transform
from faster_rcnn.errors import OptionError
from faster_rcnn.settings.schema import Config
from faster_rcnn.training import run_folder
from faster_rcnn.training.resume import fresh_start

_LOG = logging.getLogger(__name__)


def refuse_without_images_of_its_own(transform: Transform | None, config: Config) -> None:
    """Raise ``OptionError`` where external proposals are trained on, which do not follow a transform."""
    alternating = config.training.scheme == "alternating"
    if transform is not None and (alternating or config.detector.kind == "fast-rcnn"):
        which = "training.scheme=alternating" if alternating else "detector.kind=fast-rcnn"
        raise OptionError(
            f"--transform {transform.name}: with {which} the second stage is trained on stored proposals, which do not "
            "follow the images; leave out one of them"
        )


def write_transform(folder: Path, transform: Transform | None) -> None:
    """Write the name of a run's transform and the digest of its text; nothing for a run without one."""
    if transform is not None:
        text = json.dumps({"transform": transform.name, "digest": transform.digest})
        run_folder.write_text(folder / run_folder.TRANSFORM, text + "\n")


def refuse_other_transform(folder: Path, transform: Transform | None) -> None:
    """Raise ``OptionError`` (E124) where the run in ``folder`` was begun with another transform, or with none.

    Functions of one name are the same one; a change of its text is logged.
    """
    name, digest = _recorded(folder / run_folder.TRANSFORM)
    if transform is None:
        if name is not None:
            raise OptionError(
                f"the run in {folder} was begun with the transform {name}, and a run never loads code by itself: name "
                f"it again with --transform {name}",
                code="E124",
            )
        return
    if name is None or _function(name) != _function(transform.name):
        before = "without a transform" if name is None else f"with the transform {name}"
        raise OptionError(
            f"the run in {folder} was begun {before}, and --transform names {transform.name}. Give what it began with, "
            f"or {fresh_start(folder)} and another --out",
            code="E124",
        )
    if digest != transform.digest:
        _LOG.warning(
            f"the text of {transform.name} has changed since the run began, which does not end as it would have"
        )


def _recorded(path: Path) -> tuple[str | None, str | None]:
    """The name and the digest in a run folder."""
    if not path.exists():
        return None, None
    try:
        found = run_folder.json_in(path)
        return str(found["transform"]), found["digest"]
    except (ValueError, TypeError, KeyError) as error:
        raise OptionError(
            f"{path} cannot be read ({error}), so the transform of this run is not known; {fresh_start(path.parent)}",
            code="E124",
        ) from error


def _function(name: str) -> str:
    return name.rpartition(":")[2].rpartition(".")[2]

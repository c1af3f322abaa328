"""Several processes of a run train with the same settings on the same data, each of which reads its own copy."""

from __future__ import annotations

import hashlib
import json

from faster_rcnn.data.fingerprint import fingerprint_of
from faster_rcnn.data.records import Dataset
from faster_rcnn.errors import OptionError
from faster_rcnn.settings.schema import Config
from faster_rcnn.system.distributed import Processes


def refuse_other_inputs(processes: Processes, config: Config, dataset: Dataset) -> None:
    """Raise ``OptionError`` in all processes where one has other settings or other data than the first one."""
    if not processes.are_several:
        return
    settings = hashlib.sha256(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
    own = {"settings": settings, "data": fingerprint_of(dataset).digest()}
    known = processes.from_first(own)

    def compare() -> None:
        if differing := [name for name, digest in own.items() if digest != known[name]]:
            raise OptionError(
                f"the {' and the '.join(differing)} of this process are other ones than those of the first process; "
                "start all processes with the same command on the same data"
            )

    processes.together(compare)

"""What decides the last bits of a run: precision, threads and processes.

They are chosen when it begins and kept when it is resumed, so that its result is equal.
"""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.settings.schema import Config
from faster_rcnn.settings.training import TrainingConfig
from faster_rcnn.system.devices import PRECISIONS, choose_device, choose_precision, precision_name, supports_precision
from faster_rcnn.system.distributed import ALONE, Processes
from faster_rcnn.system.threads import default_threads


def with_machine_settings(config: Config, processes: Processes = ALONE) -> Config:
    """Resolve ``auto`` for precision and threads to what it means on this machine, and note the number of processes.

    Raises ``OptionError`` (E126) for a device that is not there.
    """
    settings = config.training
    refuse_idle_processes(settings, processes.count)
    precision = precision_name(choose_precision(settings.precision, choose_device(settings.device, processes)))
    threads = default_threads(processes.local_count) if settings.threads == "auto" else settings.threads
    return with_training(config, precision=precision, threads=threads, processes=processes.count)


def with_training(config: Config, **values: object) -> Config:
    """The configuration with other values of its section ``training``."""
    return config.model_copy(update={"training": config.training.model_copy(update=values)})


def refuse_missing_precision(folder: Path, before: TrainingConfig, asked: TrainingConfig) -> None:
    """Raise ``MachineError`` where a resumed run lacks its own precision here and no other one is given (``auto``)."""
    if asked.precision != "auto" or before.precision == "auto":
        return
    device = choose_device(before.device)
    if not supports_precision(PRECISIONS[before.precision], device):
        raise MachineError(
            f"the run in {folder} began in {before.precision}, in which {device} of this machine does not compute, so "
            "it would not end as it would have; go on where it began, or give a precision, which the run then notes: "
            "--precision float32"
        )


def machine_changes(before: TrainingConfig, now: TrainingConfig) -> tuple[str, ...]:
    """Changes of what decides last bits against what a run recorded, such as ``precision bfloat16 -> float32``."""
    return tuple(
        f"{name} {old} -> {new}"
        for name in ("precision", "threads", "processes", "micro_batch")
        if (old := getattr(before, name)) not in ("auto", new := getattr(now, name))
    )


def refuse_idle_processes(settings: TrainingConfig, count: int) -> None:
    """Raise ``OptionError`` where ``count`` processes are more than the images of a step, which they share."""
    if settings.batch != "auto" and count > settings.batch:
        images = "1 image" if settings.batch == 1 else f"{settings.batch} images"
        raise OptionError(
            f"--processes {count}: a step has {images}, and each process needs one; give --batch {count} or fewer "
            "processes"
        )

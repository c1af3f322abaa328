"""Everything that can go wrong, as exceptions that carry their own exit code.

FasterRCNNError                 the message is one line for the user; ``exit_code`` is what the command returns
├── InputError             2    data and options: the user can mend it
│   ├── OptionError             an option, a configuration key, a device that does not exist
│   ├── DatasetError            labelled images: formats, boxes, classes, missing files
│   ├── ImageError              one image that cannot be decoded or has an unusable shape
│   │   └── ImageMemoryError 5  one image for which the memory does not suffice
│   └── ModelFileError          a model file, a checkpoint or foreign weights that do not fit
├── DivergedError          3    a loss or a gradient stopped being finite
├── VerificationError      4    an output failed its own check
└── MachineError      5    the machine: no network, disk full, a missing extra
    └── MissingExtraError       an optional package is needed; names the pip command

An interrupted run is Python's own ``KeyboardInterrupt`` and returns 130 (SIGTERM: 143, SIGHUP: 129).
"""

from __future__ import annotations


class FasterRCNNError(Exception):
    """Base of all errors of this package; the message is a single line meant for the user."""

    exit_code = 1

    def __init__(self, message: str, *, code: str | None = None) -> None:
        """Keep the message and, where the case has one, its stable code such as ``E107``."""
        super().__init__(f"{code} {message}" if code else message)
        self.code = code
        self.text = message
        """The message without its code, for errors that wrap this one."""


class InputError(FasterRCNNError):
    """Data or options that the user can mend."""

    exit_code = 2


class OptionError(InputError):
    """An option, configuration key or device that does not exist or does not fit."""


class DatasetError(InputError):
    """Labelled images that cannot be used as they are."""


class ImageError(InputError):
    """An image that cannot be decoded, or an array that is not an image."""


class ModelFileError(InputError):
    """A model file, run folder or foreign checkpoint that does not fit."""


class ImageMemoryError(ImageError):
    """One image for which the memory does not suffice; it may for others."""

    exit_code = 5


class DivergedError(FasterRCNNError):
    """A loss or a gradient stopped being finite."""

    exit_code = 3


class VerificationError(FasterRCNNError):
    """Something we wrote failed the check that follows the writing."""

    exit_code = 4


class MachineError(FasterRCNNError):
    """The machine cannot do it: no network, no space, a missing package."""

    exit_code = 5


class MissingExtraError(MachineError):
    """An optional package is needed."""

    def __init__(self, package: str, extra: str) -> None:
        """Name the package and the extra that brings it."""
        super().__init__(f"this needs the package '{package}': pip install 'faster-rcnn[{extra}]'")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, torch or a GPU lacked memory; torch, which has exceptions of its own for it, is not imported."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )

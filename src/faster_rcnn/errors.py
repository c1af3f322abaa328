"""Exceptions for everything that can go wrong; each class carries the exit code of the command.

FasterRCNNError                 the message is one line for the user; ``exit_code`` is what the command returns
├── InputError             2    data and options: the user can mend it
│   ├── OptionError             an option, a configuration key, a device that does not exist
│   ├── DatasetError            labelled images: formats, boxes, classes, missing files
│   ├── ImageError              an image that cannot be decoded or has an unusable shape
│   │   └── ImageMemoryError 5  an image that needs more memory than there is
│   └── ModelFileError          a model file, a checkpoint or foreign weights that do not fit
├── DivergedError          3    a loss or a gradient stopped being finite
├── VerificationError      4    an output failed its own check
├── MachineError      5    the machine: no download, disk full, a missing extra
│   ├── MissingExtraError       an optional package is needed; names the pip command
│   └── LostProcessError        one of several processes ended, or the connection to it
└── ElsewhereError             one of several processes failed, and the first one reports it; has that one's exit code

An interrupted run is Python's own ``KeyboardInterrupt`` and returns 130 (SIGTERM: 143, SIGHUP: 129).
Some messages begin with a code such as ``E107``; ``error_codes`` explains each of them, and why others have none.
"""

from __future__ import annotations


class FasterRCNNError(Exception):
    """Base of all errors of this package; the message is a single line meant for the user."""

    exit_code = 1

    def __init__(self, message: str, *, code: str | None = None) -> None:
        """Keep the message and put the code of the fault, such as ``E107``, before it where there is one."""
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
    """An image that needs more memory than there is; other images may be fine."""

    exit_code = 5


class DivergedError(FasterRCNNError):
    """A loss or a gradient stopped being finite."""

    exit_code = 3


class VerificationError(FasterRCNNError):
    """An output failed the check that follows its writing."""

    exit_code = 4


class MachineError(FasterRCNNError):
    """The machine lacks something: a connection for a download, disk space, a package, a processor feature."""

    exit_code = 5


class MissingExtraError(MachineError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str | None = None) -> None:
        """Name the package and the extra that installs it; without an extra, the package itself is installed."""
        wanted = package if extra is None else f"'faster-rcnn[{extra}]'"
        super().__init__(f"this needs the package '{package}': pip install {wanted}")


class LostProcessError(MachineError):
    """Another one of several processes ended, or the connection to it."""


class ElsewhereError(FasterRCNNError):
    """Another one of several processes failed, and the first process reports it; has the exit code of that error."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, torch or a GPU ran out of memory. Torch's own exceptions are recognized without importing it."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )

"""Options of the server. They are checked before a model is loaded, and none of the server's packages is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from math import isfinite
from pathlib import Path

from faster_rcnn.choices import Precision
from faster_rcnn.errors import MissingExtraError, OptionError
from faster_rcnn.inference.limits import Conf, refuse_below_one, refuse_limits, refuse_non_integer, refuse_non_number
from faster_rcnn.system.files import read_argument

PACKAGES = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")
SHORTEST_KEY = 16
"""Characters of the shortest key that is taken: shorter ones are found by trying."""
LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest requests, and how many of them wait how long."""

    megabytes: int = 32
    """Size of a body in 2^20 bytes."""
    megapixels: int = 50
    """Size of an image in 10^6 pixels; a smaller limit of the detector itself holds, too."""
    images: int = 16
    """Images of a request."""
    queue: int = 64
    """Requests of a process that are received, wait or are computed; the next one is refused."""
    timeout: float = 30.0
    """Seconds in which a body must arrive, and then in which it is answered."""

    @property
    def longest(self) -> float:
        """Seconds that a request takes at most."""
        return 2 * self.timeout

    def __post_init__(self) -> None:
        """Raise ``OptionError`` (E125) for a limit that is not positive."""
        names = {"max-megabytes": self.megabytes, "max-megapixels": self.megapixels, "max-images": self.images}
        for name, value in {**names, "queue": self.queue}.items():
            refuse_below_one(name, value)
        refuse_non_number("timeout", self.timeout)
        if not (isfinite(self.timeout) and self.timeout > 0):
            raise OptionError(f"timeout {self.timeout:g}: an answer takes some seconds, such as 30", code="E125")


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """A detector and how it is served."""

    model: str
    """Model file, run folder or published name."""
    conf: Conf = 0.5
    """Lowest score that is reported where a request does not name one: a number, ``auto`` or a target."""
    max_det: int | None = None
    """Largest number of detections of an image where a request does not name one."""
    precision: Precision = "auto"
    device: str = "auto"
    settings: tuple[str, ...] = ()
    """Settings of inference in place of the detector's own."""
    batch: int | None = None
    """Images of waiting requests that are detected together; by default 8 on a GPU and 1, which is faster, on a CPU."""
    workers: int = 1
    """Processes, each with a detector of its own."""
    limits: Limits = Limits()
    keys: tuple[str, ...] = field(default=(), repr=False)
    """Keys of which a request needs one; without keys everyone is answered."""
    label_studio: str | None = None
    """Address of the Label Studio whose images are fetched, such as ``http://localhost:8080``."""
    label_studio_key: str | None = field(default=None, repr=False)
    """Access token of that Label Studio."""

    def __post_init__(self) -> None:
        """Raise ``OptionError`` (E125) for a value that makes no sense."""
        refuse_limits(self.conf, self.max_det)
        refuse_below_one("workers", self.workers)
        if self.batch is not None:
            refuse_below_one("batch", self.batch)
        if self.label_studio is not None and not self.label_studio.startswith(("http://", "https://")):
            raise OptionError(
                f"label-studio {self.label_studio}: give its address, such as http://localhost:8080", code="E125"
            )
        if self.label_studio_key is not None and self.label_studio is None:
            raise OptionError("label-studio-key-file has no use without --label-studio, the address it is for")


def require_server() -> None:
    """Raise ``MissingExtraError`` where a package of the server is not installed; nothing is imported."""
    for package in PACKAGES:
        if find_spec(package) is None:
            raise MissingExtraError(package.replace("_", "-"), "serve")


def refuse_port(port: int) -> None:
    """Raise ``OptionError`` (E125) for a number that is no port; 0 is any free one."""
    refuse_non_integer("port", port)
    if not 0 <= port <= 65535:
        raise OptionError(f"port {port}: ports are 1 to 65535, or 0 for a free one", code="E125")


def read_keys(path: Path) -> tuple[str, ...]:
    """The keys of a file, one a line; empty lines and lines that begin with ``#`` are skipped.

    Raises ``OptionError`` (E125) for a file that cannot be read or holds no key, and for a key that is too short or has
    characters that no header can carry. The messages hold no part of a key.
    """
    keys = []
    for number, line in enumerate(_lines(path), 1):
        if not line or line.startswith("#"):
            continue
        if len(line) < SHORTEST_KEY or not (line.isascii() and line.isprintable()) or " " in line:
            raise OptionError(
                f"{path} line {number}: a key is {SHORTEST_KEY} letters, digits and signs or more, without a space; "
                "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'",
                code="E125",
            )
        keys.append(line)
    if not keys:
        raise OptionError(f"{path} holds no key; write one a line", code="E125")
    return tuple(keys)


def read_token(path: Path) -> str:
    """The token that a file consists of; raises ``OptionError`` (E125) where it cannot be read or is empty."""
    lines = [line for line in _lines(path) if line]
    if len(lines) != 1 or not (lines[0].isascii() and lines[0].isprintable()):
        raise OptionError(f"{path} holds {len(lines)} lines; write the token of Label Studio, and no more", code="E125")
    return lines[0]


def _lines(path: Path) -> Sequence[str]:
    try:
        return [line.strip() for line in read_argument(path).decode().splitlines()]
    except OSError as error:
        raise OptionError(f"cannot read {path}: {error.strerror}", code="E125") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"{path} is no text in UTF-8", code="E125") from error

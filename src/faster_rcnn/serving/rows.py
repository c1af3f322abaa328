"""The table of predictions: one row for each detection, and one for each image that has none or that failed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from faster_rcnn.errors import ImageError, MissingExtraError
from faster_rcnn.inference.result import Result

try:
    import pyarrow as pa
except ImportError as error:
    raise MissingExtraError("pyarrow", "ray") from error

__all__ = ["SCHEMA", "Rows", "failed_rows", "pa"]

SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("label", pa.string()),
        ("label_id", pa.int64()),
        ("score", pa.float32()),
        ("x1", pa.float32()),
        ("y1", pa.float32()),
        ("x2", pa.float32()),
        ("y2", pa.float32()),
        ("warning", pa.string()),
        ("error", pa.string()),
    ]
)
"""Columns of the table. Names and boxes are those of ``predict --json``: pixels of the upright image.

An image without detections has one row whose ``label``, ``score`` and box are null. An image that failed has one row
with the reason in ``error``, and null in all other columns but ``image``.
"""

_DECODER = logging.getLogger("faster_rcnn.data.decode")


class Rows:
    """Collects the rows of some images, whose outcomes come in any order; the table has the order of the images."""

    def __init__(self, names: Sequence[str]) -> None:
        """Begin without outcomes; each of the images named needs one before the table is made."""
        self._names = names
        self._rows: dict[int, list[dict[str, Any]]] = {}
        self._warnings: list[str] = []

    def add(self, number: int, result: Result) -> None:
        """Add the detections of the image with this number, counted from 0."""
        found = result.to_json()
        size = {"width": found["width"], "height": found["height"]}
        self._rows[number] = [size | _of_detection(one) for one in found["detections"]] or [size]

    def fail(self, number: int, error: ImageError | str) -> None:
        """Add the reason for which the image with this number has no result."""
        self._rows[number] = [{"error": str(error)}]

    @contextmanager
    def with_decoder_warnings(self) -> Iterator[None]:
        """Within it, what the decoder logs about one of the images goes into the column ``warning`` of its rows."""
        handler = _Collector(self._warnings)
        _DECODER.addHandler(handler)
        try:
            yield
        finally:
            _DECODER.removeHandler(handler)

    def table(self) -> pa.Table:
        """All rows, in the order of the images; the columns are those of ``SCHEMA``."""
        rows = []
        for number, name in enumerate(self._names):
            warning = next((text for text in self._warnings if text.startswith(f"{name} may be damaged")), None)
            rows += [{"image": name, "warning": warning, **row} for row in self._rows[number]]
        return pa.Table.from_pylist(rows, schema=SCHEMA)


class _Collector(logging.Handler):
    """Keeps the messages of a logger."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        self.messages.append(record.getMessage())


def failed_rows(names: Sequence[str], reason: str) -> pa.Table:
    """The rows of images that failed for one reason."""
    return pa.Table.from_pylist([{"image": name, "error": reason} for name in names], schema=SCHEMA)


def _of_detection(one: dict[str, Any]) -> dict[str, Any]:
    x1, y1, x2, y2 = one["box"]
    values = {name: one[name] for name in ("label", "label_id", "score")}
    return {**values, "x1": x1, "y1": y1, "x2": x2, "y2": y2}

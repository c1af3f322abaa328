"""The generators of pages, by the names that the markers of pages use."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from documentation.fast_parts import fast_parts
from documentation.presets import precisions, presets
from documentation.reference import commands, error_codes, exceptions, file_formats, python_names, settings

GENERATORS: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "settings": settings,
    "presets": presets,
    "precisions": precisions,
    "errors": error_codes,
    "exceptions": exceptions,
    "python": python_names,
    "files": file_formats,
    "fast": fast_parts,
}

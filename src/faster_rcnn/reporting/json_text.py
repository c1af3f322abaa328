"""JSON text that any file and terminal takes, whatever bytes the names of files hold."""

from __future__ import annotations

import json


def json_text(value: object, encoding: str | None = "utf-8", indent: int | None = None) -> str:
    """JSON text with the letters of names as they are; letters that the encoding lacks are escaped.

    A byte of a file name that is no UTF-8 becomes the escape of U+DC80 to U+DCFF, as in Python's strings:
    ``os.fsencode`` converts what was read into the name again.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent, allow_nan=False)
    return text

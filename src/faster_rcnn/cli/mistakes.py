"""Explains a wrong command line in one line that names the right form."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from cyclopts import App, CycloptsError, MissingArgumentError, UnknownCommandError, UnknownOptionError

GLOBAL_OPTIONS = ("--help", "--version", "--quiet", "--verbose", "--debug")
SIZES = ("--image-size", "--imgsz")
SIZE_SETTING = "--set image.short_side=PIXELS image.long_side=PIXELS"
LIKENESS = 0.75
"""Least similarity of a suggestion to what was typed; less than this is hardly a typing error."""


def explained(error: CycloptsError, app: App) -> str:
    """The line for one mistake; mistakes that are not handled here keep the parser's own words."""
    command = " ".join(error.command_chain or ())
    match error:
        case UnknownCommandError():
            [typed, *_] = error.unused_tokens or [""]
            commands = sorted(name for name in app if not name.startswith("-"))
            return f'unknown command "{typed}".{_suggestion(typed, commands)} The commands are {", ".join(commands)}.'
        case UnknownOptionError():
            typed = error.token.keyword or error.token.value
            options = [name for argument in error.argument_collection for name in argument.names]
            name = typed.partition("=")[0]
            if name in SIZES and "--set" in options:
                return f"unknown option: {typed}. A model has its own image size; change it with {SIZE_SETTING}."
            return f"unknown option: {typed}.{_suggestion(name, (*options, *GLOBAL_OPTIONS))}"
        case MissingArgumentError() if error.argument is not None and error.keyword is None and command:
            return f"{command} needs {error.argument.name}: {_usage(app, command)}; more: faster-rcnn {command} --help"
    text = " ".join(str(error).splitlines())
    return f"{text[:1].lower()}{text[1:]}"


def _suggestion(typed: str, names: Iterable[str]) -> str:
    known = list(names)
    begun = [name for name in known if len(typed) > 3 and name.startswith(typed)]
    close = begun or get_close_matches(typed, known, n=1, cutoff=LIKENESS)
    return f" Did you mean {close[0]}?" if close else ""


def _usage(app: App, command: str) -> str:
    """The shortest valid form of a command, such as ``faster-rcnn train DATA``."""
    parts = [f"faster-rcnn {command}"]
    for argument in app[command].assemble_argument_collection():
        several = "..." if argument.hint is not None and "list" in str(argument.hint) else ""
        if argument.name == "*":  # a value whose fields are options
            continue
        if not argument.name.startswith("-"):
            parts.append(argument.name + several)
        elif argument.required:
            parts.append(f"{argument.name} {argument.name.removeprefix('--').upper()}{several}")
    return " ".join(parts)

"""Extensions of griffe, with which mkdocstrings reads the sources: fenced examples, arguments of decorated methods."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import griffe

from documentation.text import with_fenced_examples
from faster_rcnn.settings import option_types


class Examples(griffe.Extension):
    """Puts the doctests of every docstring into fences."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object that was read."""
        if obj.docstring is not None:
            obj.docstring.value = with_fenced_examples(obj.docstring.value)


class Arguments(griffe.Extension):
    """Gives a method whose decorator changes its arguments those that callers give, such as ``Detector.train``."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Replace the parameters of a function that was read, where the imported one has a signature of its own."""
        if not any("called_with" in str(each.value) for each in func.decorators):
            return
        owner: Any = importlib.import_module(func.module.path)
        for name in func.path.removeprefix(f"{func.module.path}.").split("."):
            owner = getattr(owner, name)
        func.parameters = griffe.Parameters(*map(_parameter, inspect.signature(owner).parameters.values()))


def _parameter(parameter: inspect.Parameter) -> griffe.Parameter:
    default = None if parameter.default is inspect.Parameter.empty else repr(parameter.default)
    return griffe.Parameter(
        parameter.name,
        annotation=_plain(str(parameter.annotation)),
        kind=griffe.ParameterKind(parameter.kind.description),
        default=default,
    )


def _plain(annotation: str) -> str:
    """An annotation with what a program may give in the place of the names for options of the command."""
    source = inspect.getsource(option_types)
    # Names that type checkers and the command read differently are defined for type checkers first.
    meanings = dict(re.findall(r"^    (\w+) = (.+)$", source.partition("else:")[0], re.MULTILINE))
    meanings |= dict(re.findall(r"^(\w+) = Annotated\[(.+), Parameter", source, re.MULTILINE))
    return re.sub(r"\w+", lambda word: meanings.get(word[0], word[0]), annotation)

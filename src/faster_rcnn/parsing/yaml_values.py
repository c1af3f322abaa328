"""Parsing of YAML that others wrote: the size of its expanded aliases is checked before any value is built.

A kilobyte of aliases of aliases may expand to more values than any memory holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain
from typing import Any, NamedTuple

import yaml

from faster_rcnn.parsing.values import cut, is_text

_PREFIX = "tag:yaml.org,2002:"
_KINDS = frozenset(f"{_PREFIX}{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map", "merge"))
_TEXT, _MERGE, _DATE, _DEFAULT = (f"{_PREFIX}{kind}" for kind in ("str", "merge", "timestamp", "value"))
_BYTES = re.compile("[\udc80-\udcff]")
"""Surrogates by which Python represents the bytes of a file name that are not UTF-8."""
_MAX_LEVELS = 100
"""Maximum nesting of lists and mappings; Python's own stack ends at some hundreds."""
_MAX_REPEATED = 1_000_000
"""Maximum number of values and characters that the aliases of a file may add to it."""
_MAX_NUMBER = 1000
"""Maximum length of a number in characters: Python refuses to write integers of more than 4,300 digits."""


class _Loader(yaml.SafeLoader):
    """Loads dates and ``=`` as text: no value that is read here is a date, and ``2001-99-99`` is none at all."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # overrides PyYAML's own attribute
        first: [(tag, form) for tag, form in resolvers if tag not in (_DATE, _DEFAULT)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Raise ``ConstructorError`` for a value that does not fit its tag (``!!int``); PyYAML raises many types."""
        try:
            if node.tag != _TEXT and isinstance(node, yaml.ScalarNode) and len(node.value) > _MAX_NUMBER:
                raise ValueError("as many digits are no number")
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
            problem = f"{cut(repr(node.value))} is not of the kind {node.tag.removeprefix(_PREFIX)}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a repeated key, of which PyYAML would take the last value."""
        earlier = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in earlier:
                problem = f"'{cut(key.value)}' occurs twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            earlier.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return super().construct_mapping(node, deep)


class _Extent(NamedTuple):
    """The size of a node whose aliases are expanded."""

    size: int
    """Values and characters."""
    levels: int


def composed(text: str) -> yaml.Node | None:
    """The root node of a YAML document; ``None`` for an empty document.

    Raises:
        yaml.YAMLError: the text is not YAML, has a tag that is not read, is nested too deeply, or has aliases that
            expand to too much or to a node that contains them.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)  # a SafeLoader
        if root is not None and _extent(root, {}).size > _MAX_REPEATED + 2 * len(text):
            raise _refused("its aliases (*name) expand to millions of values; write the values out", root)
    except RecursionError as error:
        raise _refused("its lists or keys are nested too deeply", None) from error
    return root


def plain_value(node: yaml.Node) -> Any:
    """A node as Python's lists, numbers and texts; raises ``yaml.YAMLError`` where a value does not fit its tag."""
    loader = _Loader("")
    try:
        return loader.construct_object(node, deep=True)
    finally:
        loader.dispose()


def text_value(node: yaml.Node) -> Any:
    """A node as lists, dictionaries, and texts as they are written: ``no`` and ``1.0`` are names of classes.

    Raises ``yaml.YAMLError`` where a key occurs twice or is not text.
    """
    waiting, found = [node], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in found:
            continue
        found.add(id(each))
        if isinstance(each, yaml.ScalarNode) and each.tag != _MERGE:
            each.tag = _TEXT
        waiting += _inside(each)
    return plain_value(node)


def place_of(error: yaml.YAMLError) -> str:
    """Place and problem of an error, as far as they are known, such as `` at line 3 column 4: found a tab``."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if isinstance(error, yaml.reader.ReaderError):
        return f" at character {error.position + 1}: {error.reason}: {error.character:#x}"
    place = f" at line {mark.line + 1} column {mark.column + 1}" if mark is not None else ""
    return f"{place}: {cut(problem, 200)}" if problem else place


def _extent(node: yaml.Node, known: dict[int, _Extent | None]) -> _Extent:
    """The extent of a node; ``known`` holds those of earlier nodes, and ``None`` for nodes that contain this one."""
    if id(node) in known:
        extent = known[id(node)]
        if extent is None:
            raise _refused("an alias is within the node that it names", node)
        return extent
    if node.tag not in _KINDS:
        raise _refused(f"could not determine a constructor for the tag {cut(repr(node.tag))}", node)
    if isinstance(node, yaml.ScalarNode) and not is_text(_BYTES.sub("", node.value)):
        raise _refused(f"{cut(ascii(node.value))} holds half of a character", node)
    known[id(node)] = None
    inner = [_extent(each, known) for each in _inside(node)]
    own = 1 + len(node.value) if isinstance(node, yaml.ScalarNode) else 1
    extent = _Extent(own + sum(each.size for each in inner), 1 + max((each.levels for each in inner), default=0))
    if extent.levels > _MAX_LEVELS:
        raise _refused("its lists or keys are nested too deeply", node)
    known[id(node)] = extent
    return extent


def _inside(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return chain.from_iterable(node.value)
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _refused(problem: str, node: yaml.Node | None) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(None, None, problem, None if node is None else node.start_mark)

"""YAML that others wrote: what its aliases stand for is counted before anything is made of them.

A kilobyte of aliases of aliases may stand for more values than any memory holds.
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
"""How Python has those bytes of a file's name that are no UTF-8."""
_MAX_LEVELS = 100
"""Lists within lists; Python's own stack ends at some hundreds."""
_MAX_REPEATED = 1_000_000
"""Values and characters that the aliases of a file may add to it."""
_MAX_NUMBER = 1000
"""Characters of a number: Python refuses to write integers of more than 4,300 digits."""


class _Loader(yaml.SafeLoader):
    """Dates and ``=`` are text: no value that is read here is one, and ``2001-99-99`` is no date."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # overrides PyYAML's own attribute
        first: [(tag, form) for tag, form in resolvers if tag not in (_DATE, _DEFAULT)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Refuse what a tag such as ``!!int`` promises and the value is not, for which PyYAML raises anything."""
        try:
            if node.tag != _TEXT and isinstance(node, yaml.ScalarNode) and len(node.value) > _MAX_NUMBER:
                raise ValueError("as many digits are no number")
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
            problem = f"{cut(repr(node.value))} is not of the kind {node.tag.removeprefix(_PREFIX)}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands twice, of which PyYAML would take the last one."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                problem = f"'{cut(key.value)}' stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return super().construct_mapping(node, deep)


class _Extent(NamedTuple):
    """What a node stands for when each alias is what it names."""

    size: int
    """Values and characters."""
    levels: int


def composed(text: str) -> yaml.Node | None:
    """The root of a YAML document; none of an empty one.

    Raises:
        yaml.YAMLError: it is not YAML, has a tag that is not read, is nested too deeply, or its aliases stand for too
            much or for what they are in.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)  # a SafeLoader
        if root is not None and _extent(root, {}).size > _MAX_REPEATED + 2 * len(text):
            raise _refused("its aliases (*name) stand for millions of values; write out what they mean", root)
    except RecursionError as error:
        raise _refused("its lists or keys are nested too deeply", None) from error
    return root


def plain_value(node: yaml.Node) -> Any:
    """A node as Python's lists, numbers and texts; raises ``yaml.YAMLError`` where it is not what its tag promises."""
    loader = _Loader("")
    try:
        return loader.construct_object(node, deep=True)
    finally:
        loader.dispose()


def text_value(node: yaml.Node) -> Any:
    """A node as lists, dictionaries, and texts as they are written: ``no`` and ``1.0`` are names of classes.

    Raises ``yaml.YAMLError`` where a key stands twice or is no text.
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
    """Such as `` at line 3 column 4: found a tab``, or what is known of it."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if isinstance(error, yaml.reader.ReaderError):
        return f" at character {error.position + 1}: {error.reason}: {error.character:#x}"
    place = f" at line {mark.line + 1} column {mark.column + 1}" if mark is not None else ""
    return f"{place}: {cut(problem, 200)}" if problem else place


def _extent(node: yaml.Node, known: dict[int, _Extent | None]) -> _Extent:
    """``known`` holds the extents of the nodes before, and none for those that this one is in."""
    if id(node) in known:
        extent = known[id(node)]
        if extent is None:
            raise _refused("an alias stands within what it names", node)
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

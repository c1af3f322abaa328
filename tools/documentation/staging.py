"""Copies the pages into a build folder, fills in what is generated, and gives every linked source file a page.

The pages in ``docs/`` are written for two readers: one of the repository, where a link leads to a file, and one of the
site, which holds nothing but its own pages. So links to files outside ``docs/`` are rewritten here.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

MARKER = re.compile(r"^<!-- generated: ([a-z]+) -->$", re.MULTILINE)
"""A line of a page that stands for generated text."""
REPOSITORY_ONLY = re.compile(r"^<!-- repository only -->\n.*?\n\n", re.MULTILINE | re.DOTALL)
"""A paragraph for readers of the repository, in the place of what the site generates."""
PROJECT_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/security.md",
    "benchmarks/README.md": "project/benchmark-scripts.md",
}
"""Pages outside ``docs/`` and their places on the site; the site has a first page of its own instead of the README."""

_FENCE = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
_EXTERNAL = re.compile(r"[a-z]+:|#")
_HIDDEN_FROM_SEARCH = "---\nsearch:\n  exclude: true\n---\n"


class DocumentationError(Exception):
    """A page has a link without a target, or a marker that no generator fills."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where each file of the repository is on the site, both as relative POSIX paths."""

    root: Path
    """The folder of the repository."""
    places: dict[str, str] = field(default_factory=dict)
    """Pages, by their path in the repository."""
    sources: dict[str, str] = field(default_factory=dict)
    """Source files that pages link to, by their path in the repository."""

    def place_of(self, target: str) -> str | None:
        """Return the place of a file of the repository; a source file gets one when it is first linked to."""
        if target in self.places:
            return self.places[target]
        if target.startswith("docs/") and (self.root / target).is_file():
            return target.removeprefix("docs/")
        if target.endswith(".py") and (self.root / target).is_file():
            return self.sources.setdefault(target, f"source/{target.removeprefix('src/faster_rcnn/')}.md")
        return None

    def rewritten(self, page: str, text: str) -> str:
        """Return the text of a page with every link to a file changed to a link within the site.

        Raises:
            DocumentationError: a link leads to no file of the repository, or to one that the site cannot show.
        """
        place = PurePosixPath(self.places[page])

        def link(match: re.Match[str]) -> str:
            target, hash_sign, anchor = match[1].partition("#")
            if _EXTERNAL.match(match[1]):
                return match[1]
            found = self.place_of(os.path.normpath(PurePosixPath(page).parent / target))
            if found is None:
                raise DocumentationError(f"{page}: the link '{match[1]}' leads to no file that the site can show")
            return os.path.relpath(found, place.parent) + hash_sign + anchor

        parts = _FENCE.split(text)
        return "".join(part if part.startswith("```") else _LINK.sub(link, part) for part in parts)


def stage(root: Path, out: Path, generators: Mapping[str, Callable[[], str]]) -> Site:
    """Write all pages below ``out``, which is emptied first.

    Args:
        root: folder of the repository.
        out: folder for the pages; every page, image and script of ``docs/`` is below it afterwards.
        generators: functions that return Markdown, by the name that markers use.

    Returns:
        the places of all pages.

    Raises:
        DocumentationError: a page has a link without a target, or a marker that no generator fills.
    """
    docs = root / "docs"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(docs, out, ignore=shutil.ignore_patterns("*.md", "*.toml"))
    pages = {path.relative_to(root).as_posix(): path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    site = Site(root, {**pages, **PROJECT_PAGES})
    for page, place in site.places.items():
        if page != "README.md":
            text = (root / page).read_text(encoding="utf-8")
            _write(out / place, site.rewritten(page, filled(page, text, generators)))
    for source, place in site.sources.items():
        _write(out / place, _source_page(source, (root / source).read_text(encoding="utf-8")))
    return site


def filled(page: str, text: str, generators: Mapping[str, Callable[[], str]]) -> str:
    """Return the text with generated Markdown in the place of its markers, without paragraphs for the repository only.

    Raises:
        DocumentationError: a marker has a name that no generator has.
    """

    def generated(match: re.Match[str]) -> str:
        if match[1] not in generators:
            raise DocumentationError(f"{page}: nothing generates '{match[1]}'; there is {', '.join(generators)}")
        return generators[match[1]]()

    return MARKER.sub(generated, REPOSITORY_ONLY.sub("", text))


def _source_page(source: str, code: str) -> str:
    """Return a page that shows one source file; the site's search leaves it out."""
    return f'{_HIDDEN_FROM_SEARCH}\n# `{source}`\n\n`````python linenums="1"\n{code.rstrip()}\n`````\n'


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")

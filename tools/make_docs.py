"""Build the documentation site: ``python tools/make_docs.py`` writes it to ``build/site``.

The build is strict: a link or an anchor that leads nowhere, or a name that the code does not have, is an error.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from documentation.generators import GENERATORS
from documentation.staging import DocumentationError, stage

ROOT = Path(__file__).parents[1]


def build(out: Path) -> int:
    """Stage all pages below ``out`` and build the site from them; returns the exit code of the builder."""
    out.mkdir(parents=True, exist_ok=True)
    stage(ROOT, out / "docs", GENERATORS)
    config = shutil.copy(ROOT / "docs" / "zensical.toml", out / "zensical.toml")
    # mkdocstrings reads the sources of this checkout, not those of an installed package, and finds its extension.
    paths = os.pathsep.join(filter(None, (str(ROOT / "src"), str(ROOT / "tools"), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", str(config)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, check=False).returncode


def main() -> int:
    """Build the site as the command line asks; returns the exit code."""
    parser = argparse.ArgumentParser(description="Build the documentation site.")
    parser.add_argument("--out", type=Path, default=ROOT / "build", help="folder for the pages and for the site")
    out: Path = parser.parse_args().out.resolve()
    if find_spec("zensical") is None:
        print("zensical is not installed: pip install -e '.[docs]'", file=sys.stderr)
        return 5
    try:
        code = build(out)
    except DocumentationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if code == 0:
        print(f"the site is in {out / 'site'}: open {out / 'site' / 'index.html'}")
    return code


if __name__ == "__main__":
    sys.exit(main())

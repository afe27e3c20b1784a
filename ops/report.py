"""Report: the start page and the dbt docs site, each one file that asks nothing of the outside."""

import json
import os
import re
from pathlib import Path
from typing import Any, Protocol

from ops.dbt import interrupts
from ops.gather import gather
from ops.page import render
from ops.permissions import open_file, open_folder

_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    'img-src data:; font-src data:">'
)


class ReportError(Exception):
    """A page cannot be made; the former one stays as it was."""


class Places(Protocol):
    """What is needed of the settings."""

    @property
    def project(self) -> Path: ...
    @property
    def target(self) -> str: ...
    @property
    def artifacts(self) -> Path: ...
    @property
    def logs(self) -> Path: ...
    @property
    def warehouse(self) -> Path: ...
    @property
    def published(self) -> Path: ...


def start_page(places: Places) -> Path:
    """Write the start page, `site/index.html` in the published folder, from the warehouse."""
    page = render(gather(places.warehouse, places.published, target=places.target))
    return _write(places.published / "site" / "index.html", page)


def docs(places: Places, *, built: bool = False) -> Path:
    """Write the dbt docs site as one file, `site/docs.html` in the published folder.

    Args:
        places: the settings.
        built: the manifest is today's and holds the SQL of a build; the project is not compiled
            once more (0.7 s in place of 4 to 7 s for this project).

    Raises:
        ReportError: dbt could not make its artifacts; the message is dbt's.
    """
    artifacts = places.artifacts
    compiled = built and (artifacts / "manifest.json").exists()
    _generate(places, artifacts, "--no-compile" if compiled else "--compile")
    site = inline(
        (artifacts / "index.html").read_text("utf-8"),
        json.loads((artifacts / "manifest.json").read_bytes()),
        json.loads((artifacts / "catalog.json").read_bytes()),
    )
    return _write(places.published / "site" / "docs.html", site)


def inline(index: str, manifest: dict[str, Any], catalog: dict[str, Any]) -> str:
    """dbt's docs page with its data inside, what dbt's own `--static` makes, but closed.

    A description may hold `</script>`, which would end the page's script: every `<` of the data is
    written as an escape. The page's usage tracker stays off whatever the project says, and a
    content security policy keeps the browser from asking for anything, an image that a
    description links to included.

    Raises:
        ReportError: dbt's page no longer has the places where the data goes.
    """
    manifest["metadata"] |= {"send_anonymous_usage_stats": False, "user_id": None}
    for mark, data in (("MANIFEST", manifest), ("CATALOG", catalog)):
        hole = f'"{mark}.JSON INLINE DATA"'
        if hole not in index:
            raise ReportError(
                f"dbt's docs page has no place for {mark.lower()}.json; "
                "this version of dbt is not the one in requirements.lock"
            )
        index = index.replace(hole, json.dumps(data, separators=(",", ":")).replace("<", r"\u003c"))
    # Angular's way to say an SVG link; without it the browser asks for the unfilled template first.
    index = index.replace('<use xlink:href="{{', '<use ng-attr-xlink:href="{{')
    # Its icon is a template that nobody filled in, and its canonical address a path of no file.
    index = re.sub(r'<link rel="(?:shortcut icon|canonical)"[^>]*>', "", index, count=2)
    return re.sub(r'(<meta charset="utf-8">)', lambda found: found[1] + _POLICY, index, count=1)


def _generate(places: Places, artifacts: Path, compiling: str) -> None:
    """Let dbt write index.html, manifest.json and catalog.json into the folder `artifacts`."""
    from dbt.cli.main import dbtRunner  # seconds to import, and only this needs it

    quiet = ["--quiet", "--no-send-anonymous-usage-stats", "--no-version-check"]
    project = ["--project-dir", str(places.project), "--profiles-dir", str(places.project)]
    target = ["--target", places.target, "--target-path", str(artifacts)]
    words = ["docs", "generate", compiling, *project, *target, "--log-path", str(places.logs)]
    with interrupts():
        outcome = dbtRunner().invoke([*quiet, *words])
    if not outcome.success:
        raise ReportError(
            f"dbt could not make its docs: {outcome.exception or f'see {places.logs}/dbt.log'}."
            " Try: dbt docs generate"
        )


def _write(page: Path, text: str) -> Path:
    """Replace a page at once, so that a browser never loads half of it."""
    open_folder(page.parent)
    partial = page.with_name(f".{page.name}.partial-{os.getpid()}")
    partial.write_text(text, "utf-8")
    open_file(partial)
    return partial.replace(page)

"""The documentation as a site: built without warnings and without network, complete, with links that lead somewhere."""

from __future__ import annotations

import html.parser
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from .documents import ROOT

pytestmark = pytest.mark.service

NO_NETWORK = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "NO_MKDOCS_2_WARNING": "1"}


class Page(html.parser.HTMLParser):
    """What a page links to, what it loads, and which anchors it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif "src" in found:
            self.loaded.append(found["src"])
        elif tag == "link" and "href" in found and "canonical" not in found.get("rel", ""):
            self.loaded.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    how = {"capture_output": True, "text": True, "timeout": 240}
    done = subprocess.run(command, cwd=ROOT, env=os.environ | NO_NETWORK, check=False, **how)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """All pages but 404.html: its links are absolute, as it is shown at any address."""
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_page_is_in_the_site(site: Path) -> None:
    for path in (ROOT / "docs").rglob("*.md"):
        place = path.relative_to(ROOT / "docs").with_suffix(".html")
        assert (site / ("index.html" if path.name == "README.md" else place)).is_file(), path


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        for source in page.loaded:
            assert not urlsplit(source).netloc, f"{path.name} loads {source}"
            assert source.startswith("data:") or (path.parent / unquote(urlsplit(source).path)).exists(), source


def test_links_lead_to_pages_and_anchors(pages: dict[Path, Page]) -> None:
    checked, known = 0, {path.resolve(): page for path, page in pages.items()}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                assert parts.scheme in ("https", "mailto"), f"{path.name} links to {link}"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), f"{path.name} links to {link}"
            if parts.fragment and target in known:
                assert unquote(parts.fragment) in known[target].anchors, f"{path.name} links to {link}"
            checked += 1
    assert checked > 500


def test_the_reference_is_that_of_the_code(site: Path) -> None:
    import typer

    import litetuner
    from litetuner.cli import app

    shown = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    group = typer.main.get_command(app)
    for name in group.commands:  # type: ignore[attr-defined]
        assert f'id="litetuner-{name}"' in shown
    assert "--max-compressed-size" in shown
    api = (site / "reference" / "api.html").read_text(encoding="utf-8")
    missing = [name for name in litetuner.__all__ if not name.startswith("_") and not re.search(rf"\b{name}\b", api)]
    assert not missing

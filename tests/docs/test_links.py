"""Links lead somewhere, and pages name no place that only one machine has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, Page

PICTURES = sorted((ROOT / "docs" / "images").glob("*.svg"))


@pytest.mark.parametrize("document", PAGES, ids=str)
def test_relative_links_resolve(document: Page) -> None:
    """A link to a file or heading of this repository finds it."""
    anchors = {page.path: page.anchors for page in PAGES}
    broken = []
    for number, link in document.links:
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (document.path.parent / name).resolve() if name else document.path
        if not target.exists() or (anchor and anchor not in anchors.get(target, set())):
            broken.append(f"{document}:{number}: {link}")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("document", PAGES, ids=str)
def test_every_page_is_linked(document: Page) -> None:
    """From the README every page can be reached."""
    if str(document) == "README.md":
        return
    links = [(page, link.partition("#")[0]) for page in PAGES for _, link in page.links if not link.startswith("http")]
    assert document.path in {(page.path.parent / name).resolve() for page, name in links if page != document}


@pytest.mark.parametrize("path", [*(page.path for page in PAGES), *PICTURES], ids=lambda path: path.name)
def test_no_paths_of_one_machine(path: Path) -> None:
    """No home directory, checkout or temporary directory of whoever wrote it."""
    text = path.read_text(encoding="utf-8")
    assert str(ROOT) not in text
    assert not re.search(r"/(?:home|Users|tmp)/[a-z]|/(?:root)/", text)


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_pictures_fetch_nothing(path: Path) -> None:
    """A picture shows the same without a network."""
    assert not re.search(r"url\(['\"]?https?:|<image|xlink:href=\"http", path.read_text(encoding="utf-8"))

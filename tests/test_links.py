"""Every link of every page leads somewhere: to a file that there is, and to a heading in it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from processes import ROOT

FOLDERS = ("docs", "alerts", "dashboards", "deploy", "benchmarks")
PAGES = sorted(
    [*ROOT.glob("*.md"), *(page for each in FOLDERS for page in ROOT.glob(f"{each}/**/*.md"))]
)

FENCE = r"^( *)(```|~~~).*?^\1\2$"
CODE = re.compile(rf"{FENCE}|`[^`\n]+`|<!--.*?-->", re.MULTILINE | re.DOTALL)
LINK = re.compile(
    r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE
)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)

per_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@cache
def prose(page: Path) -> str:
    """The text of a page without its code and its comments."""
    return CODE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """What a page links to, on this machine."""
    found = [one or other for one, other in LINK.findall(prose(page))]
    return [link for link in found if not ELSEWHERE.match(link)]


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors that GitHub gives the headings of a page."""
    names: list[str] = []
    text = re.sub(FENCE, "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for heading in HEADING.findall(text):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        number = sum(
            re.fullmatch(rf"{re.escape(name)}(-\d+)?", other) is not None for other in names
        )
        names.append(f"{name}-{number}" if number else name)
    return frozenset(names)


@per_page
def test_every_link_leads_to_a_file_of_this_repository(page: Path) -> None:
    paths = [(page.parent / unquote(link.partition("#")[0])).resolve() for link in links(page)]
    assert [str(path) for path in paths if not path.exists()] == []
    assert [str(path) for path in paths if not path.is_relative_to(ROOT)] == []


@per_page
def test_every_anchor_is_a_heading(page: Path) -> None:
    split = [link.partition("#") for link in links(page) if "#" in link]
    wanted = [
        ((page.parent / unquote(path)) if path else page, anchor) for path, _, anchor in split
    ]
    assert [
        f"{target}#{anchor}"
        for target, anchor in wanted
        if target.suffix == ".md" and anchor not in anchors(target)
    ] == []


def test_there_are_pages_and_links() -> None:
    assert len(PAGES) > 30
    assert sum(len(links(page)) for page in PAGES) > 100


def test_every_page_of_the_documentation_is_linked_from_another() -> None:
    linked = {
        (page.parent / unquote(link.partition("#")[0])).resolve()
        for page in PAGES
        for link in links(page)
    }
    linked |= {path / "README.md" for path in linked if path.is_dir()}
    top = {ROOT / "README.md"}
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in linked | top] == []

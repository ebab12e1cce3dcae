"""From a runbook in Markdown to HTML. The renderer is loaded for the first page, not before."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.token import Token

INDEX = "README"
"""The file that lists the others; its page is that of the folder."""

_ELSEWHERE = re.compile(r"https?://|#")
_FILE = re.compile(r"(?P<name>\w+)\.md(?P<anchor>#.*)?")


class Rendered(msgspec.Struct, frozen=True):
    """A page's title and content.

    Attributes:
        title: the text of its first heading.
        html: its content; any HTML in the source is text here.
    """

    title: str
    html: str


def render(text: str, names: Container[str]) -> Rendered:
    """The page of a runbook.

    Args:
        text: in CommonMark with tables.
        names: of the runbooks that there are; links to other files lose their link and stay text.
    """
    from markdown_it import MarkdownIt  # noqa: PLC0415 - idle memory does not pay for it

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    title = ""
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type != "inline":
            continue
        if before is not None and before.type == "heading_open":
            before.attrSet("id", _anchor(token.content))
            title = title or token.content
        token.children = _relinked(token.children or [], names)
    return Rendered(title, markdown.renderer.render(tokens, markdown.options, {}))


def _anchor(heading: str) -> str:
    """The name that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _relinked(children: Sequence[Token], names: Container[str]) -> list[Token]:
    """The parts of a text, with links between runbooks as they are served."""
    kept: list[Token] = []
    dropping = False
    for token in children:
        if token.type == "link_open":
            target = _served(str(token.attrGet("href") or ""), names)
            dropping = target is None
            token.attrSet("href", target or "")
        if not (dropping and token.type in {"link_open", "link_close"}):
            kept.append(token)
    return kept


def _served(target: str, names: Container[str]) -> str | None:
    """Where a link leads from a page of the same folder; None where nothing is served."""
    if _ELSEWHERE.match(target):
        return target
    file = _FILE.fullmatch(target)
    if file is None or (file["name"] not in names and file["name"] != INDEX):
        return None
    page = "./" if file["name"] == INDEX else file["name"]
    return page + (file["anchor"] or "")

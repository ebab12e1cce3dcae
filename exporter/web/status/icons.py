"""The page's icon in the browser's tab: its color and its shape say how things are."""

from __future__ import annotations

from urllib.parse import quote

_SHAPES = {
    "bad": '<circle cx="8" cy="8" r="8" fill="#c62828"/>'
    '<path d="M5 5l6 6M11 5l-6 6" stroke="#fff" stroke-width="2"/>',
    "warn": '<path d="M8 0l8 15H0z" fill="#e69500"/>'
    '<path d="M8 5v5M8 11.5v1.7" stroke="#000" stroke-width="2"/>',
    "info": '<circle cx="8" cy="8" r="6.5" fill="#fff" stroke="#5b6570" stroke-width="3"/>',
    "good": '<rect width="16" height="16" rx="4" fill="#1b7a3d"/>'
    '<path d="M3.5 8.5l3 3.5 6-8" fill="none" stroke="#fff" stroke-width="2"/>',
}


def icon(level: str) -> str:
    """The icon for this level, as a data URL."""
    shape = _SHAPES[level]
    image = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{shape}</svg>'
    return "data:image/svg+xml," + quote(image, safe="/:=' ")

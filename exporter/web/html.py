"""What all HTML pages share. The template engine is loaded for the first page, not before."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


def load_template(folder: Traversable, name: str) -> jinja2.Template:
    """The template of this name, which escapes what is put into it."""
    import jinja2  # noqa: PLC0415 - start-up and idle memory do not pay for pages

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda file: (folder / file).read_text("utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def page_headers(style: str) -> tuple[tuple[str, str], ...]:
    """Headers of a page that has this style sheet.

    They allow nothing but this very style sheet, an icon in the page, and forms that come back.
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return (
        ("Content-Security-Policy", policy),
        ("Referrer-Policy", "no-referrer"),
        ("X-Frame-Options", "DENY"),
    )

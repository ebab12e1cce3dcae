"""The runbooks as the exporter serves them, and the links between them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests

import exporter
from exporter.web.access import AccessControl, TokenBucket
from exporter.web.basic_auth import Passwords
from exporter.web.public_address import PublicAddress
from exporter.web.routes import App
from exporter.web.runbooks.markdown import render
from processes import ROOT, bare_environment, get
from promtool import alert_names
from serving import Unlisted, serving_app

FILES = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")} - {"README"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving_app(App(Unlisted(tuple), site=PublicAddress("/x/y"))) as root:
        yield f"{root}/x/y"


def links(page: requests.Response) -> set[str]:
    """What a page links to, as a browser understands it, without its own headings."""
    found = re.findall(r'href="([^"]*)"', page.text)
    return {urljoin(page.url, one).partition("#")[0] for one in found if ":" not in one}


def test_every_alert_has_a_page_under_its_name(url: str) -> None:
    for name in alert_names():
        page = get(f"{url}/runbooks/{name}")
        assert page.status_code == 200, name
        assert f"<title>{name} " in page.text
        assert f">{name}</h1>" in page.text
        assert '<h2 id="mitigation">Mitigation</h2>' in page.text


def test_the_index_links_to_every_runbook(url: str) -> None:
    index = get(f"{url}/runbooks/")
    assert links(index) >= {f"{url}/runbooks/{name}" for name in FILES}


def test_the_folder_without_its_slash_leads_to_the_index(url: str) -> None:
    page = get(f"{url}/runbooks")
    assert (page.url, [step.status_code for step in page.history]) == (f"{url}/runbooks/", [302])


def test_every_link_of_every_page_opens(url: str) -> None:
    pages = [get(f"{url}/runbooks/{name}") for name in ("", *FILES)]
    targets = {target for page in pages for target in links(page)}
    assert {f"{url}/", f"{url}/runbooks/"} < targets
    assert {target: get(target).status_code for target in targets} == dict.fromkeys(targets, 200)


def test_the_status_page_links_to_the_runbooks(url: str) -> None:
    assert f"{url}/runbooks/" in links(get(f"{url}/"))


def test_a_page_runs_nothing_and_may_be_kept_for_an_hour(url: str) -> None:
    page = get(f"{url}/runbooks/CloudflareMCPServerError")
    status = get(f"{url}/")
    policy, other = (
        re.sub(r"'sha256-[^']+'", "HASH", one.headers["Content-Security-Policy"])
        for one in (page, status)
    )
    assert policy == other
    for name in ("Referrer-Policy", "X-Frame-Options", "X-Content-Type-Options"):
        assert page.headers[name] == status.headers[name]
    assert page.headers["Cache-Control"] == "max-age=3600"
    assert "<script" not in page.text


@pytest.mark.parametrize(
    "name", ["Nothing", "README", "README.md", "CloudflareMCPServerError.md", "../app.py", "x/y"]
)
def test_what_is_no_runbook_is_not_found(url: str, name: str) -> None:
    assert get(f"{url}/runbooks/{name}").status_code == 404


def test_they_are_as_open_as_the_health_checks() -> None:
    users = Passwords({"prometheus": "$2b$04$" + "x" * 53})
    guard = AccessControl(users, TokenBucket(interval=3600, burst=1))
    with serving_app(App(Unlisted(tuple), guard=lambda: guard)) as root:
        assert get(f"{root}/").status_code == 401
        assert get(f"{root}/").status_code == 429
        for path in ("/-/healthy", "/runbooks", "/runbooks/", f"/runbooks/{min(FILES)}"):
            assert get(f"{root}{path}").status_code == 200, path
        assert get(f"{root}/runbooks/Nothing").status_code == 429


LAZY = """
import asyncio, sys
from exporter.web.routes import App
class Source:
    names = ()
    observed = tuple
app = App(Source())
def loaded():
    return {"jinja2", "markdown_it"} & sys.modules.keys()
async def receive():
    return {"type": "http.disconnect"}
async def send(message):
    assert message.get("status", 200) == 200, message
def ask(path):
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    asyncio.run(app(scope, receive, send))
ask("/-/healthy")
assert loaded() == set(), loaded()
ask("/runbooks/")
assert loaded() == {"jinja2", "markdown_it"}, loaded()
print("lazy")
"""


def test_what_renders_them_is_loaded_for_the_first_page_and_not_before(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LAZY],
        env=bare_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("lazy\n", "")


# --- rendering ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("[a](B.md)", '<p><a href="B">a</a></p>\n'),
        ("[a](B.md#what-next)", '<p><a href="B#what-next">a</a></p>\n'),
        ("[a](README.md)", '<p><a href="./">a</a></p>\n'),
        ("[a](#here)", '<p><a href="#here">a</a></p>\n'),
        ("[a](https://example.com/x.md)", '<p><a href="https://example.com/x.md">a</a></p>\n'),
        ("[a `b`](../C.md) [d](B.md)", '<p>a <code>b</code> <a href="B">d</a></p>\n'),
        ("[a](C.md)", "<p>a</p>\n"),
        ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>\n"),
        ("<b>a</b>", "<p>&lt;b&gt;a&lt;/b&gt;</p>\n"),
        ("## What `now`?", '<h2 id="what-now">What <code>now</code>?</h2>\n'),
    ],
)
def test_a_link_leads_where_the_page_is_and_html_is_text(source: str, html: str) -> None:
    assert render(source, {"B"}).html == html


def test_the_title_is_the_first_heading() -> None:
    assert render("# One\n\n## Two\n", ()).title == "One"


# --- the package -------------------------------------------------------------------------------

INSTALLED = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
import exporter
from exporter.web.runbooks import RunbookPages
assert exporter.__file__.startswith(sys.argv[1]), exporter.__file__
print(*sorted(RunbookPages().names))
"""


def test_an_installed_wheel_has_them(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path), "-t", "wheel"]
    environment = bare_environment(tmp_path)
    subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=True)
    (wheel,) = tmp_path.glob(f"*{exporter.__version__}*.whl")
    said = subprocess.run(
        [sys.executable, "-c", INSTALLED, wheel],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.stderr == ""
    assert set(said.stdout.split()) == FILES

"""The status page in a real Chromium: hostile names, two widths, two schemes, keyboard, rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

import accounts as made
from exporter.errors import ListingError, Reason
from exporter.scrape_result import AccountState
from nodepackages import npm_packages
from processes import eventually
from realparts import require
from serving import Unlisted, serving

FLAGS = (
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

RULES = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations
    .filter(rule => ["serious", "critical"].includes(rule.impact))
    .map(rule => ({id: rule.id, help: rule.help,
                   nodes: rule.nodes.slice(0, 3).map(node => node.html.slice(0, 200))}));
}"""


class Watched:
    """A page of the browser, with everything on it that should not happen."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.dialogs: list[str] = []
        self.console: list[str] = []
        self.requests: list[str] = []
        page.on("dialog", self._dismiss)
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(url)

    def _dismiss(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    @property
    def loads(self) -> list[str]:
        """What was loaded, the icon in the page left out."""
        return [one for one in self.requests if not one.startswith("data:")]

    def assert_undisturbed(self) -> None:
        """No script ran, nothing was refused by the policy, nothing was asked of others."""
        assert self.dialogs == []
        assert self.console == []
        origin = self.url.split("?")[0]
        foreign = [one for one in self.requests if not one.startswith((origin, "data:image/svg"))]
        assert foreign == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = require("chromium")
    with ExitStack() as cleanup:
        environment = cleanup.enter_context(pytest.MonkeyPatch.context())
        # Playwright's own Node.js needs libatomic, which a minimal machine does not have.
        environment.setenv("PLAYWRIGHT_NODEJS_PATH", require("node"))
        playwright = cleanup.enter_context(sync_playwright())
        running = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of the rules."""
    path = npm_packages("browser") / "node_modules" / "axe-core" / "axe.min.js"
    return path.read_text(encoding="utf-8")


def failing() -> AccountState:
    failure = ListingError(Reason.AUTH, "the API answered HTTP 403: 10000: Authentication error")
    return made.failing(failure, made.large_account(5, "Second", "e" * 32))


ACCOUNTS: dict[str, tuple[AccountState, ...]] = {
    "before": (AccountState(made.ID, "Main"),),
    "ordinary": (
        made.large_account(40),
        failing(),
        AccountState("d" * 32, "Not scraped"),
    ),
    "hostile": (made.hostile_account(), failing()),
    "empty": (made.listed(made.inventory()),),
}

LOOKS = (
    *((name, 1280, "light") for name in ACCOUNTS),
    *((name, 390, "dark") for name in ACCOUNTS),
    ("ordinary", 1280, "dark"),
    ("ordinary", 390, "light"),
)
"""Each page at both widths and in both schemes; all four together for one of them."""


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    """Where the page of each of `ACCOUNTS` is served."""
    with ExitStack() as cleanup:

        def serve(observed: tuple[AccountState, ...]) -> str:
            return cleanup.enter_context(serving(Unlisted(lambda: observed))) + "/"

        yield {name: serve(observed) for name, observed in ACCOUNTS.items()}


Open = Callable[..., Watched]


@pytest.fixture
def show(browser: Browser, urls: dict[str, str]) -> Iterator[Open]:
    """``show(name, query, width=..., scheme=...)`` opens the page of one of `ACCOUNTS`."""
    with ExitStack() as cleanup:

        def run(
            name: str, query: str = "", *, width: int = 1280, scheme: str = "light", **options: Any
        ) -> Watched:
            context = browser.new_context(
                viewport={"width": width, "height": 900},
                color_scheme=scheme,  # type: ignore[arg-type] # one of two literals
                **options,
            )
            cleanup.callback(context.close)
            return Watched(context.new_page(), urls[name] + query)

        yield run


@pytest.mark.parametrize(("name", "width", "scheme"), LOOKS)
def test_nothing_runs_nothing_is_refused_and_nothing_is_wider_than_the_page(
    show: Open, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    watched = show(name, width=width, scheme=scheme)
    page = watched.page
    page.screenshot(path=tmp_path / f"{name}-{scheme}-{width}.png", full_page=True)
    watched.assert_undisturbed()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("getComputedStyle(document.body).display") == "block"
    assert "owned" not in page.title()
    wide = """() => [...document.querySelectorAll('body *')]
        .filter(one => !one.closest('.hidden, .skip, .symbols, select, pre'))
        .filter(one => one.getBoundingClientRect().right > innerWidth + 0.5)
        .map(one => one.outerHTML.slice(0, 120))"""
    assert page.evaluate(wide) == []


def test_hostile_names_become_text_and_no_element(show: Open) -> None:
    watched = show("hostile")
    page = watched.page
    assert page.locator("script, img, iframe, [onerror], [onmouseover]").count() == 0
    assert page.locator("a[href^='javascript:']").count() == 0
    assert page.locator("style").count() == 1
    shown = set(page.locator("#servers tbody bdi.name").all_text_contents())
    spoilt = {"half a pair ?, NUL \ufffd, bell \x07, new\nline, \u0301\u0301\u0301 combining"}
    assert {name for name in made.HOSTILE if "\ud83d, NUL" not in name} <= shown
    assert shown & spoilt or any("half a pair" in name for name in shown)
    page.locator("#servers tbody a").first.hover()
    watched.assert_undisturbed()


def test_a_name_that_reverses_its_line_leaves_the_next_words_alone(show: Open) -> None:
    page = show("hostile").page
    beside = """() => { const name = [...document.querySelectorAll('#servers bdi.name')]
        .find(one => one.textContent.includes('right-to-left'));
      const [a, b] = [name, name.nextElementSibling].map(one => one.getBoundingClientRect());
      return a.top < b.bottom && a.left <= b.left; }"""
    assert page.evaluate(beside)


@pytest.mark.parametrize(("name", "width", "scheme"), LOOKS)
def test_no_rule_of_accessibility_is_broken_seriously(
    show: Open, axe: str, name: str, width: int, scheme: str
) -> None:
    # The policy forbids scripts, the test's too: it is off in this browser context alone.
    page = show(name, width=width, scheme=scheme, bypass_csp=True).page
    page.evaluate(axe)
    broken = page.evaluate(RULES)
    assert broken == [], json.dumps(broken, indent=2)


def test_the_policy_refuses_a_script_even_if_one_came_in(show: Open) -> None:
    watched = show("ordinary")
    watched.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'),"
        "{textContent: 'document.title = \"owned\"'}))"
    )
    assert watched.page.title() != "owned"
    eventually(lambda: any("Content Security Policy" in one for one in watched.console), "refusal")


def test_the_page_is_whole_without_javascript(show: Open) -> None:
    page = show("ordinary", java_script_enabled=False).page
    page.get_by_role("combobox", name="State").select_option("Unreachable")
    page.get_by_role("searchbox", name="Text").fill("server-00000.mcp")
    page.get_by_role("button", name="Filter").click()
    assert page.locator("#servers tbody tr").count() == 2
    assert page.get_by_role("combobox", name="State").input_value() == "unreachable"
    page.get_by_role("link", name="Clear").click()
    assert page.locator("#servers tbody tr").count() == 45


def test_the_keyboard_reaches_links_form_and_order_and_shows_where_it_is(show: Open) -> None:
    page = show("ordinary").page
    reached: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(document.activeElement.name || document.activeElement.innerText).trim()"
            )
        )
        assert page.evaluate(
            "getComputedStyle(document.activeElement).outlineStyle != 'none'"
            " && document.activeElement.getBoundingClientRect().top >= 0"
        ), reached
        if reached[-1].startswith("Authentication"):
            break
    assert reached[0] == "Skip to the state"
    wanted = ["Metrics", "Pause", "q", "state", "portal", "account", "Filter", "Server"]
    assert [one for one in reached if one in wanted] == wanted
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**sort=-portals**")
    assert page.locator("th[aria-sort=descending]").first.inner_text().startswith("Portals")


def test_a_column_sorts_and_turns_round(show: Open) -> None:
    page = show("ordinary").page
    for order in ("ascending", "descending"):
        page.locator("#servers thead").get_by_role("link", name="Server").click()
        page.wait_for_selector(f"#servers th[aria-sort={order}]")
        names = page.locator("#servers tbody bdi.name").all_text_contents()
        assert names == sorted(names, reverse=order == "descending")


def test_it_refreshes_by_itself_and_keeps_its_filter(
    show: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.web.status.page.REFRESH", 1)
    watched = show("ordinary", "?state=unreachable")
    # Waiting for the browser is what lets its events in.
    watched.page.wait_for_event("load")
    watched.page.wait_for_event("load")
    assert len(watched.loads) >= 3
    assert set(watched.loads) == {watched.url}
    watched.page.get_by_role("link", name="Pause").click()
    paused = len(watched.loads)
    watched.page.wait_for_timeout(1500)
    assert len(watched.loads) == paused
    assert watched.page.url.endswith("?state=unreachable&refresh=0")
    watched.assert_undisturbed()


# --- the runbooks, which look like it ----------------------------------------------------------

RUNBOOKS = ("runbooks/", "runbooks/CloudflareMCPServerError")


@pytest.mark.parametrize("path", RUNBOOKS)
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_a_runbook_runs_nothing_fits_the_page_and_breaks_no_rule_of_accessibility(
    show: Open, axe: str, path: str, width: int, scheme: str
) -> None:
    watched = show("before", path, width=width, scheme=scheme)
    watched.assert_undisturbed()
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
    assert watched.page.evaluate("getComputedStyle(document.body).fontSize") == "16px"
    page = show("before", path, width=width, scheme=scheme, bypass_csp=True).page
    page.evaluate(axe)
    broken = page.evaluate(RULES)
    assert broken == [], json.dumps(broken, indent=2)

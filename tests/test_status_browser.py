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


def told() -> AccountState:
    """An account with everything that the page can say: one group each, losses, a manual login."""
    long_ago = made.NOW - 40 * 3600
    lapsed = made.server("lapsed", status="stale", last_successful_sync=long_ago)
    refused = made.server("refused", in_error=True, error_class=made.REFUSED)
    waiting = made.server("waiting", status="waiting", tools=None, last_successful_sync=None)
    old = made.server("old", last_successful_sync=long_ago)
    fine = made.server("fine", authentication_status="manual", last_successful_sync=1e9)
    portals = (
        made.portal("support", lapsed, waiting),
        made.portal("engineering", refused, old, fine),
        made.portal("finance", fine),
        made.portal("healthy", fine),
    )
    before = made.inventory(*portals, made.portal("sandbox", fine), made.portal("late", old))
    account = made.listed(before, ended=made.NOW - 600)
    after = made.inventory(*portals, made.portal("late"), shown={("finance", "fine"): 0})
    return made.relisted(account, after, ended=made.NOW - 40)


ACCOUNTS: dict[str, tuple[AccountState, ...]] = {
    "before": (AccountState(made.ID, "Main"),),
    "ordinary": (
        made.large_account(40),
        failing(),
        AccountState("d" * 32, "Not scraped"),
    ),
    "hostile": (made.hostile_account(), failing()),
    "empty": (made.listed(made.inventory()),),
    "story": (told(),),
}

LIST = "?view=servers"
Look = tuple[str, str, int, str]
LOOKS: tuple[Look, ...] = (
    *((name, "", 1280, "light") for name in ACCOUNTS),
    *((name, "", 390, "dark") for name in ACCOUNTS),
    *(("story", "", 1280, "dark"), ("story", "", 390, "light")),
    *(("hostile", LIST, 1280, "light"), ("hostile", LIST, 390, "dark")),
    *(("ordinary", LIST, 1280, "dark"), ("ordinary", LIST, 390, "light")),
)
"""Each page at both widths and in both schemes; all four together for one of them."""

looks = pytest.mark.parametrize("look", LOOKS, ids=lambda look: "-".join(map(str, look)))


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


@looks
def test_nothing_runs_nothing_is_refused_and_nothing_is_wider_than_the_page(
    show: Open, tmp_path: Path, look: Look
) -> None:
    name, query, width, scheme = look
    watched = show(name, query, width=width, scheme=scheme)
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


@pytest.mark.parametrize("query", ["", LIST])
def test_hostile_names_become_text_and_no_element(show: Open, query: str) -> None:
    watched = show("hostile", query)
    page = watched.page
    assert page.locator("script, img, iframe, [onerror], [onmouseover]").count() == 0
    assert page.locator("a[href^='javascript:']").count() == 0
    assert page.locator("style").count() == 1
    shown = set(page.locator("[id^=server-] .name, [id^=portal-] .name").all_text_contents())
    assert {name for name in made.HOSTILE if "\ud83d, NUL" not in name} <= shown
    assert any("half a pair ?, NUL" in name for name in shown)
    page.locator("main a.name").first.hover()
    watched.assert_undisturbed()


@pytest.mark.parametrize("query", ["", LIST])
def test_a_name_that_reverses_its_line_leaves_the_next_words_alone(show: Open, query: str) -> None:
    page = show("hostile", query).page
    beside = """() => { const name = [...document.querySelectorAll('.name')]
        .find(one => one.textContent.includes('right-to-left'));
      const [a, b] = [name, name.nextElementSibling].map(one => one.getBoundingClientRect());
      return a.top < b.bottom && a.left <= b.left; }"""
    assert page.evaluate(beside)


@pytest.mark.parametrize("name", ["ordinary", "story", "hostile"])
def test_on_a_phone_the_first_broken_thing_is_on_the_first_screen(show: Open, name: str) -> None:
    page = show(name, width=390).page
    bottom = """() => Math.min(...[...document.querySelectorAll('.portals > .bad, .group.bad')]
        .map(one => one.querySelector('.state').getBoundingClientRect().bottom))"""
    assert page.evaluate(bottom) < 664  # what a browser's own bars leave of 844 pixels


def test_one_click_takes_an_id_whole(show: Open) -> None:
    page = show("story").page
    page.locator("#server-refused code").first.click(position={"x": 3, "y": 3})
    assert page.evaluate("getSelection().toString().trim()") == "refused"


def test_the_address_of_a_row_leads_to_it(show: Open) -> None:
    page = show("story", "#server-old").page
    assert page.locator("li:target .name").inner_text() == "Old"
    page.locator("#server-lapsed a.name").click()
    page.wait_for_url("**#server-lapsed")


def test_each_state_is_told_with_what_to_do_and_where_to_read_more(show: Open) -> None:
    page = show("story").page
    assert page.locator(".group h3 .state").all_inner_texts() == [
        "Portal: no server works", "Portal: lost all servers", "Needs reauthorization",
        "In error", "Portal: shows no tools", "Awaiting first authorization", "Sync is stale",
    ]  # fmt: skip
    for group in page.locator(".group").all():
        text = group.inner_text()
        assert "Users notice" in text
        assert "What to do" in text
        assert group.get_by_role("link", name="Runbook").count() == 1
        assert group.get_by_role("link", name="Open in Cloudflare").count() == 1
    gone = page.locator(".disappeared li").all_inner_texts()
    assert [text.split("\n")[0] for text in gone] == [
        "Portal Sandbox sandbox", "Server Old old left portal Late",
    ]  # fmt: skip


@looks
def test_no_rule_of_accessibility_is_broken_seriously(show: Open, axe: str, look: Look) -> None:
    name, query, width, scheme = look
    # The policy forbids scripts, the test's too: it is off in this browser context alone.
    page = show(name, query, width=width, scheme=scheme, bypass_csp=True).page
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
    page.get_by_role("link", name="Find a server").click()
    page.get_by_role("combobox", name="State").select_option("Unreachable")
    page.get_by_role("searchbox", name="Text").fill("server-00000.mcp")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**state=unreachable**")
    assert page.locator("#servers tbody tr").count() == 2
    assert page.get_by_role("combobox", name="State").input_value() == "unreachable"
    page.get_by_role("link", name="Clear").click()
    page.wait_for_url("**?view=servers")
    assert page.locator("#servers tbody tr").count() == 45
    page.get_by_role("link", name="Back to the overview").click()
    page.wait_for_selector("#broken")
    assert page.locator("form").count() == 0


def test_the_keyboard_reaches_links_form_and_order_and_shows_where_it_is(show: Open) -> None:
    page = show("ordinary", LIST).page
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
    wanted = ["Reload", "Back to the overview", "q", "state", "portal", "account", "Filter",
              "Server"]  # fmt: skip
    assert [one for one in reached if one in wanted] == wanted
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**sort=-portals**")
    assert page.locator("th[aria-sort=descending]").first.inner_text().startswith("Portals")


def test_a_column_sorts_and_turns_round(show: Open) -> None:
    page = show("ordinary", LIST).page
    for order in ("ascending", "descending"):
        page.locator("#servers thead").get_by_role("link", name="Server").click()
        page.wait_for_selector(f"#servers th[aria-sort={order}]")
        names = page.locator("#servers tbody .name").all_text_contents()
        assert names == sorted(names, reverse=order == "descending")


def test_it_refreshes_by_itself_until_it_is_paused(
    show: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.web.status.page.REFRESH", 1)
    watched = show("ordinary")
    # Waiting for the browser is what lets its events in.
    watched.page.wait_for_event("load")
    watched.page.wait_for_event("load")
    assert len(watched.loads) >= 3
    assert set(watched.loads) == {watched.url}
    watched.page.get_by_role("link", name="Pause").click()
    watched.page.wait_for_url("**?refresh=0")
    paused = len(watched.loads)
    watched.page.wait_for_timeout(1500)
    assert len(watched.loads) == paused
    watched.assert_undisturbed()


def test_it_takes_nothing_away_that_a_person_types_or_selects(
    show: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.web.status.page.REFRESH", 1)
    page = show("ordinary").page
    page.get_by_role("link", name="Find a server").click()
    page.wait_for_url("**?view=servers")
    page.get_by_role("searchbox", name="Text").type("half a na")
    page.get_by_role("combobox", name="State").select_option("Unreachable")
    page.wait_for_timeout(2500)
    assert page.get_by_role("searchbox", name="Text").input_value() == "half a na"
    assert page.get_by_role("combobox", name="State").input_value() == "unreachable"


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

"""Checks an exposition against the expected state, the faults and the configurations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from soak.api import FAULTS, Api
from soak.truth import ACCOUNTS, AUTH_TYPES, Account, portals
from watching import Samples, samples

TIMEOUT = 3.0
"""The exporter's listing timeout in seconds."""
SLACK = 1.0
"""Seconds of delay on a busy machine."""
PATIENT = TIMEOUT + 1.5
"""Scrape timeout of a client that never times out before the listing."""

BY_ID = {account.account_id: account for account in ACCOUNTS.values()}
PREFIX = "cloudflare_mcp_"


@dataclass(frozen=True)
class Scraped:
    """One scrape: start and end in monotonic seconds, announced timeout, exposition."""

    begin: float
    end: float
    announced: float | None
    account: str | None
    text: str


class Configurations:
    """The configured accounts over time."""

    def __init__(self, names: Iterable[str]) -> None:
        self._changes: list[tuple[float, float, frozenset[str]]] = [(0.0, 0.0, frozenset(names))]

    def changed(self, asked: float, done: float, names: Iterable[str]) -> None:
        """These were in use by ``done`` at the latest, and not before ``asked``."""
        self._changes.append((asked, done, frozenset(names)))

    def settle(self, done: float) -> None:
        """The last change is in use by ``done`` at the latest."""
        asked, _, names = self._changes[-1]
        self._changes[-1] = (asked, done, names)

    @property
    def current(self) -> frozenset[str]:
        """The current ones."""
        return self._changes[-1][2]

    def possible(self, begin: float, end: float) -> set[frozenset[str]]:
        """The accounts that a scrape at this time may show."""
        ended = [done for _, done, _ in self._changes[1:]] + [float("inf")]
        return {
            names
            for (asked, _, names), over in zip(self._changes, ended, strict=True)
            if asked <= end and over >= begin
        }


def violations(scraped: Scraped, api: Api, configurations: Configurations) -> Iterator[str]:
    """Violations of an exposition; empty if there are none."""
    found = samples(scraped.text)
    shown = {ids["account_id"]: up for ids, up in _of(found, "up")}
    names = frozenset(BY_ID[account_id].name for account_id in shown)
    if scraped.account is None and names not in configurations.possible(scraped.begin, scraped.end):
        yield f"shows the accounts {sorted(names)}"
    if scraped.account is not None and names != {scraped.account}:
        yield f"shows {sorted(names)} for {scraped.account}"
    for account_id, up in shown.items():
        account = BY_ID[account_id]
        of_account = _only(found, account_id)
        about = _when_up if up == 1 else _when_down
        problems = [*about(account, of_account, scraped, api), *_reasons(of_account, account, api)]
        yield from (f"{account.name}: {problem}" for problem in problems)
    strays = {dict(labels).get("account_id", "") for _, labels in found} - {"", *shown}
    if strays:
        yield f"has samples of {sorted(strays)} without up"


def _of(found: Samples, name: str) -> list[tuple[dict[str, str], float]]:
    return [(dict(labels), value) for (one, labels), value in found.items() if one == PREFIX + name]


def _only(found: Samples, account_id: str) -> Samples:
    return {
        (name, labels): value
        for (name, labels), value in found.items()
        if dict(labels).get("account_id") == account_id
    }


def _when_up(account: Account, found: Samples, scraped: Scraped, api: Api) -> Iterator[str]:
    versions = {}
    for labels, _ in _of(found, "portal_info"):
        version = versions[labels["portal_id"]] = int(labels["portal_name"].removeprefix("v"))
        oldest = api.versions.at(scraped.begin - TIMEOUT - SLACK)
        if not oldest <= version <= api.versions.at(scraped.end):
            yield f"version {version} was not the newest while this was listed"
    if account.portals is None and len(set(versions.values())) > 1:
        yield f"one page shows several versions: {versions}"
    expected = [
        portal
        for portal_id, version in versions.items()
        for portal in portals(account, version)
        if portal["id"] == portal_id
    ]
    whole = {portal["id"] for version in versions.values() for portal in portals(account, version)}
    if set(versions) != whole or not versions:
        yield f"shows the portals {sorted(versions)} of {sorted(whole)}"
    yield from _differences(_told(expected), found)


def _told(expected: list[dict[str, Any]]) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """The samples of these portals, by metric name."""
    servers = [server for portal in expected for server in portal["servers"]]
    return {
        "portals": {frozenset(): len(expected)},
        "servers": _counts({}, servers),
        "portal_servers": {
            labels: count
            for portal in expected
            for labels, count in _counts({"portal_id": portal["id"]}, portal["servers"]).items()
        },
        "portal_servers_with_error": {
            _labels(portal_id=portal["id"]): sum("error" in one for one in portal["servers"])
            for portal in expected
        },
        "server_tools": {_labels(server_id=one["id"]): len(one["tools"]) for one in servers},
        "server_error": {_labels(server_id=one["id"]): "error" in one for one in servers},
    }


def _counts(
    labels: Mapping[str, str], servers: list[dict[str, Any]]
) -> dict[frozenset[tuple[str, str]], float]:
    counts = Counter(one["auth_type"] for one in servers)
    return {_labels(**labels, auth_type=kind): counts[kind] for kind in AUTH_TYPES}


def _labels(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def _differences(
    expected: Mapping[str, Mapping[frozenset[tuple[str, str]], float]], found: Samples
) -> Iterator[str]:
    for name, values in expected.items():
        shown = {
            frozenset(pair for pair in labels.items() if pair[0] != "account_id"): value
            for labels, value in _of(found, name)
            if labels.get("auth_type") != "other"
        }
        if shown != values:
            keys = shown.keys() | values.keys()
            wrong = [sorted(key) for key in keys if shown.get(key) != values.get(key)]
            yield f"{name} is wrong at {sorted(wrong)[:3]}"


def _when_down(account: Account, found: Samples, scraped: Scraped, api: Api) -> Iterator[str]:
    patient = scraped.announced is None or scraped.announced >= PATIENT
    reached_back = scraped.begin - TIMEOUT - SLACK
    felt = [
        one
        for one in list(api.faults[account.name])
        if one.over >= reached_back and one.began <= scraped.end
    ]
    if patient and not felt:
        yield "is down without a fault"
    if _of(found, "portals") or _of(found, "portal_info"):
        yield "is down and shows portals"


def _reasons(found: Samples, account: Account, api: Api) -> Iterator[str]:
    met = {one.name for one in list(api.faults[account.name])}
    may = {reason for name in met for reason in FAULTS[name].reasons}
    for labels, count in _of(found, "collection_failures_total"):
        if count and labels["reason"] not in may:
            yield f"failed of {labels['reason']} after {sorted(met)}"

"""Whether the accounts are listed: now and over time, why not, and how long it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.metrics import catalog as c
from mixin.dashboards import states
from mixin.dashboards.document import Row
from mixin.dashboards.panels import PLAIN, Look, Text, graph, history, number, query, steps
from mixin.dashboards.promql import account_named, increase, one, select

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, statetimeline, timeseries

    from mixin.thresholds import Thresholds

REASON_COLORS = {
    "auth": "red",
    "not_found": "dark-red",
    "rate_limited": "yellow",
    "timeout": "orange",
    "connection": "purple",
    "upstream_5xx": "blue",
    "upstream_4xx": "light-blue",
    "api_error": "dark-blue",
    "invalid_response": "dark-purple",
    "incomplete": "dark-yellow",
    "internal": "semi-dark-red",
}


def now(thresholds: Thresholds) -> Row:
    """Single numbers."""
    return Row("Now", (*_targets(thresholds), *_listings()), collapsed=False)


def over_time() -> Row:
    """Listings, failures and durations."""
    return Row("Listings", (_up(), _failures(), _durations()), collapsed=False)


def exporters(metric: str, thresholds: Thresholds) -> str:
    """A metric of the scrape itself, for the targets that were exporters lately.

    While the job is not narrowed its filter matches the targets of every other job too.
    """
    known = f"last_over_time({select(c.BUILD_INFO)}[{thresholds.account_window}])"
    return f"{select(metric)} and on (job, instance) {known}"


def _number(unit: str, *above: tuple[float, str]) -> Look:
    return Look(unit=unit, steps=steps(*above) if above else PLAIN, width=4, height=4)


def _targets(thresholds: Thresholds) -> tuple[stat.Panel, ...]:
    window = thresholds.account_window
    return (
        number(
            Text(
                "Exporters down",
                "Exporters that Prometheus cannot scrape now. When it is red, look at the process "
                f"and its log, and at the network between. One that was last seen {window} ago or "
                "earlier does not count any more.",
                "No exporter was ever scraped",
            ),
            _number("short", (1, states.BAD)),
            f"sum(1 - ({exporters('up', thresholds)}))",
        ),
        number(
            Text(
                "Configurations refused",
                "Exporters whose last reload failed. They work on with the old configuration, but "
                "a restart would fail: read the log, fix the file, and reload.",
                "No exporter is scraped",
            ),
            _number("short", (1, states.BAD)),
            f"sum(1 - {select(c.CONFIG_RELOAD_SUCCESSFUL)})",
        ),
        number(
            Text(
                "Version",
                "Versions of the exporters in use; more than one while an update is rolled out.",
                "No exporter is scraped",
            ),
            _number("short"),
            f"count by (version) ({select(c.BUILD_INFO)})",
            legend="{{version}}",
        ),
    )


def _listings() -> tuple[stat.Panel, ...]:
    return (
        number(
            Text(
                "Accounts not listed",
                "Accounts that no exporter can list now. When it is red, the failures by reason "
                "below say why, and the exporter's log what to do.",
                "No exporter is scraped",
            ),
            _number("short", (1, states.BAD)),
            f"sum(1 - {one(c.UP)})",
        ),
        number(
            Text(
                "Longest without a listing",
                "Time since the last whole listing, of the account that waits longest. It grows "
                "while an account fails; the failures by reason say why.",
                "Never listed",
            ),
            _number("s"),
            f"max(time() - {one(c.LAST_SUCCESS)})",
        ),
        number(
            Text(
                "Records skipped",
                "Portals and servers that could not be read, so that nothing is known about them. "
                "When it is red, the exporter's log names each; please report them.",
                "No account is listed",
            ),
            _number("short", (1, states.BAD)),
            f"sum({one(c.SKIPPED_RECORDS, by=('kind',))})",
        ),
    )


def _up() -> statetimeline.Panel:
    return history(
        Text(
            "Account listed",
            "Whether at least one exporter could list the account. Red: nothing is known about its "
            "portals and servers in that time; the failures by reason say why. A gap: no exporter "
            "was scraped.",
            "No exporter is scraped",
        ),
        Look(
            mappings=states.flag(
                "listed", "not listed", yes_color=states.GOOD, no_color=states.BAD
            ),
            width=12,
        ),
        [query(account_named(one(c.UP)), "{{account_name}}")],
    )


def _failures() -> timeseries.Panel:
    panel = graph(
        Text(
            "Failed listings by reason",
            "auth: the token or its permission; not_found: the account id; rate_limited: too many "
            "requests by this API user; timeout: raise the scrape timeout; connection: DNS, proxy "
            "or firewall; the rest: the API itself. The log has the words of the API.",
            "No exporter is scraped",
        ),
        Look(unit="short", width=12),
        [query(increase(c.COLLECTION_FAILURES, "reason"), "{{reason}}")],
        stacked=True,
    )
    for reason, color in REASON_COLORS.items():
        panel.override_by_name(reason, [states.fixed_color(color)])
    return panel


def _durations() -> timeseries.Panel:
    scraped = f"{select('scrape_duration_seconds')} and on (job, instance) {select(c.BUILD_INFO)}"
    limit = f"{select('scrape_timeout_seconds')} and on (job, instance) {select(c.BUILD_INFO)}"
    panel = graph(
        Text(
            "Listing against its budget",
            "How long the listing of each account takes, and the whole scrape. The dashed line is "
            "the job's scrape timeout; Prometheus reports it with the feature extra-scrape-metrics "
            "alone. Near to it: raise scrape_timeout, together with --scrape.timeout.",
            "No exporter is scraped",
        ),
        Look(unit="s"),
        [
            query(account_named(one(c.COLLECTION_DURATION)), "{{account_name}}", ref="A"),
            query(f"max by (instance) ({scraped})", "scrape of {{instance}}", ref="B"),
            query(f"min({limit})", "scrape timeout", ref="C"),
        ],
    )
    return panel.override_by_name("scrape timeout", states.dashed(states.BAD))

"""The overview's first line: how many there are, and how many of them are not well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.metrics import catalog as c
from mixin.dashboards import health, states
from mixin.dashboards.document import Row
from mixin.dashboards.panels import PLAIN, Look, Text, number, steps
from mixin.dashboards.promql import attached, count, in_portals, one

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat

    from mixin.thresholds import Thresholds


def row(thresholds: Thresholds) -> Row:
    """Six counts."""
    return Row("Now", (*_all(), *_unwell(thresholds)), collapsed=False)


def _look(*above: tuple[float, str]) -> Look:
    return Look(unit="short", steps=steps(*above) if above else PLAIN, width=4, height=4)


def _all() -> tuple[stat.Panel, ...]:
    return (
        number(
            Text(
                "Accounts not listed",
                "Accounts that no exporter can list now. While it is red, nothing on this page is "
                "known about them: open the exporter dashboard and look at the failures by reason.",
                "No exporter is scraped",
            ),
            _look((1, states.BAD)),
            f"sum(1 - {one(c.UP)})",
        ),
        number(
            Text(
                "Portals",
                "Portals of the chosen accounts. It has no limit; those that are gone are in a "
                "table below.",
            ),
            _look(),
            count(one(c.PORTAL_INFO)),
        ),
        number(
            Text("Servers", "Distinct servers of the chosen portals; one in three portals is one."),
            _look(),
            count(in_portals(one(c.SERVER_INFO))),
        ),
    )


def _unwell(thresholds: Thresholds) -> tuple[stat.Panel, ...]:
    return (
        number(
            Text(
                "Failing",
                "Servers in portals that are in error, or whose authorization has lapsed: their "
                "users lose the tools. When it is red, find them in the table below and follow the "
                "link.",
            ),
            _look((1, states.BAD)),
            count(attached(health.FAILING)),
        ),
        number(
            Text(
                "Waiting for first login",
                "Servers that nobody has authorized yet; they offer no tools. An administrator, or "
                "with manual OAuth a user, must log in to them.",
            ),
            _look((1, states.WAITING)),
            count(attached(health.WAITING)),
        ),
        number(
            Text(
                "Stale",
                "Servers that report no trouble but had no successful sync for longer than the "
                "alert allows. Start a sync in the product's dashboard and see what it says.",
            ),
            _look((1, states.STALE)),
            count(attached(health.stale(thresholds))),
        ),
    )

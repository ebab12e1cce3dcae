"""Alerts on the watching itself: the exporter, and the listing of each account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.alerts import promql, text
from mixin.alerts.model import Alert, Recording
from mixin.alerts.promql import indented

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds

REJECTED = 'reason=~"auth|not_found"'
RATE_LIMITED = 'reason="rate_limited"'


def rules(thresholds: Thresholds) -> list[Recording | Alert]:
    """Every alert of this kind."""
    return [*_exporter(thresholds), *_listing(thresholds), *_account(thresholds)]


def _exporter(t: Thresholds) -> list[Alert]:
    up = f"up{{{t.selector}}}"
    instance_down = f"max by (job, instance) ({up}) == 0"
    watched = (
        f"last_over_time(cloudflare_mcp_up{{{t.selector}}}[{t.account_window}])\n"
        f"and on (job, instance)\n  ({instance_down})"
    )
    not_observed = (
        f"max by (account_id) (\n{indented(watched)}\n)\n"
        f"unless on (account_id)\n  {promql.UP}\n"
        f"and on ()\n  max({up}) == 1"
    )
    reload_successful = f"cloudflare_mcp_exporter_config_last_reload_successful{{{t.selector}}}"
    return [
        Alert(
            name="ExporterDown",
            expr=f"max({up}) == 0",
            after=t.exporter_down_for,
            severity="critical",
            summary="No instance of the exporter can be scraped.",
            description=text.lines(
                "Prometheus can reach no instance of the MCP portal exporter.",
                "Nothing is known about portals and servers until one answers.",
            ),
            dashboard=text.EXPORTER_DASHBOARD,
        ),
        Alert(
            name="ExporterAbsent",
            expr=f"absent({up})",
            after=t.exporter_absent_for,
            severity="critical",
            summary="Prometheus has no target for the exporter.",
            description=text.lines(
                f"No scrape target matches {t.selector}.",
                "Nothing is known about portals and servers until there is one.",
            ),
            dashboard=text.EXPORTER_DASHBOARD,
        ),
        Alert(
            name="ExporterInstanceDown",
            expr=f"{instance_down}\nand on ()\n  max({up}) == 1",
            after=t.exporter_instance_down_for,
            severity="warning",
            summary="One instance of the exporter cannot be scraped while others can.",
            description=text.lines(
                "Prometheus cannot scrape {{ $labels.instance }} of job {{ $labels.job }}.",
                "Accounts that no other instance lists raise an alert of their own.",
            ),
            dashboard=text.INSTANCE_DASHBOARD,
        ),
        Alert(
            name="AccountNotObserved",
            expr=not_observed,
            after=t.account_not_observed_for,
            severity="critical",
            summary="The only exporter instance that lists an account is down.",
            description=text.lines(
                f"No instance lists {text.ACCOUNT} (id {{{{ $labels.account_id }}}}) now; "
                "the instance that did cannot be scraped.",
                "Nothing is known about its portals and servers.",
            ),
            dashboard=text.ACCOUNT_DASHBOARD,
        ),
        Alert(
            name="ExporterConfigReloadFailed",
            expr=f"max by (job, instance) ({reload_successful}) == 0",
            after=t.config_reload_failed_for,
            severity="warning",
            summary="The exporter could not load its configuration and still uses the old one.",
            description=text.lines(
                "{{ $labels.instance }} of job {{ $labels.job }} refused its configuration file.",
                "It still works with the one before; a restart would fail.",
            ),
            dashboard=text.INSTANCE_DASHBOARD,
        ),
    ]


def _failing(reasons: str) -> str:
    """Accounts for which a listing failed lately for one of the reasons."""
    return f"sum by (account_id) ({promql.FAILURES}{{{reasons}}}) > 0"


def _listing(t: Thresholds) -> list[Alert]:
    down = f"{promql.UP} == 0"
    rejected, limited = _failing(REJECTED), _failing(RATE_LIMITED)
    other = promql.unless(down, "account_id", rejected, limited)
    description = text.lines(
        f"No exporter can list {text.ACCOUNT} (id {{{{ $labels.account_id }}}}).",
        text.REASONS,
        "Nothing is known about its portals and servers.",
    )
    summary = "The portals of an account cannot be listed."
    return [
        Alert(
            name="AccountAccessDenied",
            expr=f"{down}\nand on (account_id)\n{indented(rejected)}",
            after=t.access_denied_for,
            severity="critical",
            summary="The API refuses the exporter's credentials or does not know the account.",
            description=description,
            dashboard=text.ACCOUNT_DASHBOARD,
        ),
        Alert(
            name="AccountRateLimited",
            expr=promql.unless(
                f"{down}\nand on (account_id)\n{indented(limited)}", "account_id", rejected
            ),
            after=t.rate_limited_for,
            severity="warning",
            summary="The API's rate limit keeps the exporter from listing an account.",
            description=description,
            dashboard=text.ACCOUNT_DASHBOARD,
        ),
        Alert(
            name="AccountListingFailing",
            expr=other,
            after=t.listing_failing_for,
            severity="warning",
            summary=summary,
            description=description,
            dashboard=text.ACCOUNT_DASHBOARD,
        ),
        Alert(
            name="AccountListingFailingLong",
            expr=other,
            after=t.listing_failing_critical_for,
            severity="critical",
            summary=summary,
            description=description,
            dashboard=text.ACCOUNT_DASHBOARD,
        ),
    ]


def _account(t: Thresholds) -> list[Alert]:
    remaining = f"cloudflare_mcp_api_ratelimit_remaining{{{t.selector}}}"
    skipped = f"cloudflare_mcp_skipped_records{{{t.selector}}}"
    return [
        Alert(
            name="AccountQuotaLow",
            expr=f"min by (account_id) ({remaining}) < {t.quota_remaining}",
            after=t.quota_low_for,
            severity="warning",
            summary="The API's rate limit is nearly used up.",
            description=text.lines(
                f"The API would take only {{{{ $value }}}} more requests for {text.ACCOUNT} "
                "in its current window.",
                "The quota is shared by everything its user does, the provider's dashboard "
                "included; past it all of that is blocked for minutes.",
            ),
            dashboard=text.ACCOUNT_DASHBOARD,
        ),
        Alert(
            name="AccountRecordsSkipped",
            expr=f"max by (account_id, kind) ({skipped}) > 0",
            after=t.records_skipped_for,
            severity="warning",
            summary="Records of a listing are left out because they cannot be read.",
            description=text.lines(
                f"{{{{ $value }}}} {{{{ $labels.kind }}}} records of {text.ACCOUNT} are left out "
                "of the metrics.",
                "Nothing is known about these; the exporter's log names each.",
            ),
            dashboard=text.ACCOUNT_DASHBOARD,
        ),
    ]

"""Alerts on the watching itself: the exporter, and the listing of each account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.alerts import promql
from mixin.alerts.model import Alert, Recording
from mixin.alerts.promql import Scope, both, either, indented, unless
from mixin.alerts.text import (
    ACCOUNT_DASHBOARD,
    EXPORTER_DASHBOARD,
    INSTANCE_DASHBOARD,
    Text,
    lines,
)

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds

REJECTED = f'{promql.FAILED}{{reason=~"auth|not_found"}}'
LIMITED = f'{promql.FAILED}{{reason="rate_limited"}}'


def rules(thresholds: Thresholds) -> list[Recording | Alert]:
    """Every alert of this kind."""
    scope = Scope(thresholds)
    text = Text(scope, thresholds)
    return [
        *_exporter(thresholds, scope),
        _not_observed(thresholds, scope, text),
        *_listing(thresholds, scope, text),
        *_account(thresholds, scope, text),
    ]


def _answers(scope: Scope) -> str:
    """1 if any exporter answered a scrape, 0 if none did."""
    return f"max by ({scope.kept}) ({scope.most('up')})"


def _exporter(t: Thresholds, scope: Scope) -> list[Alert]:
    reloaded = scope.last("cloudflare_mcp_exporter_config_last_reload_successful")
    return [
        Alert(
            name="ExporterDown",
            expr=f"{_answers(scope)} == 0",
            after=t.exporter_down_for,
            severity="critical",
            summary="No instance of the exporter can be scraped.",
            description=lines(
                "Prometheus can reach no instance of the MCP portal exporter.",
                "Nothing is known about portals and servers until one answers.",
            ),
            dashboard=EXPORTER_DASHBOARD,
        ),
        Alert(
            name="ExporterAbsent",
            expr=_absent(t, scope),
            after=t.exporter_absent_for,
            severity="critical",
            summary="Prometheus has no target for the exporter.",
            description=lines(
                f"No scrape target matches {t.selector}.",
                "Nothing is known about portals and servers until there is one.",
            ),
            dashboard=EXPORTER_DASHBOARD,
        ),
        Alert(
            name="ExporterInstanceDown",
            expr=both(
                f"max by ({scope.instance}) ({scope.most('up')}) == 0",
                scope.kept,
                f"{_answers(scope)} == 1",
            ),
            after=t.exporter_instance_down_for,
            severity="warning",
            summary="One instance of the exporter cannot be scraped while others can.",
            description=lines(
                "Prometheus cannot scrape {{ $labels.instance }} of job {{ $labels.job }}.",
                "Accounts that no other instance lists raise an alert of their own.",
            ),
            dashboard=INSTANCE_DASHBOARD,
        ),
        Alert(
            name="ExporterConfigReloadFailed",
            expr=f"max by ({scope.instance}) ({reloaded}) == 0",
            after=t.config_reload_failed_for,
            severity="warning",
            summary="The exporter could not load its configuration and still uses the old one.",
            description=lines(
                "{{ $labels.instance }} of job {{ $labels.job }} refused its configuration file.",
                "It still works with the one before; a restart would fail.",
            ),
            dashboard=INSTANCE_DASHBOARD,
        ),
    ]


def _absent(t: Thresholds, scope: Scope) -> str:
    """No target at all; with kept labels, also none where there was one."""
    anywhere = f"absent_over_time({scope.select('up')}[{scope.window}])"
    if not scope.kept:
        return anywhere
    before = f"group by ({scope.kept}) ({scope.last('up', window=t.account_window)})"
    now = f"group by ({scope.kept}) ({scope.last('up')})"
    return either(anywhere, unless(before, scope.kept, now))


def _not_observed(t: Thresholds, scope: Scope, text: Text) -> Alert:
    known = scope.last("cloudflare_mcp_account_info", window=t.account_window)
    silent = unless(
        f"group by ({scope.account}) ({known})",
        scope.account,
        promql.UP,
        f"({_removed(scope)})",
    )
    return Alert(
        name="AccountNotObserved",
        expr=both(silent, scope.kept, f"{_answers(scope)} == 1"),
        after=t.account_not_observed_for,
        severity="critical",
        summary="No exporter reports on an account any more.",
        description=lines(
            f"No exporter reports on {text.account} (id {{{{ $labels.account_id }}}}): "
            "the target that did is down or gone, or its file is not written any more.",
            "Nothing is known about its portals and servers.",
        ),
        dashboard=ACCOUNT_DASHBOARD,
    )


def _removed(scope: Scope) -> str:
    """Accounts that were taken out of the configuration.

    A configuration was loaded that has other accounts of the same exporter, but not this one.
    """
    newest = f"max by ({scope.account}) ({promql.CONFIGURED})"
    of_exporter = (
        f"max by ({scope.instance}) (\n"
        f"  {promql.CONFIGURED} * 0 + on ({scope.account}) group_left () {newest}\n)"
    )
    of_its_exporters = (
        f"max by ({scope.account}) (\n"
        f"  {promql.CONFIGURED} * 0\n  + on ({scope.instance}) group_left ()\n"
        f"{indented(indented(of_exporter))}\n)"
    )
    return f"{newest}\n< on ({scope.account})\n{indented(of_its_exporters)}"


def _listing(t: Thresholds, scope: Scope, text: Text) -> list[Alert]:
    by = scope.account
    unlisted = f"{promql.UP} == 0"
    # Only what has been known for so long that its own alert fires takes the place of another
    # alert: or one reason after the other would put all of them off.
    rejected, limited = REJECTED + " == 1", LIMITED + " == 1"
    long_rejected = f"{REJECTED} offset {t.access_denied_for} == 1"
    long_limited = f"{LIMITED} offset {t.rate_limited_for} == 1"
    last = f"max by ({by}) ({scope.last('cloudflare_mcp_up')}) == 0"
    description = lines(
        f"No exporter can list {text.account} (id {{{{ $labels.account_id }}}}).",
        text.reasons,
        "Nothing is known about its portals and servers.",
    )
    summary = "The portals of an account cannot be listed."
    return [
        Alert(
            name="AccountAccessDenied",
            expr=both(last, by, rejected),
            after=t.access_denied_for,
            severity="critical",
            summary="The API refuses the exporter's credentials or does not know the account.",
            description=description,
            dashboard=ACCOUNT_DASHBOARD,
        ),
        Alert(
            name="AccountRateLimited",
            expr=unless(both(unlisted, by, limited), by, long_rejected),
            after=t.rate_limited_for,
            severity="warning",
            summary="The API's rate limit keeps the exporter from listing an account.",
            description=description,
            dashboard=ACCOUNT_DASHBOARD,
        ),
        Alert(
            name="AccountListingFailing",
            expr=unless(unlisted, by, long_rejected, long_limited),
            after=t.listing_failing_for,
            severity="warning",
            summary=summary,
            description=description,
            dashboard=ACCOUNT_DASHBOARD,
        ),
        Alert(
            name="AccountListingFailingLong",
            expr=unless(unlisted, by, long_rejected),
            after=t.listing_failing_critical_for,
            severity="critical",
            summary=summary,
            description=description,
            dashboard=ACCOUNT_DASHBOARD,
        ),
    ]


def _account(t: Thresholds, scope: Scope, text: Text) -> list[Alert]:
    remaining = scope.last("cloudflare_mcp_api_ratelimit_remaining")
    skipped = scope.last("cloudflare_mcp_skipped_records")
    return [
        Alert(
            name="AccountQuotaLow",
            expr=f"min by ({scope.account}) ({remaining}) < {t.quota_remaining}",
            after=t.quota_low_for,
            severity="warning",
            summary="The API's rate limit is nearly used up.",
            description=lines(
                f"The API would take only {{{{ $value }}}} more requests for {text.account} "
                "in its current window.",
                "The quota is shared by everything its user does, the provider's dashboard "
                "included; past it all of that is blocked for minutes.",
            ),
            dashboard=ACCOUNT_DASHBOARD,
        ),
        Alert(
            name="AccountRecordsSkipped",
            expr=f"max by ({scope.by('account_id', 'kind')}) ({skipped}) > 0",
            after=t.records_skipped_for,
            severity="warning",
            summary="Records of a listing are left out because they cannot be read.",
            description=lines(
                f"{{{{ $value }}}} {{{{ $labels.kind }}}} records of {text.account} are left out "
                "of the metrics.",
                "Nothing is known about these; the exporter's log names each.",
            ),
            dashboard=ACCOUNT_DASHBOARD,
        ),
    ]

"""The numbers behind alerts and dashboards: `thresholds.yaml` as one frozen, checked value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULTS = Path(__file__).with_name("thresholds.yaml")

OVERVIEW_UID = "cloudflare-mcp-overview"
SERVER_UID = "cloudflare-mcp-server"
EXPORTER_UID = "cloudflare-mcp-exporter"

Severity = Literal["critical", "warning", "info"]

_UNITS = {"y": 31536000, "w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_DURATION = re.compile(
    r"(?=\d)(?:\d+y)?(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m(?!s))?(?:\d+s)?(?:\d+ms)?"
)
_MATCHER = r'[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=~|!~|!=|=)\s*"(?:[^"\\\n]|\\.)*"'
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# Grafana takes uids of 40 characters; the longest name of a dashboard has 23.
_UID_PREFIX = re.compile(r"[a-zA-Z0-9_-]{0,17}")
_SELECTOR = re.compile(rf"{_MATCHER}(?:\s*,\s*{_MATCHER})*")


OWN_LABELS = {
    *("job", "instance", "severity", "alertname", "alertstate"),
    *("account_id", "portal_id", "server_id", "reason", "kind", "auth_type"),
    *("account_name", "portal_name", "server_name", "hostname"),
}
"""Labels that the rules use for themselves, so that they cannot be kept as others."""

OFFSETS = ("access_denied_for", "rate_limited_for", "retryable_for")
"""Durations that the rules look back by: PromQL has no offset of 0s."""

RELIEVING = (
    *("exporter_down_for", "exporter_absent_for", "account_not_observed_for"),
    *("access_denied_for", "rate_limited_for", "listing_failing_for"),
    *("error_for", "unreachable_for", "reauthorization_for"),
)
"""Of alerts that may take over from another one about the same thing."""


class ThresholdError(ValueError):
    """A threshold cannot be used; the text names it."""


def seconds(duration: str) -> float:
    """Seconds in a Prometheus duration such as ``1h30m``.

    Raises:
        ThresholdError: it is not one.
    """
    if not _DURATION.fullmatch(duration):
        raise ThresholdError(f"{duration!r} is not a duration such as 30s, 10m or 1h30m")
    parts = re.findall(r"(\d+)(ms|[ywdhms])", duration)
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


class Additions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an alert gets beside its own labels and annotations; these win."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class AlertSettings(Additions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is different for one alert; one that is not enabled is left out."""

    enabled: bool = True


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every value that a user may change; `thresholds.yaml` says what each one means.

    Fields ``*_seconds`` are plain seconds, to be compared with a metric. Fields ``*_for`` and
    ``*_window`` are Prometheus durations.

    Raises:
        ThresholdError: a value cannot be used, or two do not fit together.
    """

    selector: str
    runbook_base_url: str
    dashboard_base_url: str
    dashboard_uid_prefix: str
    severities: dict[str, Severity]
    keep_labels: list[str]
    every_alert: Additions
    alerts: dict[str, AlertSettings]

    sync_stale_seconds: int
    waiting_seconds: int
    quota_remaining: int
    flapping_changes: int
    certificate_warning_seconds: int
    certificate_critical_seconds: int

    gap_window: str
    failure_window: str
    lost_window: str
    flapping_window: str
    flapping_quiet_window: str
    account_window: str
    probe_window: str

    exporter_down_for: str
    exporter_absent_for: str
    exporter_instance_down_for: str
    config_reload_failed_for: str
    account_not_observed_for: str
    access_denied_for: str
    rate_limited_for: str
    listing_failing_for: str
    listing_failing_critical_for: str
    quota_low_for: str
    records_skipped_for: str
    error_for: str
    unreachable_for: str
    retryable_for: str
    reauthorization_for: str
    waiting_for: str
    sync_stale_for: str
    flapping_for: str
    portal_no_healthy_server_for: str
    portal_lost_servers_for: str
    portal_disappeared_for: str
    portal_exposes_no_tools_for: str
    posture_for: str
    server_not_answering_for: str
    login_impossible_for: str
    certificate_for: str
    portal_not_answering_for: str
    server_hidden_for: str
    catalog_drift_for: str
    keep_firing_for: str

    def __post_init__(self) -> None:
        """Refuse what would render into rules that are broken or can never fire."""
        _check_durations(self)
        _check_numbers(self)
        _check_texts(self)
        _check_labels(self)
        _check_together(self)

    def dashboard_uid(self, name: str) -> str:
        """The uid of one of this package's dashboards, also as a part of an address."""
        return self.dashboard_uid_prefix + name

    def runbook_url(self, alert: str) -> str:
        """Where the runbook of an alert is, by the alert's full name."""
        return f"{self.runbook_base_url.rstrip('/')}/{alert}"


def _check_durations(thresholds: Thresholds) -> None:
    for name in thresholds.__struct_fields__:
        if not name.endswith(("_for", "_window")):
            continue
        try:
            length = seconds(getattr(thresholds, name))
        except ThresholdError as error:
            raise ThresholdError(f"{name}: {error}") from None
        if (name.endswith("_window") or name == "retryable_for") and length <= 0:
            raise ThresholdError(f"{name}: must be longer than 0s")


def _check_numbers(thresholds: Thresholds) -> None:
    lowest = {
        "sync_stale_seconds": 1,
        "waiting_seconds": 1,
        "quota_remaining": 1,
        "flapping_changes": 2,
        "certificate_critical_seconds": 1,
        "certificate_warning_seconds": thresholds.certificate_critical_seconds + 1,
    }
    for name, least in lowest.items():
        if getattr(thresholds, name) < least:
            raise ThresholdError(f"{name}: must be {least} or more")


def _check_texts(thresholds: Thresholds) -> None:
    if not _SELECTOR.fullmatch(thresholds.selector):
        raise ThresholdError(
            f'selector: {thresholds.selector!r} is not a list of matchers such as job="x"'
        )
    for name in ("runbook_base_url", "dashboard_base_url"):
        if not re.fullmatch(r"https?://[^\s{}]+", getattr(thresholds, name)):
            raise ThresholdError(f"{name}: must be an http or https URL without spaces and braces")
    if not _UID_PREFIX.fullmatch(thresholds.dashboard_uid_prefix):
        raise ThresholdError(
            "dashboard_uid_prefix: must be at most 17 letters, digits, dashes and underscores"
        )


def _check_labels(thresholds: Thresholds) -> None:
    for label in thresholds.keep_labels:
        if not _LABEL.fullmatch(label):
            raise ThresholdError(f"keep_labels: {label!r} is not a label name")
        if label in OWN_LABELS:
            raise ThresholdError(f"keep_labels: {label} is a label of the rules themselves")


def _check_together(thresholds: Thresholds) -> None:
    lost = seconds(thresholds.lost_window)
    for name in ("portal_lost_servers_for", "portal_disappeared_for"):
        if seconds(getattr(thresholds, name)) >= lost:
            raise ThresholdError(f"{name}: must be shorter than lost_window, or it never fires")
    if seconds(thresholds.failure_window) <= seconds(thresholds.retryable_for):
        raise ThresholdError(
            "failure_window: must be longer than retryable_for, or an alert would end while its "
            "server still fails"
        )
    for name in OFFSETS:
        if not seconds(getattr(thresholds, name)):
            raise ThresholdError(f"{name}: must be longer than 0s; use 1s for an alert at once")
    for name in RELIEVING:
        if seconds(getattr(thresholds, name)) > seconds(thresholds.keep_firing_for):
            raise ThresholdError(
                f"{name}: must not be longer than keep_firing_for, or the alert before this one "
                "would end before this one fires"
            )


def load(path: Path | None = None, overrides: Mapping[str, str] | None = None) -> Thresholds:
    """The defaults, with a user's file and then single values laid over them.

    Args:
        path: a YAML file that names only what differs from `thresholds.yaml`.
        overrides: texts by name; ``severities.ALERT`` sets one severity, and
            ``alerts.ALERT.labels.NAME`` one label.

    Raises:
        ThresholdError: a name is unknown or a value cannot be used.
        OSError: the file cannot be read.
    """
    values = _read(DEFAULTS)
    if path is not None:
        values |= _read(path)
    for name, text in (overrides or {}).items():
        _put(values, name.split("."), _value(name, text))
    try:
        return msgspec.convert(values, Thresholds)
    except msgspec.ValidationError as error:
        raise ThresholdError(str(error)) from error


def _put(values: dict[str, Any], path: list[str], value: object) -> None:
    """Set what a path of names leads to, without a change of what others hold."""
    name, *rest = path
    if rest:
        inner = dict(values.get(name) or {})
        _put(inner, rest, value)
        value = inner
    values[name] = value


def _value(name: str, text: str) -> object:
    """The number, list or text that a name takes; YAML would read a selector as a mapping."""
    if name.endswith("_labels"):
        return [label.strip() for label in text.split(",") if label.strip()]
    if "." in name:
        return text == "true" if name.endswith(".enabled") and text in {"true", "false"} else text
    if name.endswith(("_seconds", "_remaining", "_changes")):
        try:
            return int(text)
        except ValueError:
            raise ThresholdError(f"{name}: {text!r} is not a whole number") from None
    return text


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ThresholdError(f"{path}: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ThresholdError(f"{path}: must hold names and values")
    return values

"""What exporters would have told Prometheus, minute by minute, as a `promtool test rules` file.

Every value may be a constant or a function of the minute. ``None`` means that the series is not
there: a scrape that does not carry a series ends it at once (a staleness marker).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import yaml

from exporter import model
from exporter.errors import Reason

T = TypeVar("T")
When: TypeAlias = T | Callable[[int], T]
"""A value, or what it is at a minute."""

JOB = "cloudflare-mcp"
ACCOUNT = "a1"

RULES = Path(__file__).parent.parent / "alerts"
RULE_FILES = [
    RULES / name for name in ("cloudflare-mcp.rules.yml", "cloudflare-mcp-posture.rules.yml")
]


@cache
def groups() -> list[dict[str, Any]]:
    """All groups of all rule files."""
    documents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in RULE_FILES]
    return [group for document in documents for group in document["groups"]]


def rules() -> list[dict[str, Any]]:
    """All rules of all rule files."""
    return [rule for group in groups() for rule in group["rules"]]


def alert_names() -> list[str]:
    """The names of all alerts."""
    return [rule["alert"] for rule in rules() if "alert" in rule]


class Alert(NamedTuple):
    """A firing alert with everything that Prometheus would send to Alertmanager."""

    name: str
    labels: dict[str, str]
    annotations: dict[str, str]


def at(moment: When[T], minute: int) -> T:
    """The value at a minute."""
    return moment(minute) if callable(moment) else moment


def between(first: int, last: int, inside: T, outside: T) -> Callable[[int], T]:
    """`inside` from minute `first` to minute `last`, both included, else `outside`."""
    return lambda minute: inside if first <= minute <= last else outside


def since(first: int, after: T, before: T) -> Callable[[int], T]:
    """`after` from minute `first` on."""
    return lambda minute: after if minute >= first else before


def _values(samples: Iterable[float | None]) -> str:
    """Samples in promtool's notation, runs of equal ones joined."""
    runs: list[tuple[str, int]] = []
    before: float | None = None
    for sample in samples:
        text = f"{sample:.15g}" if sample is not None else "_" if before is None else "stale"
        if runs and runs[-1][0] == text and text != "stale":
            runs[-1] = (text, runs[-1][1] + 1)
        else:
            runs.append((text, 1))
        before = sample
    return " ".join(_run(text, length) for text, length in runs)


def _run(text: str, length: int) -> str:
    if text == "stale":
        return text
    return f"_x{length}" if text == "_" else f"{text}+0x{length - 1}"


class World:
    """A fleet over some minutes, and what must fire in it.

    Args:
        minutes: how long.
        instances: the exporters, the one that started first at the front; each lists everything
            unless a method is told otherwise.
        unlisted: whether a minute's listing fails: no portal and no server has a series then.
        step: minutes between two scrapes, and between two evaluations. Each costs time: make it
            as long as what is asked for allows.
    """

    def __init__(
        self,
        minutes: int,
        *,
        instances: tuple[str, ...] = ("one:9853",),
        unlisted: When[bool] = False,
        step: int = 1,
    ) -> None:
        self.minutes = minutes
        self.step = step
        self.instances = instances
        self.unlisted = unlisted
        self.series: dict[str, str] = {}
        self.attached: dict[str, set[str]] = {}
        self.expected: list[dict[str, Any]] = []

    def sample(
        self,
        name: str,
        value: When[float | None],
        *,
        instances: tuple[str, ...] | None = None,
        **labels: str,
    ) -> None:
        """A series of every instance, present whether the listing works or not."""
        for instance in instances or self.instances:
            every = {**labels, "instance": instance, "job": JOB}
            inner = ",".join(f'{label}="{text}"' for label, text in every.items())
            self.series[f"{name}{{{inner}}}"] = _values(
                at(value, minute) for minute in range(0, self.minutes + 1, self.step)
            )

    def listed(self, name: str, value: When[float | None], **labels: Any) -> None:
        """A series of the account's inventory: it is there while the listing works."""
        self.sample(
            f"cloudflare_mcp_{name}",
            lambda minute: None if at(self.unlisted, minute) else at(value, minute),
            account_id=ACCOUNT,
            **labels,
        )

    def exporter(self, up: When[float | None] = 1, *, instances: Any = None) -> None:
        """Whether the scrape works."""
        self.sample("up", up, instances=instances)

    def account(
        self,
        *,
        up: When[float | None] | None = None,
        failures: Mapping[Reason, When[bool]] | None = None,
        name: str = "Production",
        instances: tuple[str, ...] | None = None,
    ) -> None:
        """An account; `up` follows `unlisted` unless it is given.

        `failures` are the reasons why the last listing failed, while it did.
        """

        def scrape(minute: int) -> float | None:
            return float(not at(self.unlisted, minute))

        listed: When[float | None] = scrape if up is None else up
        there = {"account_id": ACCOUNT}

        def scraped(value: When[float | None]) -> Callable[[int], float | None]:
            return lambda minute: None if at(listed, minute) is None else at(value, minute)

        self.sample("cloudflare_mcp_up", listed, instances=instances, **there)
        self.sample(
            "cloudflare_mcp_account_info",
            scraped(1),
            instances=instances,
            **there,
            account_name=name,
        )
        for reason in Reason:
            failed: When[bool] = (failures or {}).get(reason, False)
            self.sample(
                "cloudflare_mcp_collection_failed",
                scraped(_number(failed)),
                instances=instances,
                **there,
                reason=reason.value,
            )
        self.sample(
            "cloudflare_mcp_last_success_timestamp_seconds",
            scraped(self._last_success(listed)),
            instances=instances,
            **there,
        )
        self.sample(
            "cloudflare_mcp_exporter_account_configured_timestamp_seconds",
            scraped(1_700_000_000),
            instances=instances,
            **there,
        )

    def _last_success(self, listed: When[float | None]) -> Callable[[int], float | None]:
        def value(minute: int) -> float | None:
            times = (m for m in range(minute, -1, -1) if at(listed, m) == 1)
            return next((60.0 * m for m in times), None)

        return value

    def server(
        self,
        server: str = "jira",
        *,
        portals: tuple[str, ...] = ("eng",),
        name: When[str] | None = None,
        status: When[str | None] = "ready",
        authentication: When[str | None] = "connected",
        error: When[bool] = False,
        details: When[model.ErrorClass | None] = None,
        staleness: When[float | None] = 600,
        tools: When[float | None] = 5,
        shown: When[float | None] | None = None,
        auth_type: str = "oauth",
        orphaned: float = 0,
        present: When[bool] = True,
        attached: When[bool] = True,
        instances: tuple[str, ...] | None = None,
    ) -> None:
        """A server in `portals` while `attached`; `details` make it an error as well."""

        def put(metric: str, value: When[float | None], **labels: str) -> None:
            self.listed(
                metric,
                lambda minute: at(value, minute) if at(present, minute) else None,
                instances=instances,
                server_id=server,
                **labels,
            )

        def in_error(minute: int) -> bool:
            return at(error, minute) or at(details, minute) is not None

        def states(metric: str, label: str, known: tuple[str, ...], now: When[str | None]) -> None:
            for state in known:
                put(metric, _is(state, now), **{label: state})

        for one, there in self._names(name or server.title()):
            put(
                "server_info",
                _only(there, 1),
                server_name=one,
                hostname="https://mcp.test",
                auth_type=auth_type,
            )
        states("server_status", "status", model.STATUSES, status)
        states(
            "server_authentication_status",
            "authentication_status",
            model.AUTHENTICATION_STATUSES,
            authentication,
        )
        put("server_error", lambda minute: float(in_error(minute)))
        kinds = {at(details, minute) for minute in range(self.minutes + 1)} - {None}
        for kind in kinds:
            assert kind is not None
            put("server_error_info", _while(kind, details), **_class_labels(kind))
        put("server_retryable_upstream_failure", lambda m: float(_retryable(at(details, m))))
        put("server_sync_staleness_seconds", staleness)
        put("server_tools", tools)
        for portal in portals:
            self.attached.setdefault(portal, set()).add(server)
            inside: dict[str, When[float | None]] = {
                "info": 1,
                "exposed_tools": tools if shown is None else shown,
            }
            for name_, value in inside.items():
                put(f"portal_server_{name_}", _only(attached, value), portal_id=portal)
            for kind_, count in {"tool": orphaned, "prompt": 0.0}.items():
                metric = "portal_server_orphaned_overrides"
                put(metric, _only(attached, count), portal_id=portal, kind=kind_)

    def portal(
        self,
        portal: str = "eng",
        *,
        name: When[str] | None = None,
        servers: When[float] | None = None,
        code_mode: str = "off",
        present: When[bool] = True,
        instances: tuple[str, ...] | None = None,
    ) -> None:
        """A portal; call it after its servers, or say how many it has."""
        count: When[float] = len(self.attached.get(portal, ())) if servers is None else servers

        def put(metric: str, value: When[float | None], **labels: str) -> None:
            self.listed(
                metric,
                lambda minute: at(value, minute) if at(present, minute) else None,
                instances=instances,
                portal_id=portal,
                **labels,
            )

        for one, there in self._names(name or portal.title()):
            put(
                "portal_info",
                _only(there, 1),
                portal_name=one,
                hostname="https://portal.test",
            )
        for auth_type in model.AUTH_TYPES:
            put("portal_servers", count if auth_type == "oauth" else 0, auth_type=auth_type)
        for mode in model.CODE_MODES:
            put("portal_code_mode", float(mode == code_mode), code_mode=mode)

    def _names(self, name: When[str]) -> Iterator[tuple[str, Callable[[int], bool]]]:
        """Each name that something has, and when it has that one."""
        for one in {at(name, minute) for minute in range(self.minutes + 1)}:
            yield one, lambda minute, one=one: at(name, minute) == one  # type: ignore[misc]

    def expect(self, minute: int, *alerts: Alert) -> None:
        """At this minute exactly these alerts fire, and no other of the product's."""
        for name in alert_names():
            firing = [
                {"exp_labels": alert.labels, "exp_annotations": alert.annotations}
                for alert in alerts
                if alert.name == name
            ]
            self.expected.append(
                {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": firing}
            )

    def document(self) -> dict[str, Any]:
        """The file for promtool."""
        order = [group["name"] for group in groups()]
        return {
            "rule_files": [str(path) for path in RULE_FILES],
            "evaluation_interval": f"{self.step}m",
            "group_eval_order": order,
            "tests": [
                {
                    "interval": f"{self.step}m",
                    "input_series": [
                        {"series": series, "values": values}
                        for series, values in self.series.items()
                    ],
                    "alert_rule_test": self.expected,
                }
            ],
        }


def _only(there: When[bool], value: When[float | None]) -> Callable[[int], float | None]:
    """A value that is reported only while something holds."""
    return lambda minute: at(value, minute) if at(there, minute) else None


def _number(flag: When[bool]) -> Callable[[int], float]:
    return lambda minute: float(at(flag, minute))


def _is(state: str, now: When[str | None]) -> Callable[[int], float | None]:
    """A member of a state set: absent where nothing is reported."""

    def value(minute: int) -> float | None:
        current = at(now, minute)
        return None if current is None else float(current == state)

    return value


def _while(
    kind: model.ErrorClass, details: When[model.ErrorClass | None]
) -> Callable[[int], float | None]:
    return lambda minute: 1 if at(details, minute) == kind else None


def _class_labels(kind: model.ErrorClass) -> dict[str, str]:
    return {label: getattr(kind, label) for label in kind.__struct_fields__}


def _retryable(kind: model.ErrorClass | None) -> bool:
    return kind is not None and kind.is_upstream == kind.retryable == "true"

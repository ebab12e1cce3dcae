"""Converts the result of a probe to metric families. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from exporter.metrics import probe_catalog as c
from exporter.metrics.catalog import Metric
from exporter.metrics.samples import Family, label, line


class ProbeSamples(msgspec.Struct, frozen=True):
    """A probe's result as the values of samples; what is None is absent.

    Attributes:
        account_id: of the target.
        target_id: of the server or the portal.
        success: whether the target answered as it should.
        outcome: how the probe ended.
        outcomes: the closed set of outcomes.
        ended: Unix time of the probe.
        phases: seconds by phase.
        http_status: of the last response.
        protocol_version: of MCP; empty if unknown.
        certificate_expiry: Unix time.
        login_possible: whether a login is possible.
        tools: how many the server lists.
        added: tools beyond those that are stored.
        removed: stored tools that are gone.
        visible: tools of a portal by server id.
    """

    account_id: str
    target_id: str
    success: bool
    outcome: str
    outcomes: Sequence[str]
    ended: float
    phases: Mapping[str, float] = {}
    http_status: int | None = None
    protocol_version: str = ""
    certificate_expiry: float | None = None
    login_possible: bool | None = None
    tools: int | None = None
    added: int | None = None
    removed: int | None = None
    visible: Mapping[str, int] | None = None


def server_families(samples: ProbeSamples) -> Iterator[Family]:
    """The families of one probe of a server."""
    add = _Adder(samples, "server_id")
    yield add.one(c.SERVER_SUCCESS, samples.success)
    yield add.split(c.SERVER_OUTCOME, _outcomes(samples))
    yield add.split(c.SERVER_DURATION, samples.phases)
    yield add.one(c.SERVER_HTTP_STATUS, samples.http_status)
    version = {samples.protocol_version: 1.0} if samples.protocol_version else {}
    yield add.split(c.SERVER_PROBE_INFO, version)
    yield add.one(c.SERVER_CERTIFICATE_EXPIRY, samples.certificate_expiry)
    yield add.one(c.SERVER_LOGIN_POSSIBLE, samples.login_possible)
    yield add.one(c.SERVER_PROBE_TOOLS, samples.tools)
    drift = {}
    if samples.added is not None and samples.removed is not None:
        drift = {"added": float(samples.added), "removed": float(samples.removed)}
    yield add.split(c.SERVER_DRIFT, drift)
    yield add.one(c.SERVER_TIMESTAMP, samples.ended)


def portal_families(samples: ProbeSamples) -> Iterator[Family]:
    """The families of one probe of a portal."""
    add = _Adder(samples, "portal_id")
    yield add.one(c.PORTAL_SUCCESS, samples.success)
    yield add.split(c.PORTAL_OUTCOME, _outcomes(samples))
    yield add.split(c.PORTAL_DURATION, samples.phases)
    yield add.one(c.PORTAL_HTTP_STATUS, samples.http_status)
    yield add.one(c.PORTAL_CERTIFICATE_EXPIRY, samples.certificate_expiry)
    yield add.one(c.PORTAL_TIMESTAMP, samples.ended)
    visible = samples.visible or {}
    yield add.split(c.SERVER_VISIBLE, {one: float(count > 0) for one, count in visible.items()})
    yield add.split(c.SERVER_VISIBLE_TOOLS, visible)


class _Adder:
    """Writes samples with the labels of the target."""

    def __init__(self, samples: ProbeSamples, name: str) -> None:
        self._labels = {"account_id": samples.account_id, name: samples.target_id}

    def one(self, metric: Metric, value: float | None) -> Family:
        return Family(metric, [] if value is None else [self._line(metric, self._labels, value)])

    def split(self, metric: Metric, values: Mapping[str, float]) -> Family:
        last = metric.labels[-1]
        return Family(
            metric,
            [self._line(metric, {**self._labels, last: one}, v) for one, v in values.items()],
        )

    def _line(self, metric: Metric, labels: Mapping[str, str], value: float) -> str:
        text = ",".join(label(name, labels[name]) for name in sorted(labels))
        return line(metric.name, text, float(value))


def _outcomes(samples: ProbeSamples) -> dict[str, float]:
    return {outcome: float(outcome == samples.outcome) for outcome in samples.outcomes}

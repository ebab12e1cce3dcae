"""The accounts as targets for Prometheus' HTTP service discovery. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec


def targets(names: Iterable[str], scheme: str, address: str, probe: str, own: str) -> bytes:
    """The document: one target group per account, and one for the exporter itself.

    Args:
        names: of the accounts.
        scheme: ``http`` or ``https``.
        address: ``host:port`` of this exporter.
        probe: path of the endpoint that scrapes one account.
        own: path of the endpoint with the exporter's own metrics.
    """
    secure = {"__scheme__": "https"} if scheme == "https" else {}
    accounts = [
        {"__metrics_path__": probe, "__param_account": name, "account": name} for name in names
    ]
    groups = [
        {"targets": [address], "labels": {**labels, **secure}}
        for labels in (*accounts, {"__metrics_path__": own})
    ]
    return msgspec.json.encode(groups)


class ProbeTarget(Protocol):
    """A server or portal that can be probed."""

    @property
    def account(self) -> str:
        """Name of the account."""

    @property
    def account_id(self) -> str:
        """Id of the account."""

    @property
    def id(self) -> str:
        """Of the server or the portal."""

    @property
    def name(self) -> str:
        """Of the server or the portal."""


def probe_targets(
    found: Iterable[ProbeTarget], kind: str, scheme: str, address: str, path: str
) -> bytes:
    """The document: one target group per server or portal.

    All targets are reached under the same address, so each needs a label that tells it apart: the
    account and the id. Their names differ from those of the labels of the metrics.

    Args:
        found: what can be probed.
        kind: ``server`` or ``portal``.
        scheme: ``http`` or ``https``.
        address: ``host:port`` of this exporter.
        path: of the endpoint that probes one target.
    """
    secure = {"__scheme__": "https"} if scheme == "https" else {}
    groups = [
        {
            "targets": [address],
            "labels": {
                "__metrics_path__": path,
                "__param_account": one.account,
                f"__param_{kind}": one.id,
                f"__meta_cloudflare_mcp_{kind}_name": one.name,
                "__meta_cloudflare_mcp_account_id": one.account_id,
                "account": one.account,
                kind: one.id,
                **secure,
            },
        }
        for one in found
    ]
    return msgspec.json.encode(groups)

"""Live probes of the servers and portals of the configured accounts.

Targets come from the account's listing alone: nobody can ask for a URL. A listing that is a few
minutes old is good enough to know them, so that a probe costs no request to the API where something
scrapes the account's metrics; otherwise it lists the account as a scrape would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TypeVar

import msgspec

from exporter.accounts import Accounts
from exporter.deadline import Deadline
from exporter.errors import ExporterError, SettingsError
from exporter.metrics.exposition import render
from exporter.metrics.formats import Format
from exporter.metrics.probe_families import ProbeSamples, portal_families, server_families
from exporter.metrics.samples import Family
from exporter.model import Inventory, Portal, Server
from exporter.probes import targets
from exporter.probes.addresses import AddressPolicy, parse_network
from exporter.probes.exchange import Route
from exporter.probes.mcp import Era
from exporter.probes.portal import PortalProbe, PortalTarget, ServiceToken
from exporter.probes.prober import Observation, Prober
from exporter.probes.result import Outcome, ProbeResult
from exporter.probes.server import ServerProbe
from exporter.redaction import KnownSecrets
from exporter.settings import Account, SecretReader
from exporter.threads import in_thread

T = TypeVar("T")

LISTING_AGE = 600.0
"""Seconds for which a listing tells which targets there are."""

DEFAULT_SECONDS = 9.5
"""For a probe whose client announces no timeout: within Prometheus' default of 10 s."""

AT_A_TIME = 32
"""Probes that a survey makes in parallel."""

SERVERS = "servers"
PORTALS = "portals"


class UnknownTargetError(ExporterError):
    """There is no such target, or it may not be probed."""


class UnlistedError(ExporterError):
    """The account could not be listed, so its targets are unknown."""


class Target(msgspec.Struct, frozen=True):
    """A target for service discovery.

    Attributes:
        account: the configured name.
        account_id: of the account.
        id: of the server or the portal.
        name: of the server or the portal.
    """

    account: str
    account_id: str
    id: str
    name: str


class Finding(msgspec.Struct, frozen=True):
    """The result of a probe for people.

    Attributes:
        kind: ``server`` or ``portal``.
        id: of the server or the portal.
        result: of its probe.
    """

    kind: str
    id: str
    result: ProbeResult


class Note(msgspec.Struct, frozen=True):
    """The last probe of a target, for the status page.

    Attributes:
        success: whether the target answered as it should.
        outcome: the value of the label ``outcome``.
        seconds: that it took.
        ended: Unix time.
    """

    success: bool
    outcome: str
    seconds: float
    ended: float


class AccountProbes:
    """Probes what the accounts' configuration allows; for one event loop.

    Args:
        accounts: the configured accounts.
        known: learns the secrets read from files.
        prober: limits and shares probes.
        offset: seconds subtracted from the scrape timeout that Prometheus announces.
    """

    def __init__(
        self,
        accounts: Accounts,
        known: KnownSecrets,
        prober: Prober,
        *,
        offset: float = 0.5,
    ) -> None:
        self._accounts = accounts
        self._known = known
        self._prober = prober
        self._offset = offset

    def is_enabled(self, kind: str) -> bool:
        """Whether any account allows probes of its `SERVERS` or `PORTALS`."""
        return any(_allows(account, kind) for account in self._accounts.configured())

    async def targets(self, kind: str, announced: float | None) -> list[Target]:
        """The targets of all accounts that allow probes of this kind, by their listings.

        An account that could not be listed yet has none: it must not hide those of the others.

        Raises:
            UnlistedError: no account could be listed yet.
        """
        accounts = [one for one in self._accounts.configured() if _allows(one, kind)]
        listed = await asyncio.gather(
            *(self._accounts.inventory(one.name, announced, 0.0) for one in accounts)
        )
        if accounts and all(one is None for one in listed):
            raise UnlistedError("no account could be listed yet")
        return [
            Target(account.name, account.account_id, one.id, one.name)
            for account, inventory in zip(accounts, listed, strict=True)
            if inventory is not None
            for one in _admitted(kind, account, inventory)
        ]

    async def probe(
        self, kind: str, name: str, identity: str, announced: float | None
    ) -> Callable[[Format], Iterator[bytes]]:
        """Probe one target; returns what renders its metrics.

        Args:
            kind: `SERVERS` or `PORTALS`.
            name: of the account.
            identity: of the server or the portal.
            announced: Prometheus' timeout of this scrape in seconds, if it announces one.

        Raises:
            UnknownTargetError: there is no such target, or it may not be probed.
            UnlistedError: no listing of the account has succeeded yet.
            BusyError: too many probes are in progress.
        """
        account = self._account(kind, name)
        inventory = await self._accounts.inventory(account.name, announced, LISTING_AGE)
        if inventory is None:
            raise UnlistedError(f"account {account.name!r} could not be listed yet")
        admitted = _admitted(kind, account, inventory, identity)
        found: Server | Portal | None = next(admitted, None)
        if found is None:
            raise UnknownTargetError(f"the account lists no such target; /sd/{kind} has them all")
        observation = await self._observe(account, inventory, found, self._seconds(announced))
        families = server_families if kind == SERVERS else portal_families
        return partial(_render, families, account, identity, observation)

    async def survey(self, account_id: str) -> list[Finding]:
        """Probe everything of an account that may be probed, for people.

        Raises:
            UnlistedError: no listing of the account has succeeded yet, or its service token cannot
                be read.
            BusyError: too many probes are in progress.
        """
        account = next(one for one in self._accounts.configured() if one.account_id == account_id)
        inventory = await self._accounts.inventory(account.name, None, LISTING_AGE)
        if inventory is None:
            raise UnlistedError(f"account {account.name!r} could not be listed yet")
        found = [
            (kind, one)
            for kind in (SERVERS, PORTALS)
            if _allows(account, kind)
            for one in _admitted(kind, account, inventory)
        ]
        findings: list[Finding] = []
        # Some at a time: each waits for a slot no longer than for its answer.
        for some in _batches(found, AT_A_TIME):
            observed = await asyncio.gather(
                *(self._observe(account, inventory, one, DEFAULT_SECONDS) for _, one in some)
            )
            findings += [
                Finding(kind.removesuffix("s"), one.id, observation.result)
                for (kind, one), observation in zip(some, observed, strict=True)
            ]
        return findings

    async def _observe(
        self, account: Account, inventory: Inventory, found: Server | Portal, seconds: float
    ) -> Observation:
        interval = account.probes.min_interval
        if isinstance(found, Server):
            start = partial(self._server_probe, account, found)
            key = (SERVERS, account.account_id, found.id)
            return await self._prober.probe(key, start, seconds, interval)
        token = await self._token(account)
        target = targets.portal_target(inventory, found)
        portal = partial(self._portal_probe, account, target, token)
        key = (PORTALS, account.account_id, found.id)
        return await self._prober.probe(key, portal, seconds, interval)

    @property
    def version(self) -> int:
        """Changes whenever a probe ends."""
        return self._prober.made

    def latest(self, kind: str, account_id: str, identity: str) -> Note | None:
        """The last result of a probe of the target; None if there is none."""
        found = self._prober.latest((kind, account_id, identity))
        if found is None:
            return None
        result = found.result
        seconds = sum(result.phases.values())
        return Note(result.success, result.outcome.value, seconds, found.ended)

    def _account(self, kind: str, name: str) -> Account:
        for account in self._accounts.configured():
            if account.name == name and _allows(account, kind):
                return account
        raise UnknownTargetError(
            f"there is no account of this name whose {kind} may be probed; /sd/{kind} has them all"
        )

    async def _token(self, account: Account) -> ServiceToken | None:
        probes = account.probes
        if not probes.access_client_id or probes.access_client_secret is None:
            return None
        read = SecretReader(probes.access_client_secret, "secret", self._known.learn)
        try:
            return ServiceToken(probes.access_client_id, await in_thread(read))
        except SettingsError as problem:
            raise UnlistedError(str(problem)) from None

    def _server_probe(
        self, account: Account, server: Server, deadline: Deadline, era: Era | None
    ) -> ServerProbe:
        return ServerProbe(targets.server_target(server), _route(account), deadline, era)

    def _portal_probe(
        self,
        account: Account,
        target: PortalTarget,
        token: ServiceToken | None,
        deadline: Deadline,
        era: Era | None,
    ) -> PortalProbe:
        return PortalProbe(target, _route(account), deadline, token, era)

    def _seconds(self, announced: float | None) -> float:
        if announced is None:
            return DEFAULT_SECONDS
        return max(announced - self._offset, announced / 2)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def _allows(account: Account, kind: str) -> bool:
    return account.probes.servers if kind == SERVERS else account.probes.portals


def _admitted(
    kind: str, account: Account, inventory: Inventory, identity: str | None = None
) -> Iterator[Server] | Iterator[Portal]:
    probes = account.probes
    selection = targets.Selection(probes.allow, probes.deny, probes.gateway_servers)
    if kind == SERVERS:
        return targets.servers(inventory, selection, identity)
    return targets.portals(inventory, selection, identity)


def _route(account: Account) -> Route:
    probes = account.probes
    return Route(
        AddressPolicy(tuple(parse_network(text) for text in probes.allow_networks)),
        probes.allow_http,
        account.proxy_url,
        account.ca_file,
    )


def _render(
    families: Callable[[ProbeSamples], Iterator[Family]],
    account: Account,
    identity: str,
    observation: Observation,
    form: Format,
) -> Iterator[bytes]:
    result = observation.result
    samples = ProbeSamples(
        account_id=account.account_id,
        target_id=identity,
        success=result.success,
        outcome=result.outcome,
        outcomes=tuple(Outcome),
        ended=observation.ended,
        phases={str(phase): seconds for phase, seconds in result.phases.items()},
        http_status=result.http_status,
        protocol_version=result.protocol_version,
        certificate_expiry=result.certificate_expiry,
        login_possible=result.login_possible,
        tools=result.tools,
        added=None if result.drift is None else result.drift.added,
        removed=None if result.drift is None else result.drift.removed,
        visible=result.visible_tools,
    )
    return render(families(samples), (), form)

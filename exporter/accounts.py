"""The configured accounts: scrapes one or all of them; a reload replaces them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

import msgspec
from prometheus_client.registry import Collector

from exporter.cloudflare.backoff import Backoff, SharedLimits
from exporter.cloudflare.client import PORTALS, SERVERS, Client, Endpoint, IdleConnections, Shared
from exporter.cloudflare.credentials import Headers, ReadSecret, key_headers, token_headers
from exporter.cloudflare.fetch import Route
from exporter.cloudflare.merge import build
from exporter.cloudflare.rate_limit import RequestQuotas
from exporter.collector import AccountCollector, ListAccount
from exporter.deadline import Deadline
from exporter.metrics.api_metrics import ApiMetrics
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.exposition import merged, render
from exporter.metrics.families import families
from exporter.metrics.formats import Format
from exporter.metrics.samples import Family
from exporter.model import Inventory
from exporter.redaction import KnownSecrets
from exporter.scrape_result import AccountState, ListingResult
from exporter.settings import Account, Credentials, Secret, SecretReader
from exporter.threads import in_thread


class ScrapeResult(msgspec.Struct, frozen=True):
    """The outcome of one scrape of one or all accounts.

    Attributes:
        accounts: one outcome for each account.
        telemetry: the API metrics of these accounts.
        own: the exporter's metrics about itself; None where they were not asked for.
        configured: Unix time from which on an account was configured, by its id; of all accounts.
    """

    accounts: tuple[ListingResult, ...]
    telemetry: tuple[Collector, ...]
    own: ExporterMetrics | None
    configured: Mapping[str, float]

    @property
    def identity(self) -> object:
        """Equal for scrapes with the same listings, while these are in memory."""
        return (self.own is None, *self.configured.items(), *map(id, self.accounts))


class Changes(msgspec.Struct, frozen=True):
    """How many accounts a reload has added, changed and removed."""

    added: int
    removed: int
    changed: int


class _Member(msgspec.Struct, frozen=True, eq=False):
    """An account in use, with the parts that survive a change of it or must be closed."""

    account: Account
    collector: AccountCollector
    client: Client
    backoff: Backoff


class Accounts:
    """Sends no request by itself; for one event loop.

    Args:
        accounts: configured at the start.
        known: learns the secrets read from files, and removes secrets from the API's texts.
        offset: seconds subtracted from the scrape timeout that Prometheus announces.
        max_requests: maximum concurrent requests to the API, each with a thread.
        max_idle: maximum idle connections to the API.
        log_outcomes: whether the log says that a listing succeeded or failed.
        wall_clock: Unix seconds.

    Attributes:
        own: the exporter's metrics about itself.
    """

    def __init__(
        self,
        accounts: Iterable[Account],
        known: KnownSecrets,
        *,
        offset: float = 0.5,
        max_requests: int = 256,
        max_idle: int = 1024,
        log_outcomes: bool = True,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._known = known
        self._log_outcomes = log_outcomes
        self._offset = offset
        self._wall_clock = wall_clock
        self._shared = Shared(
            asyncio.Semaphore(max_requests),
            known.redact,
            RequestQuotas(),
            IdleConnections(max_idle),
        )
        self._limits = SharedLimits()
        self._members: dict[str, _Member] = {}
        self.own = ExporterMetrics(loaded=wall_clock())
        self._configured: dict[str, float] = {}
        self.replace(accounts)

    def replace(self, accounts: Iterable[Account]) -> Changes:
        """Use these accounts from the next scrape on; scrapes in progress are not affected.

        An account with an unchanged configuration is kept as it is. One that changed keeps its
        counters and the back-off that the API asked for.
        """
        old = {one.account.account_id: one for one in self._members.values()}
        new = [self._member(account, old.get(account.account_id)) for account in accounts]
        self._members = {one.account.name: one for one in new}
        now = self._wall_clock()
        self._configured = {one.account.account_id: now for one in new}
        known = [one for one in new if one.account.account_id in old]
        changed = [one for one in known if one is not old[one.account.account_id]]
        gone = [one for one in old.values() if one not in new]
        for member in gone:
            member.client.close()
        return Changes(
            added=len(new) - len(known), removed=len(old) - len(known), changed=len(changed)
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the accounts, in the order of the configuration."""
        return tuple(self._members)

    def observed(self) -> tuple[AccountState, ...]:
        """What is known of each account without asking the API."""
        return tuple(one.collector.observed for one in self._members.values())

    async def list_first(self) -> None:
        """List each account that nobody has listed yet, so that the log says whether it works.

        One after the other, since that is not urgent: a scrape that comes meanwhile takes its
        accounts over. It ends where it would use more than half of the API's quota.
        """
        for name in self.names:
            member = self._members.get(name)  # a reload may have removed it
            if member is None or member.collector.observed.latest is not None:
                continue
            await member.collector.scrape()
            if member.client.quota_is_short:
                return

    async def scrape(self, announced: float | None, name: str | None = None) -> ScrapeResult:
        """List all accounts or the named one, or wait for listings in progress.

        Args:
            announced: Prometheus' timeout of this scrape in seconds, if it announces one.
            name: of the only account to scrape; empty for no account, only the exporter itself.

        Raises:
            KeyError: there is no account of this name.
        """
        configured = self._configured  # with the accounts: a reload may come while they are listed
        if name is None:
            wanted = tuple(self._members.values())
        else:
            wanted = (self._members[name],) if name else ()
        seconds = self._seconds(announced)
        accounts = await asyncio.gather(*(one.collector.scrape(seconds) for one in wanted))
        return ScrapeResult(
            accounts=tuple(accounts),
            telemetry=tuple(one.collector.telemetry.registry for one in wanted),
            own=None if name else self.own,
            configured={} if name else configured,
        )

    def expose(self, scrapes: ScrapeResult, form: Format, names: frozenset[str]) -> Iterator[bytes]:
        """The exposition of these scrapes at the current time, in chunks. Thread-safe.

        Args:
            scrapes: of `scrape`.
            form: the text format.
            names: of the families or samples to include; empty for all.
        """
        wanted = (f for f in self._families(scrapes) if not names or f.metric.name in names)
        registries = scrapes.telemetry + ((scrapes.own.registry,) if scrapes.own else ())
        return render(wanted, merged(registries, names), form)

    def stop(self, grace: float) -> None:
        """End listings in progress after ``grace`` seconds, so that scrapes get a response."""
        for member in self._members.values():
            member.collector.stop(grace)

    def _families(self, scrapes: ScrapeResult) -> Iterator[Family]:
        yield from families(scrapes.accounts, self._wall_clock())
        if scrapes.own is not None:
            yield from scrapes.own.families(scrapes.configured)

    def _seconds(self, announced: float | None) -> float | None:
        if announced is None:
            return None
        # A timeout shorter than the offset is halved: some response is better than none.
        return max(announced - self._offset, announced / 2)

    # --- the parts of an account ---

    def _member(self, account: Account, old: _Member | None) -> _Member:
        if old is not None and old.account == account:
            return old
        telemetry = ApiMetrics(account.account_id) if old is None else old.collector.telemetry
        backoff = Backoff(self._limits) if old is None else old.backoff
        client = Client(
            _endpoint(account),
            self._headers(account.credentials),
            backoff,
            telemetry,
            self._shared,
        )
        collector = AccountCollector(
            account.account_id,
            account.name,
            _lister(client, collect_servers=account.collect_servers),
            telemetry,
            timeout=account.timeout,
            cache_ttl=account.cache_ttl,
            quota_is_short=lambda: client.quota_is_short,
            before=None if old is None else _before(old, account),
            log_outcomes=self._log_outcomes,
            wall_clock=self._wall_clock,
        )
        return _Member(account, collector, client, backoff)

    def _headers(self, credentials: Credentials) -> Headers:
        if credentials.token is not None:
            return token_headers(self._reader(credentials.token, "token"))
        return key_headers(credentials.email, self._reader(credentials.key or Secret(), "key"))

    def _reader(self, secret: Secret, kind: str) -> ReadSecret:
        read = SecretReader(secret, kind, self._known.learn)
        if secret.file:  # in a thread, since it may be on a file system that hangs
            return partial(in_thread, read)

        async def given() -> str:
            return secret.text

        return given


def _before(old: _Member, account: Account) -> AccountState:
    """What is known of an account whose configuration has changed."""
    observed = old.collector.observed
    if account.collect_servers == old.account.collect_servers:
        return observed
    # Another kind of listing has other servers: those are not gone.
    return msgspec.structs.replace(observed, history=observed.history.restarted())


def _endpoint(account: Account) -> Endpoint:
    return Endpoint(
        base_url=account.base_url,
        account_id=account.account_id,
        per_page=account.per_page,
        parallel_pages=account.parallel_pages,
        max_bytes=account.max_response_bytes,
        route=Route(account.proxy_url, account.ca_file),
    )


def _lister(client: Client, *, collect_servers: bool) -> ListAccount:
    lists = (PORTALS, SERVERS) if collect_servers else (PORTALS,)

    async def list_account(deadline: Deadline) -> Inventory:
        pages = [page for what in lists for page in await client.list_pages(what, deadline)]
        return await in_thread(partial(build, pages))

    return list_account

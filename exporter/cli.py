"""The command ``cloudflare-mcp-exporter``: the composition root."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from exporter import __version__, revision
from exporter.account_probes import AccountProbes, UnknownTargetError, UnlistedError
from exporter.accounts import Accounts
from exporter.auto_reload import reload_on_change
from exporter.commands import check, expose_once, write
from exporter.descriptors import Shares, inherited, raise_limit, share_out
from exporter.errors import SettingsError
from exporter.logs import configure, event
from exporter.malloc import return_large_blocks
from exporter.probes.prober import BusyError, Prober
from exporter.redaction import KnownSecrets
from exporter.reload import Reloader
from exporter.settings import (
    Account,
    Credentials,
    Probes,
    Secret,
    Settings,
    given_log_format,
    load,
)
from exporter.web.access import OPEN
from exporter.web.listen import handed_over, listen
from exporter.web.probe_routes import ProbeRoutes
from exporter.web.public_address import PublicAddress
from exporter.web.routes import App
from exporter.web.server import Server
from exporter.web.systemd import Notifier

if TYPE_CHECKING:
    from exporter.web.web_config import WebConfigFile

LOG = logging.getLogger("exporter")

GRACE = 2.0
"""Seconds for listings in progress after SIGTERM; half of Docker's stop timeout."""


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT, or run the one-shot mode that was asked for.

    Returns:
        The exit status: 0 when asked to end, 1 when an account failed in ``--once`` or
        ``--check``, 2 for settings that cannot be used.
    """
    return_large_blocks()
    known = KnownSecrets()
    try:
        settings = load(argv, environ)
        known.hold(settings.secrets)
        configure(settings.log_level, settings.log_format, known)
        if settings.config_check:
            verdict = _verdict(settings)
            _report("warning", settings.notices, argv, environ)
            write(sys.stdout.buffer, verdict)
            return 0
        limit = raise_limit()
        shares = share_out(limit, inherited(limit))
        with _demo(settings) as effective:
            known.hold(effective.secrets)
            # The demo's account is not configured anywhere.
            again = (lambda: effective) if settings.demo else partial(load, argv, environ)
            return asyncio.run(_run(effective, known, again, environ, shares))
    except SettingsError as problem:
        log_format = given_log_format(argv, environ)
        if log_format is not None:
            configure("info", log_format, known)
        _report("error", problem.problems, argv, environ)
        return 2


def _report(
    kind: str, lines: Iterable[str], argv: Sequence[str], environ: Mapping[str, str]
) -> None:
    """Say what is wrong with the settings: as log lines to programs, plainly to people.

    Whoever sets the format of the log wants each line to have it.
    """
    for line in lines:
        if given_log_format(argv, environ) is None:
            sys.stderr.write(f"cloudflare-mcp-exporter: {kind}: {line}\n")
        elif kind == "error":
            event(LOG, logging.ERROR, "cannot start", error=line)
        else:
            event(LOG, logging.WARNING, line)


async def _run(
    settings: Settings,
    known: KnownSecrets,
    load_again: Callable[[], Settings],
    environ: Mapping[str, str],
    shares: Shares,
) -> int:
    accounts = Accounts(
        settings.accounts,
        known,
        offset=settings.scrape_timeout_offset,
        max_requests=shares.requests,
        max_idle=shares.idle,
        log_outcomes=not settings.check,  # they are its report
    )
    if settings.once or settings.check:
        _log_notices(settings)
    if settings.once:
        return await expose_once(accounts, settings.textfile, sys.stdout.buffer)
    if settings.check:
        probes = _probes(settings, accounts, known) if settings.check_probe else None
        if probes is not None and not any(map(probes.is_enabled, ("servers", "portals"))):
            raise SettingsError(
                "--probe: no probes are enabled; add --probe.servers or --probe.portals"
            )
        return await check(accounts, settings.check_format, sys.stdout.buffer, probes)
    reloader = Reloader(load_again, settings, accounts, known)
    await _serve(settings, accounts, known, reloader, environ=environ, shares=shares)
    return 0


# --- serving -----------------------------------------------------------------------------------


async def _serve(
    settings: Settings,
    accounts: Accounts,
    known: KnownSecrets,
    reloader: Reloader,
    *,
    environ: Mapping[str, str],
    shares: Shares,
) -> None:
    notifier = Notifier(environ, os.getpid())
    web = web_config_file(settings.web_config_file) if settings.web_config_file else None
    control = _Control(reloader, notifier)
    address = PublicAddress(settings.route_prefix, settings.external_url)
    probes = _probes(settings, accounts, known)
    app = App(
        accounts,
        telemetry_path=settings.telemetry_path,
        control=control,
        lifecycle=settings.enable_lifecycle,
        site=address,
        probes=ProbeRoutes(probes, address, _status_of).handlers(),
        probe_notes=probes,
        max_requests=settings.max_requests,
        guard=web.guard if web else lambda: OPEN,
        stale_after=settings.stale_after,
    )
    server = Server(
        app,
        _sockets(settings, environ),
        on_stop=lambda: accounts.stop(GRACE),
        tls=web.tls if web else lambda: None,
        notifier=notifier,
        most_connections=shares.connections,
        backlog=shares.backlog,
    )
    _announce(settings, server)
    background = [
        _reload_on_hangup(control.reload),
        asyncio.create_task(accounts.list_first()),
    ]
    if settings.config_file and settings.auto_reload_interval:
        watch = reload_on_change(
            settings.config_file, settings.auto_reload_interval, control.reload
        )
        background.append(asyncio.create_task(watch))
    await server.serve()
    for task in background:
        task.cancel()
    event(LOG, logging.INFO, "stopped")


def _probes(settings: Settings, accounts: Accounts, known: KnownSecrets) -> AccountProbes:
    return AccountProbes(accounts, known, Prober(), offset=settings.scrape_timeout_offset)


def _status_of(error: Exception) -> int | None:
    """The HTTP status for an error of a probe; None if it is unexpected."""
    match error:
        case UnknownTargetError():
            return HTTPStatus.NOT_FOUND
        case UnlistedError() | BusyError():
            return HTTPStatus.SERVICE_UNAVAILABLE
        case _:
            return None


class _Control:
    """The reloader, with notifications to systemd."""

    def __init__(self, reloader: Reloader, notifier: Notifier) -> None:
        self._reloader = reloader
        self._notifier = notifier
        self.effective_config = reloader.effective_config

    async def reload(self) -> str | None:
        with self._notifier.reloading():
            return await self._reloader.reload()


def _reload_on_hangup(reload: Callable[[], Awaitable[object]]) -> asyncio.Task[None]:
    """Reload on SIGHUP; signals that arrive during a reload cause one more."""
    hangup = asyncio.Event()

    async def answer() -> None:
        while True:
            await hangup.wait()
            hangup.clear()
            await reload()

    if threading.current_thread() is threading.main_thread():  # only it may handle signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
        # See exporter.__main__.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    return asyncio.get_running_loop().create_task(answer())


def web_config_file(name: str) -> WebConfigFile:
    """TLS and users of this file; raises as `WebConfigFile` does."""
    # Imported here: YAML costs a megabyte that is needed only with such a file.
    from exporter.web.web_config import WebConfigFile  # noqa: PLC0415

    return WebConfigFile(name)


def _sockets(settings: Settings, environ: Mapping[str, str]) -> list[socket.socket]:
    if settings.systemd_socket:
        return handed_over(environ)
    return listen(settings.listen_addresses)


def _log_notices(settings: Settings) -> None:
    for notice in settings.notices:
        event(LOG, logging.WARNING, notice)


def _announce(settings: Settings, server: Server) -> None:
    path = settings.route_prefix + settings.telemetry_path
    event(
        LOG,
        logging.INFO,
        "starting",
        version=__version__,
        revision=revision(),
        accounts=len(settings.accounts),
    )
    _log_notices(settings)
    for endpoint in server.endpoints:
        url = endpoint.bound_url + path if endpoint.url else None
        everywhere = "all" if endpoint.bound_url != endpoint.url else None
        event(
            LOG,
            logging.INFO,
            "listening",
            address=endpoint.address,
            interfaces=everywhere,
            url=url,
        )
    if settings.demo and server.url:
        write(
            sys.stdout.buffer, _welcome(f"{server.url}{settings.route_prefix}/", server.url + path)
        )


def _welcome(page: str, metrics: str) -> str:
    return f"""
Serving a simulated account. Its servers fail and recover over ten minutes.

  status page  {page}
  metrics      {metrics}
  try          curl -s {metrics} | grep server_error
  stop         Ctrl-C

"""


# --- other modes -------------------------------------------------------------------------------


@contextmanager
def _demo(settings: Settings) -> Iterator[Settings]:
    """The settings, pointed at a simulated account with ``--demo``."""
    if not settings.demo:
        yield settings
        return
    from exporter.simulator.server import Simulator  # noqa: PLC0415 - only needed for the demo

    with Simulator(live=True) as simulator:
        probes = Probes(
            servers=True,
            portals=True,
            min_interval=settings.defaults.probes.min_interval,
            allow_networks=("127.0.0.0/8",),
            allow_http=True,
            access_client_id=simulator.access_client_id,
            access_client_secret=Secret(text=simulator.access_client_secret),
        )
        defaults = msgspec.structs.replace(
            settings.defaults, base_url=simulator.base_url, collect_servers=True, probes=probes
        )
        account = Account(
            name="Demo account",
            account_id=simulator.account_id,
            credentials=Credentials(token=Secret(text=simulator.token)),
            **msgspec.structs.asdict(defaults),
        )
        yield msgspec.structs.replace(settings, accounts=(account,), defaults=defaults)


def _verdict(settings: Settings) -> str:
    number = len(settings.accounts)
    what = settings.config_file or ("the demo" if settings.demo else "the environment")
    verdict = f"{what} is valid: {number} account{'' if number == 1 else 's'}\n"
    if settings.web_config_file:
        web_config_file(settings.web_config_file)
        verdict += f"{settings.web_config_file} is valid\n"
    return verdict

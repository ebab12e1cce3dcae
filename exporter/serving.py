"""Serves the exporter's parts over HTTP until the process is told to end."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.assembly import Parts
from exporter.logs import event
from exporter.reload import Reloader, reload_on_hangup
from exporter.service import Scrapes
from exporter.settings import Settings
from exporter.web.app import App
from exporter.web.guard import OPEN
from exporter.web.server import Server
from exporter.web.site import Site
from exporter.web.sockets import handed_over, listen
from exporter.web.systemd import Notifier

if TYPE_CHECKING:
    from exporter.web.webconfig import WebConfigFile

LOG = logging.getLogger("exporter")

GRACE = 2.0
"""Seconds that listings under way have after SIGTERM; half of what Docker leaves a container."""


def serve(settings: Settings, parts: Parts, reloader: Reloader, environ: Mapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT, and return once what is under way is answered.

    Args:
        settings: of the start.
        parts: the accounts, and what is counted about the exporter.
        reloader: replaces the accounts on SIGHUP and on request.
        environ: has what systemd says.

    Raises:
        SettingsError: the web configuration file or a listen address cannot be used.
    """
    notifier = Notifier(environ, os.getpid())
    told = _Told(reloader, notifier)
    web = web_config_file(settings.web_config_file) if settings.web_config_file else None
    sockets = _sockets(settings, environ)
    reload_on_hangup(told.reload)
    app = _app(settings, parts, told, web)
    server = Server(
        app,
        sockets,
        on_stop=lambda: parts.service.stop(GRACE),
        tls=web.tls if web else lambda: None,
        notifier=notifier,
    )
    _announce(settings, server)
    server.run()
    app.close()
    if web is not None:
        web.close()
    event(LOG, logging.INFO, "stopped")


class _Told:
    """The reloader, of which systemd hears."""

    def __init__(self, reloader: Reloader, notifier: Notifier) -> None:
        self.reload: Callable[[], str | None] = notifier.around(reloader.reload)
        self.effective_config = reloader.effective_config


def web_config_file(name: str) -> WebConfigFile:
    """TLS and users of this file; raises as `WebConfigFile` does."""
    # Here, since YAML costs a megabyte that only those who have such a file should pay.
    from exporter.web.webconfig import WebConfigFile  # noqa: PLC0415

    return WebConfigFile(name)


def _sockets(settings: Settings, environ: Mapping[str, str]) -> list[socket.socket]:
    if settings.systemd_socket:
        return handed_over(environ)
    return listen(settings.listen_addresses)


def _app(
    settings: Settings, parts: Parts, control: _Told, web: WebConfigFile | None
) -> App[Scrapes]:
    service = parts.service
    return App(
        service,
        telemetry_path=settings.telemetry_path,
        accounts=service.observed,
        probe=service.begin,
        control=control,
        lifecycle=settings.enable_lifecycle,
        site=Site(settings.route_prefix, settings.external_url),
        max_requests=settings.max_requests,
        guard=web.guard if web else lambda: OPEN,
    )


def _announce(settings: Settings, server: Server) -> None:
    path = settings.route_prefix + settings.telemetry_path
    event(LOG, logging.INFO, "starting", version=__version__, accounts=len(settings.accounts))
    for notice in settings.notices:
        event(LOG, logging.WARNING, notice)
    for url in server.urls:
        event(LOG, logging.INFO, "listening", url=url if url.startswith("unix:") else url + path)
    if settings.demo and server.urls[0].startswith("http"):
        sys.stdout.write(
            _welcome(f"{server.urls[0]}{settings.route_prefix}/", server.urls[0] + path)
        )
        sys.stdout.flush()


def _welcome(page: str, metrics: str) -> str:
    return f"""
A simulated account is being watched; its servers will fail and recover over ten minutes.

  page      {page}
  metrics   {metrics}
  try       curl -s {metrics} | grep server_error
  stop      Ctrl-C

"""

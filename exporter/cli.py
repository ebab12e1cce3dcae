"""The command ``cloudflare-mcp-exporter``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import msgspec

from exporter.assembly import Parts
from exporter.errors import SettingsError
from exporter.logs import KnownSecrets, configure
from exporter.memory import return_large_blocks
from exporter.oneshot import expose_once
from exporter.reload import Reloader
from exporter.selftest import check
from exporter.serving import serve, web_config_file
from exporter.settings import Account, Credentials, Secret, Settings, load


def entry_point() -> None:
    """What the installed command and ``python -m exporter`` call."""
    sys.exit(main(sys.argv[1:], os.environ))


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT, or do the one thing that was asked for.

    Returns:
        The exit status: 0 when asked to end, 1 when an account failed in ``--once`` or
        ``--check``, 2 for a setting that cannot be used.
    """
    return_large_blocks()
    try:
        settings = load(argv, environ)
        known = KnownSecrets(settings.secrets)
        configure(settings.log_level, settings.log_format, known)
        if settings.config_check:
            sys.stdout.write(_verdict(settings))
            return 0
        with _demo(settings) as effective:
            known.hold(effective.secrets)
            return _run(effective, known, argv, environ)
    except SettingsError as problem:
        sys.stderr.write(f"cloudflare-mcp-exporter: error: {problem}\n")
        return 2


def _run(
    settings: Settings, known: KnownSecrets, argv: Sequence[str], environ: Mapping[str, str]
) -> int:
    parts = Parts(settings, known.learn)
    if settings.once:
        return expose_once(parts.service, settings.textfile, sys.stdout)
    if settings.check:
        return check(parts.service, settings.check_format, sys.stdout)
    # The demo's account is not written anywhere.
    reload = (lambda: settings) if settings.demo else partial(load, argv, environ)
    serve(settings, parts, Reloader(reload, settings, parts, known), environ)
    return 0


@contextmanager
def _demo(settings: Settings) -> Iterator[Settings]:
    """The settings, pointed at a simulated account where ``--demo`` asks for one."""
    if not settings.demo:
        yield settings
        return
    from exporter.simulator.server import Simulator  # noqa: PLC0415 - only the demo pays for it

    with Simulator() as simulator:
        defaults = msgspec.structs.replace(
            settings.defaults, base_url=simulator.base_url, collect_servers=True
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
        web_config_file(settings.web_config_file).close()
        verdict += f"{settings.web_config_file} is valid\n"
    return verdict

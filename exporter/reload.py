"""The configuration in use, and its reload."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

from exporter.accounts import Accounts
from exporter.errors import SettingsError
from exporter.logs import event
from exporter.redaction import KnownSecrets
from exporter.settings import Settings, effective
from exporter.threads import in_thread

LOG = logging.getLogger(__name__)


class _InUse:
    """Settings with what is derived from them once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = asyncio.Lock()
        self._text: str | None = None

    async def text(self) -> str:
        """The configuration as YAML, every secret shown as ``<hidden>``."""
        async with self._lock:
            if self._text is None:
                self._text = await in_thread(partial(effective, self._settings))
            return self._text


class Reloader:
    """Reloads the settings; for one event loop.

    Args:
        load: loads the settings or raises; may block.
        settings: in use.
        accounts: created from these settings.
        known: the secrets that are removed from logs.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        load: Callable[[], Settings],
        settings: Settings,
        accounts: Accounts,
        known: KnownSecrets,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._load = load
        self._in_use = _InUse(settings)
        self._accounts = accounts
        self._known = known
        self._wall_clock = wall_clock
        self._lock = asyncio.Lock()
        self._next: asyncio.Task[str | None] | None = None

    async def reload(self) -> str | None:
        """Reload the configuration file and replace the accounts.

        Flags and environment cannot change. If something cannot be used, everything stays as it is.
        Calls during a load share the load that follows it, so any number of them costs two.

        Returns:
            None, or one line that says what cannot be used.
        """
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._reload())
        return await asyncio.shield(self._next)

    async def _reload(self) -> str | None:
        async with self._lock:
            self._next = None  # what is written from now on may be too late for this load
            try:
                self._use(await in_thread(self._load))
            except SettingsError as problem:
                if problem.__cause__ is not None:  # an unexpected error
                    event(LOG, logging.DEBUG, "traceback", exc_info=problem.__cause__)
                return self._refused(str(problem))
            except Exception as problem:  # noqa: BLE001 - whatever it is, the previous ones stay in use
                return self._refused("internal error, see the log", problem)
            return None

    async def effective_config(self) -> str:
        """The configuration in use as YAML, every secret shown as ``<hidden>``."""
        return await self._in_use.text()

    def _use(self, settings: Settings) -> None:
        self._known.hold(settings.secrets)
        changes = self._accounts.replace(settings.accounts)
        self._in_use = _InUse(settings)
        self._accounts.own.reloaded(self._wall_clock())
        event(
            LOG,
            logging.INFO,
            "configuration reloaded",
            accounts=len(settings.accounts),
            added=changes.added,
            removed=changes.removed,
            changed=changes.changed,
        )
        for notice in settings.notices:
            event(LOG, logging.WARNING, notice)

    def _refused(self, problem: str, fault: Exception | None = None) -> str:
        self._accounts.own.reloaded(None)
        event(
            LOG,
            logging.ERROR,
            "configuration reload failed, keeping the previous configuration",
            error=problem,
            exc_info=fault,
        )
        return problem

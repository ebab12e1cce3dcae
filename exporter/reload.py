"""The configuration in use, and its replacement while the exporter runs."""

from __future__ import annotations

import logging
import queue
import signal
import threading
import time
from collections.abc import Callable

from exporter.assembly import Parts
from exporter.errors import SettingsError
from exporter.logs import KnownSecrets, event
from exporter.settings import Settings, effective

LOG = logging.getLogger(__name__)


class Reloader:
    """Loads the settings anew when asked to; for any thread.

    Args:
        load: gives the settings as they are written now, or raises `SettingsError`.
        settings: in use.
        parts: that they were put together with.
        known: the secrets that the log strikes out.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        load: Callable[[], Settings],
        settings: Settings,
        parts: Parts,
        known: KnownSecrets,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._load = load
        self._settings = settings
        self._parts = parts
        self._known = known
        self._wall_clock = wall_clock
        self._lock = threading.Lock()

    def reload(self) -> str | None:
        """Replace the accounts in use by those that are written now, one call at a time.

        Flags and environment are a process's for good. Where something cannot be used, everything
        stays as it is.

        Returns:
            None, or the one line that says what cannot be used.
        """
        with self._lock:
            try:
                settings = self._load()
            except SettingsError as problem:
                return self._refused(str(problem))
            except Exception as fault:  # noqa: BLE001 - a fault of ours must not stop the scrapes
                return self._refused("internal error, see the log", fault)
            self._known.hold(settings.secrets)
            self._use(settings)
            return None

    def effective_config(self) -> str:
        """The configuration in use as YAML, every secret shown as ``<hidden>``."""
        return effective(self._settings)

    def _use(self, settings: Settings) -> None:
        changes = self._parts.replace_accounts(settings.accounts)
        self._settings = settings
        self._parts.own.reloaded(self._wall_clock())
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
        self._parts.own.reloaded(None)
        event(
            LOG,
            logging.ERROR,
            "configuration not reloaded, the old one stays in use",
            error=problem,
            exc_info=fault,
        )
        return problem


def reload_on_hangup(reload: Callable[[], object]) -> None:
    """Call ``reload`` in a thread of its own whenever SIGHUP arrives.

    Does nothing outside of the main thread, which alone may handle signals.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    # Its put() may be called from a signal handler, even while that interrupts another put().
    rings: queue.SimpleQueue[None] = queue.SimpleQueue()

    def answer() -> None:
        while True:
            rings.get()
            while not rings.empty():  # one reload after the last of several signals is enough
                rings.get()
            reload()

    threading.Thread(target=answer, name="reload", daemon=True).start()
    signal.signal(signal.SIGHUP, lambda _number, _frame: rings.put(None))

"""Metrics about the exporter itself: build, configuration, process."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from exporter import __version__, revision
from exporter.metrics import catalog as c
from exporter.metrics.samples import Family, label, listed


class ExporterMetrics:
    """Metrics of a running exporter.

    Attributes:
        registry: ``process_*`` and ``python_*``.
    """

    def __init__(self, loaded: float) -> None:
        """Args: loaded: Unix time at which the configuration was loaded."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._loaded = loaded
        self._successful = True
        self._build = ",".join(
            (
                label("python_version", platform.python_version()),
                label("revision", revision()),
                label("version", __version__),
            )
        )

    def reloaded(self, moment: float | None) -> None:
        """Record a reload at this Unix time; None if it failed."""
        self._successful = moment is not None
        self._loaded = self._loaded if moment is None else moment

    def families(self, configured: Mapping[str, float]) -> Iterator[Family]:
        """The families that are not prometheus_client's own.

        Args:
            configured: when the configuration with an account was loaded, in Unix time, by its id.
        """
        yield listed(c.BUILD_INFO, [(self._build, 1)])
        yield listed(c.CONFIG_RELOAD_SUCCESSFUL, [("", float(self._successful))])
        yield listed(c.CONFIG_RELOAD_TIMESTAMP, [("", self._loaded)])
        yield listed(
            c.ACCOUNT_CONFIGURED,
            [(label("account_id", one), loaded) for one, loaded in configured.items()],
        )

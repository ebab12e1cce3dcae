"""Families as an exposition: what prometheus_client writes for them, byte for byte, and faster.

The samples come as text (see `exporter.metrics.rows`). All that prometheus_client holds itself
(counters, histograms, the process) it renders itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.exposition import generate_latest as text_of
from prometheus_client.metrics_core import Metric as ClientMetric
from prometheus_client.openmetrics.exposition import ALLOWUTF8
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_of
from prometheus_client.registry import Collector

from exporter.metrics.catalogue import Metric
from exporter.metrics.formats import Format
from exporter.metrics.rows import Family


def render(families: Iterable[Family], rest: Collector, form: Format) -> Iterator[bytes]:
    """One exposition, a family at a time: the text of a large account is never held whole.

    Args:
        families: what the listings gave, rendered here.
        rest: what prometheus_client holds, rendered by it after the families.
        form: text format 0.0.4 or OpenMetrics 1.0.0.
    """
    for family in families:
        yield "".join((_head(family.metric, form), *family.lines)).encode()
    yield RENDERERS[form](rest)


def _head(metric: Metric, form: Format) -> str:
    # An empty HELP or one with a line end would need escapes; the catalogue has none.
    head = f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.kind}\n"
    if form is Format.OPENMETRICS and metric.unit:
        head += f"# UNIT {metric.name} {metric.unit}\n"
    return head


def _openmetrics_of(rest: Collector) -> bytes:
    # No name here needs an escape. Unless told that any may stand, prometheus_client looks at each
    # letter of each name, which takes most of the time of a small scrape.
    rendered: bytes = openmetrics_of(rest, escaping=ALLOWUTF8)  # type: ignore[no-untyped-call]
    return rendered


RENDERERS: dict[Format, Callable[[Collector], bytes]] = {
    Format.TEXT: text_of,
    Format.OPENMETRICS: _openmetrics_of,
}


class Filtered(Collector):
    """The families of several registries, each once, those asked for alone.

    Args:
        registries: each gives families; those of one name become one.
        names: of families or of samples; empty for all.
    """

    def __init__(self, registries: Iterable[Collector], names: frozenset[str]) -> None:
        self._registries = tuple(registries)
        self._names = names

    def collect(self) -> Iterable[ClientMetric]:
        """Called by prometheus_client's renderers."""
        merged: dict[str, ClientMetric] = {}
        for registry in self._registries:
            for metric in registry.collect():
                known = merged.get(metric.name)
                if known is None:
                    merged[metric.name] = metric
                else:
                    known.samples.extend(metric.samples)
        for metric in merged.values():
            metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
            if not self._names or self._names & _names(metric):
                yield metric


def _names(metric: ClientMetric) -> set[str]:
    return {metric.name, *(sample.name for sample in metric.samples)}

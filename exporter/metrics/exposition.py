"""Families as an exposition: what prometheus_client writes for them, byte for byte, and faster.

The samples of accounts come as text (see `exporter.metrics.samples`). What prometheus_client holds
itself (counters, histograms, the process) comes as its own objects and is written here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import Metric as ClientMetric
from prometheus_client.registry import Collector

from exporter.metrics.catalog import Metric
from exporter.metrics.formats import Format
from exporter.metrics.samples import Family, label, line


def render(
    families: Iterable[Family], rest: Iterable[ClientMetric], form: Format
) -> Iterator[bytes]:
    """One exposition, a family at a time: the text of a large account is never held whole.

    Args:
        families: what the listings gave.
        rest: counters, gauges and histograms of prometheus_client, which follow the families.
        form: text format 0.0.4 or OpenMetrics 1.0.0.
    """
    for family in families:
        yield "".join((_head(family.metric, form), *family.lines)).encode()
    yield "".join(_client_lines(metric, form) for metric in rest).encode()
    if form is Format.OPENMETRICS:
        yield b"# EOF\n"


def _head(metric: Metric, form: Format) -> str:
    # An empty HELP or one with a line end would need escapes; the catalog has none.
    head = f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.kind}\n"
    if form is Format.OPENMETRICS and metric.unit:
        head += f"# UNIT {metric.name} {metric.unit}\n"
    return head


def _client_lines(metric: ClientMetric, form: Format) -> str:
    is_text_counter = metric.type == "counter" and form is Format.TEXT
    name = f"{metric.name}_total" if is_text_counter else metric.name
    lines = [f"# HELP {name} {metric.documentation}\n# TYPE {name} {metric.type}\n"]
    if form is Format.OPENMETRICS and metric.unit:
        lines.append(f"# UNIT {name} {metric.unit}\n")
    for sample in metric.samples:
        labels = ",".join([label(*pair) for pair in sorted(sample.labels.items())])
        lines.append(line(sample.name, labels, sample.value))
    return "".join(lines)


def merged(registries: Iterable[Collector], names: frozenset[str]) -> Iterator[ClientMetric]:
    """The metrics of several registries, each once, without the times of creation.

    Args:
        registries: each gives metrics; those of one name become one.
        names: of metrics or of samples that are wanted; empty for all.
    """
    found: dict[str, ClientMetric] = {}
    for registry in registries:
        for metric in registry.collect():
            known = found.setdefault(metric.name, metric)
            if known is not metric:
                known.samples.extend(metric.samples)
    for metric in found.values():
        metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
        if not names or not names.isdisjoint(
            {metric.name, *(sample.name for sample in metric.samples)}
        ):
            yield metric

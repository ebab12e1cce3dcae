"""Renders families as prometheus_client does, byte for byte, but faster.

The samples of accounts are text already (see `exporter.metrics.samples`). prometheus_client's own
metrics (counters, histograms, the process) are objects and are rendered here too.
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
    """One exposition, in one chunk per family: the text of a large account is never held whole.

    Args:
        families: from the listings.
        rest: metrics of prometheus_client, which follow the families.
        form: text format 0.0.4 or OpenMetrics 1.0.0.
    """
    for family in families:
        yield "".join((_head(family.metric, form), *family.lines)).encode()
    yield "".join(_client_lines(metric, form) for metric in rest).encode()
    if form is Format.OPENMETRICS:
        yield b"# EOF\n"


def _head(metric: Metric, form: Format) -> str:
    # An empty HELP or one with a line feed would need escapes; the catalog has none.
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
    """The metrics of several registries, merged by name, without creation times.

    Args:
        registries: registries; metrics of the same name are merged.
        names: of metrics or samples to include; empty for all.
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

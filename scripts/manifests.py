"""Renders deploy/kubernetes/exporter.yaml from the chart: ``make manifests``."""

from __future__ import annotations

import logging
from pathlib import Path

import yaml
from helm_python import Chart

ROOT = Path(__file__).parent.parent
CHART = ROOT / "deploy" / "helm" / "cloudflare-mcp-exporter"
PLAIN = ROOT / "deploy" / "kubernetes"

HEADER = "# Rendered from deploy/helm by `make manifests`; the values are in values.yaml.\n"
HELMS_OWN = ("app.kubernetes.io/managed-by:", "helm.sh/chart:")
"""Labels that are true of a release of Helm alone."""


def rendered() -> str:
    """The manifests for ``kubectl``, as text."""
    values = yaml.safe_load((PLAIN / "values.yaml").read_text())
    with Chart.load(CHART) as chart:
        files = chart.render(values, name=CHART.name)
    documents = [text for path, text in sorted(files.items()) if _is_manifest(path, text)]
    lines = "".join(f"---\n{text.strip()}\n" for text in documents).splitlines(keepends=True)
    return HEADER + "".join(line for line in lines if not line.strip().startswith(HELMS_OWN))


def _is_manifest(path: str, text: str) -> bool:
    return path.endswith(".yaml") and bool(text.strip())


if __name__ == "__main__":
    logging.getLogger("helm").setLevel(logging.WARNING)
    (PLAIN / "exporter.yaml").write_text(rendered(), encoding="utf-8")

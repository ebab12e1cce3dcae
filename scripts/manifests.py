"""Renders deploy/kubernetes/exporter.yaml from the chart: ``make manifests``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart

ROOT = Path(__file__).parent.parent
CHART = ROOT / "deploy" / "helm" / "cloudflare-mcp-exporter"
PLAIN = ROOT / "deploy" / "kubernetes"

HEADER = "# Rendered from deploy/helm by `make manifests`; the values are in values.yaml.\n"
HELMS_OWN = ("app.kubernetes.io/managed-by", "helm.sh/chart")
"""Labels that are true of a release of Helm alone."""


def rendered() -> str:
    """The manifests for ``kubectl``, as text."""
    values = yaml.safe_load((PLAIN / "values.yaml").read_text())
    with Chart.load(CHART) as chart:
        files = chart.render(values, name=CHART.name)
    objects = [yaml.safe_load(files[path]) for path in sorted(files) if path.endswith(".yaml")]
    return HEADER + yaml.safe_dump_all(
        [_plain(one) for one in objects if one], explicit_start=True, width=100
    )


def _plain(manifest: dict[str, Any]) -> dict[str, Any]:
    """The object without what only Helm needs; ``kubectl --namespace`` says where it goes."""
    del manifest["metadata"]["namespace"]
    pod = manifest.get("spec", {}).get("template")
    for part in (manifest, pod) if pod else (manifest,):
        for label in HELMS_OWN:
            del part["metadata"]["labels"][label]
    return manifest


if __name__ == "__main__":
    logging.getLogger("helm").setLevel(logging.WARNING)
    (PLAIN / "exporter.yaml").write_text(rendered(), encoding="utf-8")

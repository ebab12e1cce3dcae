"""Updates the generated tables of the documentation: ``make docs``.

A table stands between ``<!-- generated: NAME -->`` and ``<!-- end -->`` in README.md, the chart's
README.md or a page under docs/; everything around it is written by hand. The JSON Schema of the
configuration file is written whole, for the documentation and into the package. With ``--check``
nothing is written, and the status is 1 if a file would change.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from exporter.metrics.catalog import ALL, Metric
from exporter.metrics.probe_catalog import PROBES
from exporter.settings import ENVIRONMENT, FLAGS
from exporter.settings.schema import ConfigFile, FileAccount, Options, ProbeOptions, json_schema

ROOT = Path(__file__).parent.parent
CHART = ROOT / "deploy" / "helm" / "cloudflare-mcp-exporter"
REGION = re.compile(r"(<!-- generated: ([\w-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _level(metric: Metric) -> str:
    """What one series of the metric is about."""
    if metric.name.startswith("cloudflare_mcp_exporter_"):
        return "exporter"
    if {"portal_id", "server_id"} <= set(metric.labels):
        return "attachment"
    return next((kind for kind in ("portal", "server") if f"{kind}_id" in metric.labels), "account")


def _metrics(level: str) -> Callable[[], str]:
    def table() -> str:
        return _table(
            ("Metric", "Type", "Labels", "Meaning", "API fields"),
            (
                (
                    f"`{metric.name}`",
                    metric.kind,
                    _code(metric.labels),
                    metric.help.replace("|", r"\|"),
                    _code(metric.fields),
                )
                for metric in ALL
                if _level(metric) == level
            ),
        )

    return table


def _probe_metrics(kind: str) -> Callable[[], str]:
    def table() -> str:
        return _table(
            ("Metric", "Type", "Labels", "Meaning"),
            (
                (f"`{metric.name}`", metric.kind, _code(metric.labels), metric.help)
                for metric in PROBES
                if metric.name.startswith(f"cloudflare_mcp_{kind}_probe_")
            ),
        )

    return table


def _flags() -> str:
    return _table(
        ("Flag", "Environment", "Default", "Meaning"),
        (
            (
                f"`{flag.name}`",
                f"`{flag.environment}`",
                f"`{flag.default}`" if flag.default else "none",
                flag.help,
            )
            for flag in FLAGS
        ),
    )


def _environment() -> str:
    return _table(
        ("Environment", "Meaning"),
        ((f"`{variable.name}`", variable.help) for variable in ENVIRONMENT),
    )


_TYPES = {
    "array": "list",
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "string": "text",
}


def _type(schema: dict[str, Any]) -> str:
    """The type of a key in words, by its JSON Schema."""
    if "anyOf" in schema:
        return " or ".join(sorted(_type(one) for one in schema["anyOf"]))
    if "$ref" in schema:
        return "mapping"
    low, high = schema.get("minimum"), schema.get("maximum")
    bounds = f" from {low:,} to {high:,}" if low is not None and schema["type"] == "integer" else ""
    return _TYPES[schema["type"]] + bounds


def _keys(struct: type[msgspec.Struct], *, but: Iterable[str] = ()) -> Callable[[], str]:
    def table() -> str:
        definition = msgspec.json.schema(struct)["$defs"][struct.__name__]
        return _table(
            ("Key", "Type", "Meaning"),
            (
                (f"`{name}`", _type(schema), schema["description"])
                for name, schema in definition["properties"].items()
                if name not in but
            ),
        )

    return table


def _alerts(file: str) -> Callable[[], str]:
    def table() -> str:
        groups = yaml.safe_load((ROOT / "alerts" / file).read_text())["groups"]
        rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
        return _table(
            ("Alert", "Severity", "After", "Summary"),
            (
                (
                    f"[{rule['alert']}](../runbooks/{rule['alert']}.md)",
                    rule["labels"]["severity"],
                    rule["for"],
                    rule["annotations"]["summary"],
                )
                for rule in rules
            ),
        )

    return table


def _chart_values() -> str:
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    return _table(("Value", "Default", "Meaning"), _value_rows(schema, defaults, ""))


def _value_rows(
    schema: dict[str, Any], defaults: dict[str, Any], path: str
) -> Iterator[Sequence[str]]:
    """A row for each value; a section has one of its own before its values."""
    for name, inner in schema["properties"].items():
        where, meaning = f"{path}{name}", inner["description"].replace("|", r"\|")
        if "properties" in inner:
            yield (f"**`{where}`**", "", meaning)
            yield from _value_rows(inner, defaults[name], f"{where}.")
        else:
            default = defaults.get(name, inner.get("default"))
            if "enum" in inner:
                meaning += f" One of {_code(choice for choice in inner['enum'] if choice)}."
            yield (f"`{where}`", "" if default is None else f"`{json.dumps(default)}`", meaning)


TABLES: dict[str, Callable[[], str]] = {
    "alerts": _alerts("cloudflare-mcp.rules.yml"),
    "alerts-probes": _alerts("cloudflare-mcp-probes.rules.yml"),
    "alerts-posture": _alerts("cloudflare-mcp-posture.rules.yml"),
    "chart-values": _chart_values,
    "config-account": _keys(FileAccount, but=Options.__struct_fields__),
    "config-options": _keys(Options),
    "config-probes": _keys(ProbeOptions),
    "config-top": _keys(ConfigFile, but=Options.__struct_fields__),
    "environment": _environment,
    "metrics-probes-portal": _probe_metrics("portal"),
    "metrics-probes-server": _probe_metrics("server"),
    "flags": _flags,
    **{
        f"metrics-{level}": _metrics(level)
        for level in ("account", "portal", "server", "attachment", "exporter")
    },
}


def rendered(page: str) -> str:
    """The page with each of its generated tables as it must be."""
    return REGION.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n{found[4]}", page)


def pages() -> list[Path]:
    """Every page that may hold a generated table."""
    return [ROOT / "README.md", CHART / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def generated() -> Iterator[tuple[Path, str]]:
    """Every file that is made here, wholly or in part, with the text that it must have."""
    for page in pages():
        yield page, rendered(page.read_text())
    for folder in ("docs/reference", "exporter/settings"):
        yield ROOT / folder / "config.schema.json", json_schema().decode()


def main(arguments: Sequence[str]) -> int:
    """Write the files, or check them; the exit status."""
    stale = [
        (file, text) for file, text in generated() if not file.exists() or file.read_text() != text
    ]
    for file, text in stale:
        if "--check" in arguments:
            sys.stderr.write(f"{file.relative_to(ROOT)} is stale: run make docs\n")
        else:
            file.write_text(text)
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The dashboards against Grafana's own types, TypeScript in strict mode, for every line of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mixin.dashboards.expressions import panels
from nodepackages import npm_packages
from realparts import require

HERE = Path(__file__).parent
COMMITTED = sorted((HERE.parent / "dashboards").glob("*.json"))
LINES = ("grafana-11", "grafana-12", "grafana-13")

PANEL_TYPES = {
    "stat": ("stat", "StatPanelCfg"),
    "state-timeline": ("statetimeline", "StateTimelinePanelCfg"),
    "table": ("table", "TablePanelCfg"),
    "timeseries": ("timeseries", "TimeSeriesPanelCfg"),
}
"""Where each panel's own types are: the folder and the file."""

CUSTOM = {"state-timeline", "table", "timeseries"}
"""Panels that have field options of their own; a stat has none."""

ANNOTATION = """{
  expr: string; step: string; titleFormat: string; textFormat: string; tagKeys: string;
  useValueForTime: boolean;
}"""
"""What the Prometheus data source adds to an annotation; the package does not declare it."""

OVERRIDES = {
    "color": "schema.FieldColor",
    "custom.cellOptions": "schema.TableCellOptions",
    "custom.fillOpacity": 'schema.GraphFieldConfig["fillOpacity"]',
    "custom.hidden": "boolean",
    "custom.hideFrom.viz": 'schema.HideSeriesConfig["viz"]',
    "custom.lineStyle": "schema.LineStyle",
    "custom.width": 'schema.TableFieldOptions["width"]',
    "links": "{ title: string; url: string; targetBlank: boolean }[]",
    "mappings": "schema.ValueMapping[]",
    "noValue": "string",
    "thresholds": "schema.ThresholdsConfig",
    "unit": "string",
}
"""The type of each property that an override may set; links are not declared in the package."""


@pytest.fixture(scope="session")
def packages() -> Path:
    """A directory with the packages of ``package.json``, kept from one run to the next."""
    return npm_packages("dashboards")


def _typed(name: str, of: str, value: object) -> str:
    return f"export const {name}: Json<{of}> = {json.dumps(value)};\n"


def _program(dashboard: Mapping[str, Any], line: str) -> Iterator[str]:
    """A module in which every part of the dashboard is assigned to Grafana's type of it."""
    yield 'import type * as schema from "@grafana/schema";\n'
    yield 'import type { Json } from "./json";\n'
    raw = f"./node_modules/{line}/dist/esm/raw/composable"
    for folder, file in PANEL_TYPES.values():
        yield f'import type * as {folder} from "{raw}/{folder}/panelcfg/x/{file}_types.gen";\n'
    yield f"type Annotations = {{ list: (schema.AnnotationQuery & {ANNOTATION})[] }};\n"
    yield 'type Whole = Omit<schema.Dashboard, "annotations"> & { annotations: Annotations };\n'
    yield _typed("dashboard", "Whole", dashboard)
    for number, variable in enumerate(dashboard["templating"]["list"]):
        yield _typed(f"variable{number}", "schema.VariableModel", variable)
    for panel in panels(dashboard):
        yield from _panel(panel)


def _panel(panel: Mapping[str, Any]) -> Iterator[str]:
    folder, _ = PANEL_TYPES[panel["type"]]
    name = f"panel{panel['id']}"
    yield _typed(name, "schema.Panel", panel)
    yield _typed(f"{name}_options", f"{folder}.Options", panel["options"])
    field_config = panel["fieldConfig"]
    if panel["type"] in CUSTOM:
        custom = field_config["defaults"]["custom"]
        yield _typed(f"{name}_custom", f"{folder}.FieldConfig", custom)
    else:
        assert "custom" not in field_config["defaults"]
    properties = [found for each in field_config["overrides"] for found in each["properties"]]
    for number, found in enumerate(properties):
        yield _typed(f"{name}_override{number}", OVERRIDES[found["id"]], found["value"])


def _errors(packages: Path, directory: Path, line: str, dashboard: Mapping[str, Any]) -> str:
    """What the compiler says of it; empty where all is well."""
    index = next(
        path
        for path in ("dist/types/index.d.ts", "dist/esm/index.d.ts")
        if (packages / "node_modules" / line / path).is_file()
    )
    (directory / "node_modules").symlink_to(packages / "node_modules")
    shutil.copy(HERE / "dashboards" / "json.ts", directory)
    (directory / "dashboard.ts").write_text("".join(_program(dashboard, line)))
    options = {
        "strict": True,
        "exactOptionalPropertyTypes": True,
        "noEmit": True,
        "skipLibCheck": True,
        "target": "es2022",
        "module": "esnext",
        "moduleResolution": "bundler",
        "types": [],
        "paths": {"@grafana/schema": [f"./node_modules/{line}/{index}"]},
    }
    config = {"compilerOptions": options, "files": ["dashboard.ts"]}
    (directory / "tsconfig.json").write_text(json.dumps(config))
    compiler = packages / "node_modules" / ".bin" / "tsc"
    done = subprocess.run(
        [require("node"), compiler.resolve(), "--project", directory],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_the_dashboard_fits_the_types_of_grafana(
    packages: Path, tmp_path: Path, path: Path, line: str
) -> None:
    assert _errors(packages, tmp_path, line, json.loads(path.read_text())) == ""

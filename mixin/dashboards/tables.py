"""Tables out of several queries: one row an object, a column a query, named and ordered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ValueMapping,
)

from mixin.alerts.model import PREFIX

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import table

    from mixin.thresholds import Thresholds

KEPT = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${__url_time_range}"
"""What a link to another dashboard takes along."""


class Column(msgspec.Struct, frozen=True):
    """A column that is shown, or one that is only there for the links of others.

    Attributes:
        field: the label, or ``Value #A`` for what query A gives.
        title: its heading.
        link: address that a click on a cell leads to, and what the link is called.
        colored: whether the text takes the color of its mapping or threshold.
        missing: what stands where the row has no value; the text of the empty table would else.
    """

    field: str
    title: str
    unit: str = ""
    mappings: tuple[ValueMapping, ...] = ()
    steps: tuple[Threshold, ...] = ()
    width: int = 0
    link: tuple[str, str] | None = None
    colored: bool = False
    hidden: bool = False
    missing: str = "-"


ALONE = {"Value #A": "Value"}
"""How Grafana calls the values of query A where there is no other query."""


def columns(panel: table.Panel, *shown: Column) -> table.Panel:
    """The table with these columns alone, in this order; rows of equal labels become one."""
    _transform(panel, "merge")
    return _arranged(panel, shown, {name: column for column in shown for name in _names(column)})


def grouped(panel: table.Panel, by: tuple[str, ...], gather: str, *shown: Column) -> table.Panel:
    """The same with one row for equal `by`; of the column `gather` all values, of others the last.

    Grafana names such a column after the field and the calculation.
    """
    _transform(panel, "merge")
    fields: dict[str, object] = {
        field: {"operation": "groupby", "aggregations": []} for field in by
    }
    names: dict[str, Column] = {column.field: column for column in shown if column.field in by}
    for column in shown:
        if column.field in by:
            continue
        calculation = "uniqueValues" if column.field == gather else "lastNotNull"
        for name in _names(column):
            fields[name] = {"operation": "aggregate", "aggregations": [calculation]}
            names[f"{name} ({calculation})"] = column
    _transform(panel, "groupBy", fields=fields)
    return _arranged(panel, shown, names)


def _names(column: Column) -> tuple[str, ...]:
    alone = ALONE.get(column.field)
    return (column.field,) if alone is None else (column.field, alone)


def _transform(panel: table.Panel, name: str, **options: object) -> None:
    panel.with_transformation(DataTransformerConfig(id_val=name, options=options))


def _arranged(
    panel: table.Panel, shown: tuple[Column, ...], names: dict[str, Column]
) -> table.Panel:
    """The fields of `names` alone, in the order and with the headings of the columns shown."""
    order = {name: shown.index(column) for name, column in names.items()}
    _transform(panel, "filterFieldsByName", include={"names": sorted(order, key=order.__getitem__)})
    _transform(
        panel,
        "organize",
        excludeByName={},
        indexByName=order,
        renameByName={name: column.title for name, column in names.items()},
    )
    for column in shown:
        properties = _properties(column)
        if properties:
            panel.override_by_name(column.title, properties)
    return panel


def _properties(column: Column) -> list[DynamicConfigValue]:
    found: list[tuple[bool, str, object]] = [
        (bool(column.unit), "unit", column.unit),
        (bool(column.mappings), "mappings", list(column.mappings)),
        (
            bool(column.steps),
            "thresholds",
            {"mode": "absolute", "steps": [step.to_json() for step in column.steps]},
        ),
        (bool(column.width), "custom.width", column.width),
        (column.colored, "custom.cellOptions", {"type": "color-text"}),
        (not column.hidden, "noValue", column.missing),
        # Tables of Grafana 11 know the first name, those of 12.2 and later the second.
        (column.hidden, "custom.hidden", True),
        (column.hidden, "custom.hideFrom.viz", True),
        (column.link is not None, "links", _links(column)),
    ]
    return [DynamicConfigValue(id_val=name, value=value) for used, name, value in found if used]


def _links(column: Column) -> list[dict[str, object]]:
    if column.link is None:
        return []
    title, url = column.link
    return [{"title": title, "url": url, "targetBlank": False}]


def link(thresholds: Thresholds, dashboard: str, **variables: str) -> str:
    """Address of a dashboard, with variables from the row's fields."""
    chosen = "".join(f"&var-{name}={value_of(field)}" for name, field in variables.items())
    return f"/d/{thresholds.dashboard_uid(dashboard)}?{KEPT}{chosen}"


def runbook(thresholds: Thresholds, alert: str) -> tuple[str, str]:
    """The link to the runbook of an alert, by its name without the prefix."""
    return "What to do", thresholds.runbook_url(PREFIX + alert)


def value_of(field: str) -> str:
    """What a field of the row holds, in an address."""
    return f'${{__data.fields["{field}"]}}'
